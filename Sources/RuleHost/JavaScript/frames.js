'use strict';

// Frames between worker and host: `u32 length of payload, u8 kind, u32 evaluation, payload`, little endian, on one
// Unix stream socket.

const { die } = require('./intrinsics');
const { text, latin, readUInt32, slice } = require('./bytes');

const headerBytes = 9;
/** A frame of either direction; the worker has the same limit. */
const maxFrameBytes = 64 << 20;
/** Bytes of the secret that each evaluation has, and its frames carry back. */
const secretBytes = 16;

/** Kinds of frames, as in the contract with the worker. */
const kinds = Object.freeze({
    load: 1, evaluate: 2, response: 3, failed: 4, cancel: 5, ping: 6, retire: 7, evaluateAlone: 8, end: 9,
    loaded: 65, refused: 66, done: 67, request: 68, cancelRequest: 69, console: 70, warning: 71, pong: 72, waits: 73,
});

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
        return text(this.bytes, this.start, this.end);
    }

    /** The rest of the payload as bytes. Around them are other logins' frames: no rule may have them, but for a copy. */
    rest() {
        return slice(this.bytes, this.start, this.end);
    }

    /** Takes the secret of an evaluation off the front, as text with a character for each byte: cheaper than bytes. */
    secret() {
        const end = this.start + secretBytes;
        if (end > this.end) die('a frame of the worker is too short');
        const value = latin(this.bytes, this.start, end);
        this.start = end;
        return value;
    }

    /** Reads a frame `evaluate`. */
    evaluate() {
        return { secret: this.secret(), head: this.partText(), userText: this.partText(), contextText: this.text() };
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
        const value = text(this.bytes, this.start, end);
        this.start = end;
        return value;
    }

    /** Takes a part that starts with a number off the front: the number, and the text after it. */
    numberedPart() {
        const end = this.number() + this.start;
        if (end > this.end) die('a part of a frame of the worker is longer than the frame');
        const number = this.number();
        if (this.start > end) die('a part of a frame of the worker is too short');
        const value = text(this.bytes, this.start, end);
        this.start = end;
        return { number, text: value };
    }
}

module.exports = { Frame, kinds, headerBytes, secretBytes, maxFrameBytes };
