'use strict';

// Reads the requests that an HTTP client writes, from the far end of an in-memory socket. The client is Node's own, or
// that of a package: it writes well-formed HTTP/1.1, so this reads little more than that, and refuses the rest.

const { refusal } = require('./errors');
const { bodyLimit } = require('./exchanges');

const maxHeadLength = 256 << 10;
const onlyHTTP = 'rules can only speak HTTP over a socket; other protocols need a tunnel, which is not offered yet';
const { from, concat } = Buffer;

/** Headers that belong to the connection, not to the request. */
const hopByHop = new Set([
    'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'content-length', 'te', 'trailer', 'upgrade',
    'expect',
]);

/** What a request's head says. */
class RequestHead {
    constructor(method, target) {
        this.method = method;
        this.target = target;
        /** @type {[string, string][]} */
        this.headers = [];
        this.host = '';
        this.bodyBytes = 0;
        this.isChunked = false;
        this.isLast = false;
        this.expectsContinue = false;
        /** Set where the head asks for something that is not offered. */
        this.error = null;
    }
}

/** @param {string} text of a head, without the empty line at its end */
function parseHead(text) {
    let end = text.indexOf('\r\n');
    if (end === -1) end = text.length;
    const first = text.indexOf(' ');
    const second = text.indexOf(' ', first + 1);
    const head = new RequestHead(text.slice(0, first), text.slice(first + 1, second));
    const protocol = text.slice(second + 1, end);
    if (first < 1 || second < 0 || second > end || (protocol !== 'HTTP/1.1' && protocol !== 'HTTP/1.0')) {
        head.error = refusal(onlyHTTP);
        return head;
    }
    head.isLast = protocol === 'HTTP/1.0';
    while (end < text.length) {
        const start = end + 2;
        end = text.indexOf('\r\n', start);
        if (end === -1) end = text.length;
        const colon = text.indexOf(':', start);
        if (colon === -1 || colon > end) continue;
        addHeader(head, text.slice(start, colon), text.slice(colon + 1, end).trim());
    }
    if (head.method === 'CONNECT') head.error = refusal(onlyHTTP);
    return head;
}

function addHeader(head, name, value) {
    const lower = name.toLowerCase();
    if (lower === 'host') {
        head.host = value;
        return;
    }
    if (!hopByHop.has(lower)) {
        head.headers[head.headers.length] = [name, value];
        return;
    }
    if (lower === 'content-length') {
        head.bodyBytes = Number(value);
        if (!Number.isSafeInteger(head.bodyBytes) || head.bodyBytes < 0) head.error = refusal('content-length is not a number');
    } else if (lower === 'transfer-encoding') {
        head.isChunked = /chunked/i.test(value);
    } else if (lower === 'connection') {
        if (/close/i.test(value)) head.isLast = true;
        else if (/keep-alive/i.test(value)) head.isLast = false;
    } else if (lower === 'expect') {
        head.expectsContinue = /100-continue/i.test(value);
    } else if (lower === 'upgrade' && !/^h2c$/i.test(value)) {
        head.error = refusal(`rules cannot upgrade a connection to ${value}: ${onlyHTTP}`);
    }
}

const states = Object.freeze({ head: 0, body: 1, chunkSize: 2, chunk: 3, chunkEnd: 4, trailers: 5, broken: 6 });

/** Whether bytes behind a request are another one. A body that the head did not announce (of a GET, for Node) is none. */
function startsRequest(chunk) {
    return /^[A-Z]+ \S/.test(typeof chunk === 'string' ? chunk : Buffer.prototype.latin1Slice.call(chunk, 0, Math.min(chunk.length, 40)));
}

/** Takes what is written, and hands over whole requests. */
class RequestParser {
    /**
     * @param {{began(head: RequestHead): void, complete(head: RequestHead, body: Uint8Array | null): void,
     *     isAnswering(): boolean, strayed(): void, broke(error: Error): void}} owner
     */
    constructor(owner) {
        this.owner = owner;
        this.state = states.head;
        this.unread = '';
        this.head = null;
        this.parts = [];
        this.bytes = 0;
        this.needed = 0;
    }

    /**
     * @param {string | Uint8Array} chunk as it was written
     * @param {BufferEncoding} encoding of a string
     */
    write(chunk, encoding) {
        if (this.state === states.head) {
            if (this.unread === '' && this.owner.isAnswering() && chunk.length > 0 && !startsRequest(chunk)) {
                this.owner.strayed();
                return;
            }
            if (typeof chunk !== 'string') this.writeHeadBytes(chunk);
            else this.writeHeadText(chunk, encoding);
        } else {
            this.writeBody(typeof chunk === 'string' ? from(chunk, encoding) : chunk);
        }
    }

    writeHeadText(chunk, encoding) {
        if (encoding === 'latin1' || encoding === 'utf8' || encoding === 'utf-8' || encoding === 'binary') {
            const text = this.unread.length === 0 ? chunk : this.unread + chunk;
            const end = text.indexOf('\r\n\r\n');
            if (end !== -1) {
                this.unread = '';
                this.beginRequest(text.slice(0, end));
                if (end + 4 < text.length && this.state !== states.broken) {
                    this.write(from(text.slice(end + 4), encoding), undefined);
                }
                return;
            }
            if (this.unread.length === 0) {
                // Bytes from here on, in case the rest arrives in another encoding.
                this.keepUnread(encoding === 'latin1' || encoding === 'binary' ? text : from(text, encoding).latin1Slice());
                return;
            }
        }
        this.writeHeadBytes(from(chunk, encoding));
    }

    writeHeadBytes(bytes) {
        const buffer = Buffer.isBuffer(bytes) ? bytes : from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        const before = this.unread.length;
        const text = this.unread + buffer.latin1Slice();
        const end = text.indexOf('\r\n\r\n');
        if (end === -1) {
            this.keepUnread(text);
            return;
        }
        this.unread = '';
        this.beginRequest(text.slice(0, end));
        const rest = end + 4 - before;
        if (rest < buffer.length && this.state !== states.broken) this.write(buffer.subarray(rest), undefined);
    }

    keepUnread(text) {
        this.unread = text;
        if (text.length > maxHeadLength) this.break(refusal('the address and the headers of the request are too large: send that in the body'));
        // Text of other protocols has no end of a head; what cannot begin a request is refused at once.
        else if (!/^(?:\r\n)*[A-Za-z-]{0,32}(?: |$)/.test(text)) this.break(refusal(onlyHTTP));
    }

    break(error) {
        this.state = states.broken;
        this.owner.broke(error);
    }

    beginRequest(text) {
        const head = parseHead(text.startsWith('\r\n') ? text.slice(2) : text);
        if (head.error !== null) {
            this.break(head.error);
            return;
        }
        this.owner.began(head);
        this.head = head;
        if (head.isChunked) {
            this.state = states.chunkSize;
        } else if (head.bodyBytes > 0) {
            if (head.bodyBytes > bodyLimit()) {
                this.break(refusal(`the request's body is larger than ${bodyLimit()} bytes (egress.max_response, which holds for both directions)`));
                return;
            }
            this.state = states.body;
            this.needed = head.bodyBytes;
        } else {
            this.completeRequest(null);
        }
    }

    completeRequest(body) {
        const { head } = this;
        this.head = null;
        this.parts = [];
        this.bytes = 0;
        this.state = states.head;
        this.owner.complete(head, body);
    }

    /** Adds bytes to the body; false where it has grown too large. */
    keepPart(bytes) {
        this.parts[this.parts.length] = bytes;
        this.bytes += bytes.length;
        if (this.bytes <= bodyLimit()) return true;
        this.break(refusal(`the request's body is larger than ${bodyLimit()} bytes (egress.max_response, which holds for both directions)`));
        return false;
    }

    body() {
        return this.parts.length === 1 ? this.parts[0] : concat(this.parts, this.bytes);
    }

    writeBody(bytes) {
        if (this.state === states.broken) return;
        if (this.state !== states.body) {
            this.writeChunks(bytes);
            return;
        }
        const missing = this.needed - this.bytes;
        if (bytes.length < missing) {
            this.keepPart(bytes);
            return;
        }
        this.keepPart(bytes.length === missing ? bytes : bytes.subarray(0, missing));
        this.completeRequest(this.body());
        if (bytes.length > missing) this.write(bytes.subarray(missing), undefined);
    }

    /** Reads a body that comes in chunks, each with its length before it. */
    writeChunks(bytes) {
        let at = 0;
        while (at < bytes.length) {
            if (this.state === states.chunk) {
                const end = Math.min(bytes.length, at + this.needed);
                if (!this.keepPart(bytes.subarray(at, end))) return;
                this.needed -= end - at;
                at = end;
                if (this.needed === 0) this.state = states.chunkEnd;
                continue;
            }
            const lineEnd = bytes.indexOf(0x0a, at);
            const end = lineEnd === -1 ? bytes.length : lineEnd + 1;
            this.unread += Buffer.prototype.latin1Slice.call(bytes, at, end);
            at = end;
            if (lineEnd === -1) {
                if (this.unread.length > maxHeadLength) this.break(refusal('a chunk of the request has no length'));
                return;
            }
            const line = this.unread.trim();
            this.unread = '';
            if (!this.lineArrived(line)) return;
            if (this.state === states.head) {
                if (at < bytes.length) this.write(bytes.subarray(at), undefined);
                return;
            }
        }
    }

    lineArrived(line) {
        if (this.state === states.chunkEnd) {
            this.state = states.chunkSize;
        } else if (this.state === states.chunkSize) {
            this.needed = Number.parseInt(line, 16);
            if (!(this.needed >= 0)) {
                this.break(refusal('a chunk of the request has no length'));
                return false;
            }
            this.state = this.needed === 0 ? states.trailers : states.chunk;
        } else if (line === '') {
            this.completeRequest(this.bytes === 0 ? null : this.body());
        }
        return true;
    }
}

module.exports = { RequestParser, onlyHTTP };
