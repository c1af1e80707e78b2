'use strict';

// Frames to the worker, as bytes.

const { allocUnsafeSlow, write, writeLatin, writeUInt32, slice, setBytes, max } = require('./bytes');
const { kinds, headerBytes, secretBytes, maxFrameBytes } = require('./frames');

const outputBytes = 64 << 10;

/** Queues frames one behind the other. */
class FrameWriter {
    constructor() {
        this.output = allocUnsafeSlow(outputBytes);
        this.used = 0;
        /** Called with the first frame after nothing. @type {(() => void) | null} */
        this.onFirst = null;
    }

    /** Makes room for a frame and writes its header; the length is filled in by `close`. */
    open(kind, evaluation, maxBytes) {
        if (this.used === 0 && this.onFirst !== null) this.onFirst();
        const needed = this.used + headerBytes + maxBytes;
        if (needed > this.output.length) {
            const larger = allocUnsafeSlow(max(needed, this.output.length * 2));
            setBytes(larger, slice(this.output, 0, this.used));
            this.output = larger;
        }
        const start = this.used;
        this.output[start + 4] = kind;
        writeUInt32(this.output, evaluation, start + 5);
        this.used = start + headerBytes;
        return start;
    }

    close(start) {
        const length = this.used - start - headerBytes;
        if (length > maxFrameBytes) {
            this.used = start;
            return false;
        }
        writeUInt32(this.output, length, start);
        return true;
    }

    append(string) {
        if (string === '') return;
        this.used += write(this.output, string, this.used);
    }

    appendSecret(secret) {
        this.used += writeLatin(this.output, secret, this.used, secretBytes);
    }

    appendBytes(bytes) {
        setBytes(this.output, bytes, this.used);
        this.used += bytes.length;
    }

    /** Appends a part: its length, an optional number, and text. */
    appendPart(string, number) {
        const start = this.used;
        this.used += 4;
        if (number !== undefined) this.used = writeUInt32(this.output, number, this.used);
        this.append(string);
        writeUInt32(this.output, this.used - start - 4, start);
    }

    /** Queues a frame with one text. */
    send(kind, evaluation, string) {
        const start = this.open(kind, evaluation, string.length * 3);
        this.append(string);
        this.close(start);
    }

    /**
     * Queues the end of an evaluation.
     * @param {number} evaluation
     * @param {string} secret
     * @param {import('./result').Result} result
     * @returns {boolean} false where it is too large
     */
    sendDone(evaluation, secret, { head, user, context, beforeUser, beforeContext }) {
        const length = head.length + user.length + context.length + beforeUser.length + beforeContext.length;
        const start = this.open(kinds.done, evaluation, secretBytes + 16 + length * 3);
        this.appendSecret(secret);
        this.appendPart(head);
        this.appendPart(user);
        this.appendPart(context);
        this.appendPart(beforeUser);
        this.append(beforeContext);
        return this.close(start);
    }

    /**
     * Queues a request of a rule.
     * @param {number} evaluation
     * @param {string} secret
     * @param {number} number
     * @param {string} head
     * @param {Uint8Array} body
     * @returns {boolean} false where it is too large
     */
    sendRequest(evaluation, secret, number, head, body) {
        const start = this.open(kinds.request, evaluation, secretBytes + 8 + head.length * 3 + body.length);
        this.appendSecret(secret);
        this.appendPart(head, number);
        if (body.length > 0) this.appendBytes(body);
        return this.close(start);
    }

    /** Queues that an evaluation waits for what will never come. */
    sendWaits(evaluation, secret, head) {
        const start = this.open(kinds.waits, evaluation, secretBytes + head.length * 3);
        this.appendSecret(secret);
        this.append(head);
        this.close(start);
    }

    /** Queues a frame whose payload is one number. */
    sendNumber(kind, evaluation, number) {
        const start = this.open(kind, evaluation, 4);
        this.used = writeUInt32(this.output, number, this.used);
        this.close(start);
    }
}

module.exports = { FrameWriter, outputBytes };
