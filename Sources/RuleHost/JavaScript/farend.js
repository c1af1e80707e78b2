'use strict';

// The far end of a rule's socket: it reads requests out of what the rule's HTTP client writes, sends each to the worker
// as a frame, and writes the answers as a server would.

const { nextTick } = require('./intrinsics');
const { setBytes, copyOf } = require('./bytes');
const { current, within } = require('./attribution');
const { networkError, refusal } = require('./errors');
const { RequestParser } = require('./requestparser');
const exchanges = require('./exchanges');

/** Headers of a response that were about the worker's connection; the body comes whole. */
const dropped = new Set([
    'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'content-length', 'trailer', 'upgrade',
]);
const noBytes = Buffer.alloc(0);
/** A larger body is not put behind its head. */
const copiedBytes = 16 << 10;

/** A request on its way; answers are written in the order of the requests. */
class Delivery {
    constructor(run, head) {
        this.run = run;
        this.head = head;
        /** @type {import('./exchanges').Exchange | null} */
        this.exchange = null;
        /** @type {Buffer[] | null} */
        this.response = null;
    }
}

class FarEnd {
    /**
     * @param {import('./sockets').HostSocket} socket the near end
     * @param {{host: string, port: number, isSecure: boolean, rejectUnauthorized: boolean}} target
     */
    constructor(socket, target) {
        this.socket = socket;
        this.target = target;
        this.authority = authority(target);
        this.parser = new RequestParser(this);
        /** @type {Delivery[]} */
        this.deliveries = [];
        this.isEnding = false;
        this.hasRead = false;
        /** Whose the next request is, where its client knows better. */
        this.nextRun = undefined;
    }

    /**
     * Tells the worker of a connection to where nothing may be sent: it refuses that in its own words, and counts it as of any request.
     */
    ask() {
        const delivery = new Delivery(current(), null);
        this.deliveries[this.deliveries.length] = delivery;
        const exchange = exchanges.askToConnect(
            delivery.run,
            `${this.target.isSecure ? 'https' : 'http'}://${this.authority}/`,
            () => this.failed(delivery, refusal(`${this.authority} is not to be reached by rules`, 'EACCES')),
            (failure) => this.failed(delivery, failure),
        );
        if (exchange instanceof Error) this.broke(exchange);
        else delivery.exchange = exchange;
    }

    /** The rule's end wrote. */
    write(chunk, encoding) {
        this.hasRead = true;
        this.parser.write(chunk, encoding);
    }

    /** The rule's end will write no more; this one ends when everything that was asked is answered. */
    end() {
        this.isEnding = true;
        if (this.deliveries.length === 0) this.socket.push(null);
    }

    /** The rule's end is gone. */
    cancel() {
        const { deliveries } = this;
        this.deliveries = [];
        for (let index = 0; index < deliveries.length; index += 1) deliveries[index].exchange?.cancel();
    }

    /** The parser read a head. Whose request it is: that of the code which wrote this, not of who opened the socket. */
    began(head) {
        this.deliveries[this.deliveries.length] = new Delivery(this.nextRun ?? current(), head);
        this.nextRun = undefined;
        if (head.expectsContinue && (head.isChunked || head.bodyBytes > 0)) {
            this.socket.push('HTTP/1.1 100 Continue\r\n\r\n');
        }
    }

    /** The parser read a request to its end. */
    complete(head, body) {
        const delivery = this.deliveries[this.deliveries.length - 1];
        if (!this.target.rejectUnauthorized) delivery.run?.trustsAll();
        const exchange = exchanges.send(
            delivery.run,
            head.method,
            this.url(head),
            this.headers(head, delivery.run),
            body,
            (response, bytes) => this.answered(delivery, response, bytes),
            (failure) => this.failed(delivery, failure),
        );
        if (exchange instanceof Error) this.broke(exchange);
        else delivery.exchange = exchange;
    }

    isAnswering() {
        return this.deliveries.length > 0;
    }

    /** Bytes came that belong to no request: nothing more can be read here. */
    strayed() {
        this.deliveries[this.deliveries.length - 1].head.isLast = true;
    }

    /** What was written cannot be sent. */
    broke(error) {
        nextTick(destroy, this.socket, error);
    }

    /** A request goes where the socket would have gone, whatever its `host` says. */
    url(head) {
        const { target } = head;
        if (target[0] !== '/' && target !== '*') return target;
        return `${this.target.isSecure ? 'https' : 'http'}://${this.authority}${target === '*' ? '/' : target}`;
    }

    headers(head, run) {
        // The worker's HTTP client writes the address's own. Another would reach what stands behind an allowed server.
        const isUsual = head.host === '' || head.host === this.authority
            || head.host === `${this.target.host}:${this.target.port}`;
        if (!isUsual) run?.namesHost(head.host);
        return head.headers;
    }

    answered(delivery, response, bytes) {
        delivery.exchange = null;
        delivery.response = responseBytes(response, bytes, delivery.head);
        this.deliver();
    }

    failed(delivery, failure) {
        delivery.exchange = null;
        const error = failure instanceof Error ? failure : networkError(failure, this.target.host);
        if (delivery.run === undefined) destroy(this.socket, error);
        else within(delivery.run, destroy, this.socket, error);
    }

    /** Writes the answers that are due. */
    deliver() {
        while (this.deliveries.length > 0 && this.deliveries[0].response !== null && !this.socket.destroyed) {
            const { run, head, response } = this.deliveries.shift();
            const isEnd = head.isLast || (this.isEnding && this.deliveries.length === 0);
            run.handOver(this.socket);
            try {
                within(run, pushAll, this.socket, response, isEnd);
            } catch (error) {
                // A listener threw, and left Node's parser where it was: this socket is good for nothing more.
                run.threw(error);
                within(run, destroy, this.socket);
            }
            if (isEnd) return;
        }
    }
}

function destroy(socket, error) {
    socket.destroy(error);
}

function pushAll(socket, chunks, isEnd) {
    for (let index = 0; index < chunks.length; index += 1) socket.push(chunks[index]);
    if (isEnd) socket.push(null);
}

/** `host` or `host:port`, as a URL has it. */
function authority({ host, port, isSecure }) {
    const name = host.includes(':') && host[0] !== '[' ? `[${host}]` : host;
    return port === (isSecure ? 443 : 80) || port === 0 ? name : `${name}:${port}`;
}

/** A whole response as a server would write it. */
function responseBytes({ status, reason, headers }, bytes, { method, isLast }) {
    const hasBody = method !== 'HEAD' && status !== 204 && status !== 304;
    const body = hasBody ? bytes : noBytes;
    let text = `HTTP/1.1 ${status} ${reason ?? ''}\r\n`;
    for (let index = 0; index < headers.length; index += 1) {
        const [name, value] = headers[index];
        const lower = name.toLowerCase();
        // A response without a body keeps the length that the body would have had.
        if (!dropped.has(lower) || (!hasBody && status !== 204 && lower === 'content-length')) {
            text += `${name}: ${value}\r\n`;
        }
    }
    if (hasBody) text += `content-length: ${body.length}\r\n`;
    text += isLast ? 'connection: close\r\n\r\n' : 'connection: keep-alive\r\n\r\n';
    if (body.length === 0) return [Buffer.from(text, 'utf8')];
    if (body.length > copiedBytes) return [Buffer.from(text, 'utf8'), copyOf(body)];
    const headLength = Buffer.byteLength(text, 'utf8');
    const whole = Buffer.allocUnsafe(headLength + body.length);
    whole.write(text, 0, 'utf8');
    setBytes(whole, body, headLength);
    return [whole];
}

module.exports = { FarEnd };
