'use strict';

// What a light socket gives for the state of its writable stream. Node's client sets `corked` there when a request ends, which needs no
// stream; whoever reads or sets anything else has the state of a socket with streams.

const { Socket } = require('node:net');
const { stages } = require('./farend');
const { promote } = require('./promotion');
const { hostEnd } = require('./sockets');

const { getPrototypeOf, ownKeys, defineProperty } = Reflect;

class LightState {
    #socket;

    /** @param {import('node:net').Socket} socket a light one */
    constructor(socket) {
        this.#socket = socket;
    }

    get corked() {
        const farEnd = hostEnd(this.#socket);
        return farEnd.stage === stages.full ? this.#socket._writableState.corked : farEnd.corked;
    }

    set corked(value) {
        const farEnd = hostEnd(this.#socket);
        if (farEnd.stage === stages.full) this.#socket._writableState.corked = value;
        else farEnd.corked = value;
    }

    /** The state of the streams that the socket has from now on. */
    static ofStreams(state) {
        const socket = state.#socket;
        return (hostEnd(socket).stage === stages.full ? socket : promote(socket))._writableState;
    }
}

/** All other names that such a state has, its own and those that it inherits. */
function defineOthers() {
    for (let holder = new Socket({})._writableState; holder !== Object.prototype; holder = getPrototypeOf(holder)) {
        for (const key of ownKeys(holder)) {
            if (Object.hasOwn(LightState.prototype, key)) continue;
            const { get, set } = {
                get() {
                    return LightState.ofStreams(this)[key];
                },
                set(value) {
                    LightState.ofStreams(this)[key] = value;
                },
            };
            defineProperty(LightState.prototype, key, { get, set, enumerable: true, configurable: true });
        }
    }
}

defineOthers();

module.exports = { LightState };
