'use strict';

// A light socket becomes one with streams: `HostSocket` or `HostTLSSocket`, whichever it inherits from, with all that it had. It stays the
// same object, so whoever holds it notices nothing.

const { Socket } = require('node:net');
const { EventEmitter } = require('node:events');
const { apply, PrivateSet } = require('./intrinsics');
const { stages } = require('./farend');
const { hostEnd } = require('./sockets');

const { setPrototypeOf, getPrototypeOf, ownKeys } = Reflect;
const { removeListener } = EventEmitter.prototype;

/** Fields that the constructor of an emitter leaves alone where they are set. */
const ofEmitters = new PrivateSet(['_events', '_eventsCount', '_maxListeners']);

/**
 * Gives a light socket its streams.
 * @param {import('node:net').Socket} socket
 * @returns {import('node:net').Socket} the same
 */
function promote(socket) {
    const farEnd = hostEnd(socket);
    // A method of light sockets can be called on anything.
    if (farEnd?.socket !== socket || farEnd.stage === stages.full) throw new TypeError('Illegal invocation');
    const { stage } = farEnd;
    const isConnecting = socket.connecting;
    farEnd.stage = stages.full;
    const fields = {};
    for (const key of ownKeys(socket)) if (!ofEmitters.has(key)) fields[key] = socket[key];
    setPrototypeOf(socket, getPrototypeOf(getPrototypeOf(socket)));
    apply(Socket, socket, [{}]);
    socket.connecting = isConnecting;
    for (const key of ownKeys(fields)) socket[key] = fields[key];
    for (let left = farEnd.corked; left > 0; left -= 1) socket.cork();
    listenAgain(socket);
    if (stage === stages.ended) socket.destroySoon();
    else if (stage === stages.destroyed) markClosed(socket);
    farEnd.isClosing = stage === stages.destroyed;
    return socket;
}

/** A stream begins to flow as somebody listens for its data. */
function listenAgain(socket) {
    for (const listener of socket.rawListeners('data')) {
        apply(removeListener, socket, ['data', listener]);
        socket.on('data', listener);
    }
}

/** Its streams are over, and say so. */
function markClosed({ _readableState: readable, _writableState: writable }) {
    for (const state of [readable, writable]) {
        state.ended = true;
        state.destroyed = true;
        state.closed = true;
        state.closeEmitted = true;
    }
    readable.endEmitted = true;
    writable.ending = true;
    writable.finished = true;
}

module.exports = { promote, ofEmitters };
