'use strict';

// What the host itself calls on its own paths, taken before any rule runs: a rule that replaces a global function
// (a polyfill, a test double, or worse) changes it for the rules of this host, not for the host.

const fs = require('node:fs');
const { performance } = require('node:perf_hooks');

const { writeSync } = fs;
const reallyExit = process.reallyExit.bind(process);
const { pid } = process;
const kill = process._kill.bind(process);

/**
 * Ends this process: what the worker sent, or what the engine did, leaves no way to go on.
 * @param {string} message one line for the worker's log
 * @returns {never}
 */
function die(message) {
    try {
        writeSync(2, `rule host: ${message}\n`);
    } catch {
        // Nobody listens any more; the exit code says it.
    }
    reallyExit(70);
}

/** A class whose methods a rule can't replace by replacing those of the built-in one. */
function withOwnMethods(derived, base) {
    for (const name of Reflect.ownKeys(base.prototype)) {
        if (name === 'constructor') continue;
        Object.defineProperty(derived.prototype, name, Object.getOwnPropertyDescriptor(base.prototype, name));
    }
    return Object.freeze(derived.prototype).constructor;
}

const PrivateMap = withOwnMethods(class PrivateMap extends Map {}, Map);
const PrivateSet = withOwnMethods(class PrivateSet extends Set {}, Set);
const PrivateWeakSet = withOwnMethods(class PrivateWeakSet extends WeakSet {}, WeakSet);

/** Something of ours on an object of a rule: a field that rules find, and cannot look into. */
class Hidden {
    #value;

    constructor(value) {
        this.#value = value;
    }

    static of(hidden) {
        return typeof hidden === 'object' && hidden !== null && #value in hidden ? hidden.#value : undefined;
    }
}
delete Hidden.prototype.constructor;
Object.freeze(Object.setPrototypeOf(Hidden.prototype, null));

/** What a constructor of it returns is the object that it is given: so a class that extends it puts its private field on any object. */
class Itself {
    constructor(object) {
        return object;
    }
}

/**
 * A field that can be put on any object, that rules neither see nor copy to another.
 * @returns {{of(object: object): any, set(object: object, value: any): void}}
 */
function makeStamp() {
    class Stamp extends Itself {
        #value;

        constructor(object, value) {
            super(object);
            this.#value = value;
        }

        static of(object) {
            return #value in object ? object.#value : undefined;
        }

        static set(object, value) {
            if (#value in object) object.#value = value;
            else if (value !== undefined) new Stamp(object, value);
        }
    }
    Object.freeze(Stamp);
    return { of: Stamp.of, set: Stamp.set };
}

/** Says something on descriptor 4, whatever becomes of this process next. */
function lastWords(text) {
    try {
        writeSync(4, text);
    } catch {
        // The worker sees the end all the same.
    }
}

module.exports = {
    PrivateMap,
    PrivateSet,
    PrivateWeakSet,
    makeStamp,
    hide: (value) => new Hidden(value),
    /** What is hidden, or undefined. */
    reveal: Hidden.of,
    die,
    lastWords,
    /** Ends this process at once: to exit it would wait for the threads of its pool. */
    killSelf: () => kill(pid, 9),
    reallyExit,
    parse: JSON.parse,
    stringify: JSON.stringify,
    now: performance.now.bind(performance),
    setImmediate: globalThis.setImmediate,
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
    nextTick: process.nextTick.bind(process),
    queueMicrotask: globalThis.queueMicrotask,
    apply: Reflect.apply,
    promiseThen: Promise.prototype.then,
    Promise,
};
