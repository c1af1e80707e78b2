'use strict';

// The worker's answer, as Node's HTTP client takes it: on the short way as values, straight into the client's parser callbacks; else as
// the bytes that a server would write.

const { apply } = require('./intrinsics');
const { setBytes, copyOf } = require('./bytes');
const { headArrived, bodyArrived, endArrived } = require('./lazyparser');

/** Headers of a response that were about the worker's connection; the body comes whole. */
const dropped = new Set([
    'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'content-length', 'trailer', 'upgrade',
]);
const noBytes = Buffer.alloc(0);
/** A larger body is not put behind its head. */
const copiedBytes = 16 << 10;

/** Pairs that Node's parser hands over at once; more it hands over in parts, and counts. */
const mostHeaders = 30;
/** Characters of all headers, far below what Node's parser refuses. */
const mostCharacters = 8 << 10;
/** What a parser would leave as it is. */
const plainName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const plainValue = /^(?:[!-~](?:[ -~]*[!-~])?)?$/;
const plainReason = /^[ -~]*$/;

/** An answer to one request. */
class Answer {
    /**
     * @param {{status: number, reason?: string, headers: [string, string][]}} head
     * @param {Uint8Array} bytes of the worker's frame, which rules must not see
     * @param {{method: string, isLast: boolean}} request
     */
    constructor({ status, reason, headers }, bytes, { method, isLast }) {
        this.status = status;
        this.reason = reason ?? '';
        this.isLast = isLast;
        this.hasBody = method !== 'HEAD' && status !== 204 && status !== 304;
        this.body = this.hasBody && bytes.length > 0 ? copyOf(bytes) : noBytes;
        /** Whether its text says where it ends, so that another may follow. */
        this.hasLength = this.hasBody || status === 204 || status === 304;
        /** Names and values by turns, as a server would write them. */
        this.headers = this.headersOf(headers);
    }

    headersOf(given) {
        const headers = [];
        for (let index = 0; index < given.length; index += 1) {
            const name = given[index][0];
            const lower = name.toLowerCase();
            // A response without a body keeps the length that the body would have had.
            const isLength = lower === 'content-length' && !this.hasBody && this.status !== 204;
            if (isLength) this.hasLength = true;
            if (isLength || !dropped.has(lower)) {
                headers[headers.length] = name;
                headers[headers.length] = given[index][1];
            }
        }
        if (this.hasBody) {
            headers[headers.length] = 'content-length';
            headers[headers.length] = `${this.body.length}`;
        }
        headers[headers.length] = 'connection';
        headers[headers.length] = this.isLast ? 'close' : 'keep-alive';
        return headers;
    }

    /** Whether a parser would make of its text nothing but these values. */
    isPlain() {
        const { headers, status } = this;
        if (!(status >= 200 && status <= 999) || headers.length > 2 * mostHeaders || !plainReason.test(this.reason)) return false;
        let characters = this.reason.length;
        for (let index = 0; index < headers.length; index += 2) {
            const name = headers[index];
            const value = headers[index + 1];
            characters += name.length + value.length;
            if (!plainName.test(name) || !plainValue.test(value)) return false;
        }
        return characters <= mostCharacters;
    }

    /** Gives it to the client whose parser this is, as that would have. */
    giveTo(parser) {
        const { headers, status, reason, body } = this;
        const { socket } = parser;
        apply(headArrived, parser, [1, 1, headers, undefined, undefined, status, reason, false, !this.isLast && this.hasLength]);
        // A large body would have come after the head, and to a socket that is no more not at all.
        if (body.length > copiedBytes && socket.destroyed) return;
        if (body.length > 0) apply(bodyArrived, parser, [body]);
        apply(endArrived, parser, []);
    }

    /** As a server would write it. */
    chunks() {
        const { headers, body } = this;
        let text = `HTTP/1.1 ${this.status} ${this.reason}\r\n`;
        for (let index = 0; index < headers.length; index += 2) text += `${headers[index]}: ${headers[index + 1]}\r\n`;
        text += '\r\n';
        if (body.length === 0) return [Buffer.from(text, 'utf8')];
        if (body.length > copiedBytes) return [Buffer.from(text, 'utf8'), body];
        const headLength = Buffer.byteLength(text, 'utf8');
        const whole = Buffer.allocUnsafe(headLength + body.length);
        whole.write(text, 0, 'utf8');
        setBytes(whole, body, headLength);
        return [whole];
    }
}

module.exports = { Answer };
