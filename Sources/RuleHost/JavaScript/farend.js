'use strict';

// The far end of a rule's socket: it reads requests out of what the rule's HTTP client writes, sends each to the worker
// as a frame, and writes the answers as a server would.

const { EventEmitter } = require('node:events');
const { nextTick, apply } = require('./intrinsics');
const { Answer } = require('./answer');
const { plain } = require('./bytes');
const { within: withinParser } = require('./lazyparser');
const { current, within } = require('./attribution');
const { networkError, refusal } = require('./errors');
const { RequestParser } = require('./requestparser');
const exchanges = require('./exchanges');

/** How far a light socket has come (see lightsocket.js), and that of one with streams. */
const stages = Object.freeze({ open: 0, ended: 1, destroyed: 2, full: 3 });
const { emit } = EventEmitter.prototype;
const noBytes = Object.freeze(Buffer.alloc(0));

/** A request on its way; answers are written in the order of the requests. */
class Delivery {
    constructor(run, head) {
        this.run = run;
        this.head = head;
        /** @type {import('./exchanges').Exchange | null} */
        this.exchange = null;
        /** @type {Answer | null} */
        this.answer = null;
    }
}

class FarEnd {
    /**
     * @param {import('./sockets').HostSocket} socket the near end
     * @param {{host: string, port: number, isSecure: boolean, rejectUnauthorized: boolean}} target
     * @param {number} stage
     */
    constructor(socket, target, stage) {
        this.socket = socket;
        this.stage = stage;
        this.target = target;
        this.authority = authority(target);
        this.parser = new RequestParser(this);
        /** @type {Delivery[]} */
        this.deliveries = [];
        this.isEnding = false;
        /** Whether the near end is about to be told that it is open. */
        this.isOpening = false;
        this.hasOpened = false;
        /** How often the near end was corked. */
        this.corked = 0;
        /** Whether a light socket got streams between its destruction and its close. */
        this.isClosing = false;
        /** Whether the last answer was given. */
        this.hasEnded = false;
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
        this.parser.write(typeof chunk === 'string' ? chunk : plain(chunk), encoding);
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
        delivery.answer = new Answer(response, bytes, delivery.head);
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
        while (this.deliveries.length > 0 && this.deliveries[0].answer !== null && !this.socket.destroyed) {
            const { run, head, answer } = this.deliveries.shift();
            const isEnd = head.isLast || (this.isEnding && this.deliveries.length === 0);
            run.handOver(this.socket);
            try {
                within(run, giveAnswer, this, answer, isEnd);
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

/** Gives an answer to the near end: without bytes where that is light and Node's client waits for it. */
function giveAnswer(farEnd, answer, isEnd) {
    const { socket } = farEnd;
    const { parser } = socket;
    if (farEnd.stage === stages.open && isShort(parser, answer) && withinParser(parser, giveTo, answer)) {
        // Node's client looks then whether the message is complete, and lets go of its parser.
        if (socket.parser === parser) apply(emit, socket, ['data', noBytes]);
    } else {
        // One that gets its streams now is read from at once, as if it had them before.
        if (farEnd.stage !== stages.full) socket.read(0);
        const chunks = answer.chunks();
        for (let index = 0; index < chunks.length; index += 1) socket.push(chunks[index]);
    }
    if (!isEnd) return;
    farEnd.hasEnded = true;
    if (farEnd.stage === stages.full) socket.push(null);
    // Whoever watches what Node does sees what a tick is given.
    else nextTick(() => endLight(farEnd));
}

/** Whether Node's client, which waits for an answer, would find nothing in its bytes but what is given to it without. */
function isShort(parser, answer) {
    return parser !== null && parser.outgoing?.maxHeaderSize === undefined && answer.isPlain();
}

function giveTo(parser, answer) {
    answer.giveTo(parser);
}

function endLight(farEnd) {
    if (farEnd.stage === stages.full) {
        farEnd.socket.push(null);
    } else if (farEnd.stage === stages.open) {
        farEnd.socket.emit('end');
        nextTick(() => {
            if (farEnd.stage === stages.open) farEnd.socket.destroySoon();
        });
    }
}

/** `host` or `host:port`, as a URL has it. */
function authority({ host, port, isSecure }) {
    const name = host.includes(':') && host[0] !== '[' ? `[${host}]` : host;
    return port === (isSecure ? 443 : 80) || port === 0 ? name : `${name}:${port}`;
}

module.exports = { FarEnd, stages };
