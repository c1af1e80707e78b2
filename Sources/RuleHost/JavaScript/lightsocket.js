'use strict';

// The socket of a usual request: a `net.Socket` to whoever asks, without the machinery of streams, which costs more than the request. Node's
// client writes to it and listens to it, and the answer comes without bytes (see answer.js). Whatever else needs a stream makes it a socket
// with streams (see promotion.js).

const { Socket } = require('node:net');
const { EventEmitter } = require('node:events');
const { isUint8Array } = require('node:util/types');
const { apply, nextTick, PrivateSet } = require('./intrinsics');
const { stages } = require('./farend');
const { opening, isOpening, finish } = require('./lightevents');
const { LightState } = require('./lightstate');
const { promote, ofEmitters } = require('./promotion');
const { HostSocket, HostTLSSocket, hostEnd } = require('./sockets');

const { ownKeys, getOwnPropertyDescriptor, defineProperty } = Reflect;
const { on: listen, prependListener: listenFirst, removeListener, removeAllListeners } = EventEmitter.prototype;
/** What a new socket has in its fields, where that is not an object: a light one has it on its prototype. */
const sample = new Socket({});
const { readableHighWaterMark, writableHighWaterMark } = sample;
/** Where Node has the timer of a socket. */
const timer = ownKeys(sample).find((key) => typeof key === 'symbol' && key.description === 'timeout') ?? Symbol('timeout');

/** Listeners of Node's own for the bytes of an answer: they are told of it without bytes. */
const nodesListeners = new PrivateSet(['socketOnData', 'freeSocketDataGuard']);
const usualEncodings = new PrivateSet([undefined, null, 'latin1', 'utf8', 'utf-8', 'binary']);

const stageOf = (socket) => hostEnd(socket)?.stage;

/** What a light socket has in the place of what streams have. */
class LightMembers {
    get _readableState() {
        return promote(this)._readableState;
    }

    get _writableState() {
        return new LightState(this);
    }

    get destroyed() {
        return stageOf(this) === stages.destroyed;
    }

    set destroyed(value) {
        promote(this).destroyed = value;
    }

    get connecting() {
        return isOpening(this);
    }

    set connecting(value) {
        // It follows from what is done with the socket.
    }

    get readable() {
        return stageOf(this) !== stages.destroyed;
    }

    set readable(value) {
        promote(this).readable = value;
    }

    get writable() {
        return stageOf(this) === stages.open;
    }

    set writable(value) {
        promote(this).writable = value;
    }

    get readableHighWaterMark() {
        return readableHighWaterMark;
    }

    get writableHighWaterMark() {
        return writableHighWaterMark;
    }

    get writableLength() {
        return 0;
    }

    // Node's client asks before it writes a part of a body: streams know what of that is on its way.
    get writableCorked() {
        return promote(this).writableCorked;
    }

    on(event, listener) {
        if (event === 'readable' || (event === 'data' && !nodesListeners.has(listener?.name))) return promote(this).on(event, listener);
        if (opening.has(event)) isOpening(this);
        return apply(listen, this, [event, listener]);
    }

    addListener(event, listener) {
        return this.on(event, listener);
    }

    prependListener(event, listener) {
        if (event === 'readable' || event === 'data') return promote(this).prependListener(event, listener);
        return apply(listenFirst, this, [event, listener]);
    }

    removeListener(event, listener) {
        return apply(removeListener, this, [event, listener]);
    }

    off(event, listener) {
        return apply(removeListener, this, [event, listener]);
    }

    removeAllListeners(...parameters) {
        return apply(removeAllListeners, this, parameters);
    }

    // What is written goes on at once all the same.
    cork() {
        hostEnd(this).corked += 1;
    }

    uncork() {
        const farEnd = hostEnd(this);
        if (farEnd.corked > 0) farEnd.corked -= 1;
    }

    pause() {
        return this;
    }

    resume() {
        return this;
    }

    write(chunk, encoding, callback) {
        const farEnd = hostEnd(this);
        const isUsual = farEnd.stage === stages.open && chunk?.length < writableHighWaterMark && (typeof chunk === 'string' ? usualEncodings.has(encoding) : isUint8Array(chunk));
        if (!isUsual || typeof encoding === 'function') return promote(this).write(chunk, encoding, callback);
        farEnd.write(chunk, typeof chunk === 'string' ? encoding ?? 'utf8' : encoding);
        if (typeof callback === 'function') nextTick(callback, null);
        return true;
    }

    destroySoon() {
        const farEnd = hostEnd(this);
        if (farEnd.stage !== stages.open) return;
        farEnd.stage = stages.ended;
        nextTick(finish, this);
    }

    destroy(error) {
        const stage = stageOf(this);
        if (stage === stages.destroyed) return this;
        if (stage !== stages.ended || error) return promote(this).destroy(error);
        // It is about to be destroyed anyhow.
        hostEnd(this).stage = stages.destroyed;
        return this;
    }
}

/** @returns {Function} a constructor of light sockets that become sockets of this class */
function lightened(Base) {
    /** @param {object} options as of `net.connect` */
    function LightSocket(options) {
        this._events = undefined;
        this._eventsCount = 0;
        this._maxListeners = undefined;
        this._httpMessage = null;
        this.parser = null;
        this[timer] = null;
        this.attachFarEnd(options, stages.open);
    }
    LightSocket.prototype = Object.create(Base.prototype);
    for (const key of ownKeys(LightMembers.prototype)) {
        if (key !== 'constructor') defineProperty(LightSocket.prototype, key, getOwnPropertyDescriptor(LightMembers.prototype, key));
    }
    for (const key of ownKeys(sample)) {
        const value = sample[key];
        const isOwn = key === timer || ofEmitters.has(key);
        if (isOwn || (typeof value === 'object' && value !== null) || key in LightMembers.prototype) continue;
        const { get, set } = {
            get: () => value,
            set(other) {
                defineProperty(this, key, { value: other, writable: true, enumerable: true, configurable: true });
            },
        };
        defineProperty(LightSocket.prototype, key, { get, set, enumerable: true, configurable: true });
    }
    return LightSocket;
}

const LightSocket = lightened(HostSocket);
const LightTLSSocket = lightened(HostTLSSocket);

module.exports = {
    LightSocket,
    LightTLSSocket,
    /** What such sockets share. @type {object[]} */
    prototypes: [LightSocket.prototype, LightTLSSocket.prototype, LightState.prototype],
};
