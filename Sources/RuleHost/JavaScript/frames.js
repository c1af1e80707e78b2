'use strict';

// Frames between worker and host: `u32 length of payload, u8 kind, u32 evaluation, payload`, little endian, on one
// Unix stream socket. Reading and writing are batched: everything that one read brought is handed on at once, and
// everything that a turn produced leaves with one write.

const net = require('node:net');
const { die } = require('./intrinsics');

const headerBytes = 9;
/** A frame of either direction; the worker has the same limit. */
const maxFrameBytes = 64 << 20;
const outputBytes = 64 << 10;

/** Kinds of frames, as in the contract with the worker. */
const kinds = Object.freeze({
    load: 1, evaluate: 2, response: 3, failed: 4, cancel: 5, ping: 6, retire: 7, evaluateAlone: 8,
    loaded: 65, refused: 66, done: 67, request: 68, cancelRequest: 69, console: 70, warning: 71, pong: 72,
});

const { allocUnsafeSlow, concat } = Buffer;
const proto = Buffer.prototype;
/** Buffer's methods, uncurried: `call(buffer, …)`. */
const uncurry = (method) => Function.prototype.call.bind(method);
const write = uncurry(proto.write);
const text = uncurry(proto.toString);
const readUInt32 = uncurry(proto.readUInt32LE);
const writeUInt32 = uncurry(proto.writeUInt32LE);
const slice = uncurry(proto.subarray);

/** One frame from the worker; its bytes are `bytes[start..<end]`. */
class Frame {
    constructor(kind, evaluation, bytes, start, end) {
        this.kind = kind;
        this.evaluation = evaluation;
        this.bytes = bytes;
        this.start = start;
        this.end = end;
    }

    /** The rest of the payload as text. */
    text() {
        return text(this.bytes, 'utf8', this.start, this.end);
    }

    /** The rest of the payload as bytes. */
    rest() {
        return slice(this.bytes, this.start, this.end);
    }

    /** Takes a number of four bytes off the front. */
    number() {
        if (this.end - this.start < 4) die('a frame of the worker is too short');
        const value = readUInt32(this.bytes, this.start);
        this.start += 4;
        return value;
    }

    /** Takes a part with its length off the front, and returns it as text. */
    partText() {
        const end = this.number() + this.start;
        if (end > this.end) die('a part of a frame of the worker is longer than the frame');
        const value = text(this.bytes, 'utf8', this.start, end);
        this.start = end;
        return value;
    }

    /** Takes a part that starts with a number off the front: the number, and the text after it. */
    numberedPart() {
        const end = this.number() + this.start;
        if (end > this.end) die('a part of a frame of the worker is longer than the frame');
        const number = this.number();
        if (this.start > end) die('a part of a frame of the worker is too short');
        const value = text(this.bytes, 'utf8', this.start, end);
        this.start = end;
        return { number, text: value };
    }
}

/** The socket to the worker. */
class FrameSocket {
    /**
     * @param {number} descriptor of the stream socket
     * @param {(frames: Frame[]) => void} received called with all whole frames of a read
     */
    constructor(descriptor, received) {
        this.received = received;
        this.unread = [];
        this.unreadBytes = 0;
        this.neededBytes = headerBytes;
        this.output = allocUnsafeSlow(outputBytes);
        this.used = 0;
        this.spare = [];
        this.onFirst = null;
        this.socket = new net.Socket({ fd: descriptor, readable: true, writable: true });
        this.write = this.socket.write.bind(this.socket);
        this.socket.on('data', (chunk) => this.dataArrived(chunk));
        // The worker is gone, and with it the reason to be.
        this.socket.on('end', () => die('the worker closed the connection'));
        this.socket.on('error', (error) => die(`the connection to the worker failed: ${error.message}`));
    }

    dataArrived(chunk) {
        let bytes = chunk;
        if (this.unreadBytes > 0) {
            this.unread[this.unread.length] = chunk;
            this.unreadBytes += chunk.length;
            if (this.unreadBytes < this.neededBytes) return;
            bytes = concat(this.unread, this.unreadBytes);
            this.unread = [];
            this.unreadBytes = 0;
        }
        const frames = [];
        let start = 0;
        this.neededBytes = headerBytes;
        while (bytes.length - start >= headerBytes) {
            const length = readUInt32(bytes, start);
            if (length > maxFrameBytes) die(`a frame of the worker has ${length} bytes, ${maxFrameBytes} are allowed`);
            const end = start + headerBytes + length;
            if (end > bytes.length) {
                this.neededBytes = end - start;
                break;
            }
            const evaluation = readUInt32(bytes, start + 5);
            frames[frames.length] = new Frame(bytes[start + 4], evaluation, bytes, start + headerBytes, end);
            start = end;
        }
        if (start < bytes.length) {
            this.unread[0] = start === 0 ? bytes : slice(bytes, start);
            this.unreadBytes = bytes.length - start;
        }
        if (frames.length > 0) this.received(frames);
    }

    /** Makes room for a frame and writes its header; the length is filled in by `close`. */
    open(kind, evaluation, maxBytes) {
        if (this.used === 0 && this.onFirst !== null) this.onFirst();
        const needed = this.used + headerBytes + maxBytes;
        if (needed > this.output.length) {
            const larger = allocUnsafeSlow(Math.max(needed, this.output.length * 2));
            this.output.copy(larger, 0, 0, this.used);
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
        this.used += write(this.output, string, this.used, 'utf8');
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

    /** Queues the end of an evaluation. */
    sendDone(evaluation, head, user, context) {
        const start = this.open(kinds.done, evaluation, 8 + (head.length + user.length + context.length) * 3);
        this.appendPart(head);
        this.appendPart(user);
        this.append(context);
        return this.close(start);
    }

    /** Queues a request of a rule; the body is a `Uint8Array`. */
    sendRequest(evaluation, number, head, body) {
        const start = this.open(kinds.request, evaluation, 8 + head.length * 3 + body.length);
        this.appendPart(head, number);
        if (body.length > 0) {
            this.output.set(body, this.used);
            this.used += body.length;
        }
        return this.close(start);
    }

    /** Queues a frame whose payload is one number. */
    sendNumber(kind, evaluation, number) {
        const start = this.open(kind, evaluation, 4);
        this.used = writeUInt32(this.output, number, this.used);
        this.close(start);
    }

    /** Hands everything that is queued to the operating system. */
    flush() {
        if (this.used === 0) return;
        const full = this.output;
        const bytes = slice(full, 0, this.used);
        this.used = 0;
        this.output = this.spare.length > 0 ? this.spare.pop() : allocUnsafeSlow(outputBytes);
        this.write(bytes, () => {
            // Larger ones were made for one frame, and are not worth keeping.
            if (full.length === outputBytes && this.spare.length < 4) this.spare[this.spare.length] = full;
        });
    }
}

module.exports = { Frame, FrameSocket, kinds, maxFrameBytes };
