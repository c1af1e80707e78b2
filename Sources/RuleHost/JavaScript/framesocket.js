'use strict';

// The socket to the worker. Reading and writing are batched: everything that one read brought is handed on at once, and
// everything that a turn produced leaves with one write.

const net = require('node:net');
const { die } = require('./intrinsics');
const { allocUnsafeSlow, concat, readUInt32, slice } = require('./bytes');
const { Frame, headerBytes, maxFrameBytes } = require('./frames');
const { FrameWriter, outputBytes } = require('./framewriter');

/** Gives an object all methods that it inherits: whoever replaces those of its class sees nothing of what it does. */
function pin(object) {
    for (let holder = Object.getPrototypeOf(object); holder !== null; holder = Object.getPrototypeOf(holder)) {
        if (holder === Object.prototype) break;
        for (const key of Reflect.ownKeys(holder)) {
            const descriptor = Reflect.getOwnPropertyDescriptor(holder, key);
            if (key === 'constructor' || key === 'onread' || Object.hasOwn(object, key)) continue;
            if (typeof descriptor.value === 'function') Object.defineProperty(object, key, descriptor);
        }
    }
}

/** The socket to the worker. */
class FrameSocket extends FrameWriter {
    /**
     * @param {number} descriptor of the stream socket
     * @param {(frames: Frame[]) => void} received called with all whole frames of a read
     */
    constructor(descriptor, received) {
        super();
        this.received = received;
        this.unread = [];
        this.unreadBytes = 0;
        this.neededBytes = headerBytes;
        this.spare = [];
        /** Writes that the operating system has not taken yet. */
        this.writes = 0;
        /** Called when it has taken all. @type {(() => void) | null} */
        this.onWritten = null;
        this.socket = new net.Socket({ fd: descriptor, readable: true, writable: true });
        pin(this.socket);
        pin(this.socket._handle);
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

    /** Hands everything that is queued to the operating system. */
    flush() {
        if (this.used === 0) return;
        const full = this.output;
        const bytes = slice(full, 0, this.used);
        this.used = 0;
        const left = this.spare.length;
        if (left > 0) {
            this.output = this.spare[left - 1];
            this.spare.length = left - 1;
        } else {
            this.output = allocUnsafeSlow(outputBytes);
        }
        this.writes += 1;
        this.write(bytes, () => {
            this.writes -= 1;
            // Larger ones were made for one frame, and are not worth keeping.
            if (full.length === outputBytes && this.spare.length < 4) this.spare[this.spare.length] = full;
            if (this.writes === 0) this.onWritten?.();
        });
    }

    /** Hands over everything that is queued, and calls when the operating system has it. */
    finish(written) {
        this.flush();
        this.onWritten = written;
        if (this.writes === 0) written();
    }
}

module.exports = { FrameSocket };
