'use strict';

// Work that Node hands to its thread pool: as long as it is under way, the rule is not complete. A response that is
// being decompressed, or a password that is being hashed, is about to go on with the rule.

const crypto = require('node:crypto');
const zlib = require('node:zlib');
const { promisify } = require('node:util');
const { apply } = require('./intrinsics');
const { current } = require('./attribution');
const { countPromise } = require('./timers');

/** Wraps a function whose last argument is the callback of something asynchronous. */
function countCallback(original) {
    function counted(...parameters) {
        const run = current();
        const callback = parameters[parameters.length - 1];
        if (run === undefined || run.evaluation.isOver || typeof callback !== 'function') {
            return apply(original, this, parameters);
        }
        let isUnderWay = true;
        parameters[parameters.length - 1] = function ended(...results) {
            if (isUnderWay) {
                isUnderWay = false;
                run.mark();
                run.workEnded();
            }
            return apply(callback, this, results);
        };
        run.workBegan();
        try {
            return apply(original, this, parameters);
        } catch (error) {
            if (isUnderWay) {
                isUnderWay = false;
                run.workEnded();
            }
            throw error;
        }
    }
    if (original[promisify.custom]) counted[promisify.custom] = original[promisify.custom];
    return counted;
}

/** Names of functions of `crypto` that use the thread pool when they are given a callback. */
const cryptoNames = [
    'pbkdf2', 'scrypt', 'hkdf', 'randomBytes', 'randomFill', 'randomInt', 'generateKey', 'generateKeyPair', 'sign',
    'verify', 'checkPrime', 'generatePrime', 'diffieHellman',
];

function install() {
    for (const name of cryptoNames) {
        const original = crypto[name];
        if (typeof original !== 'function') continue;
        const wrapped = countCallback(original);
        for (const key of Reflect.ownKeys(original)) {
            if (typeof key === 'symbol') wrapped[key] = original[key];
        }
        crypto[name] = wrapped;
    }
    const subtle = Object.getPrototypeOf(crypto.webcrypto.subtle);
    for (const name of Object.getOwnPropertyNames(subtle)) {
        if (name !== 'constructor' && typeof subtle[name] === 'function') subtle[name] = countPromise(subtle[name]);
    }
    countCompression();
}

/** Whose work a stream of zlib does. */
const worker = Symbol('worker');

/** All streams and one-shot functions of zlib go through these methods; where one fails, it is destroyed, and does not call back. */
function countCompression() {
    const prototype = Object.getPrototypeOf(Object.getPrototypeOf(zlib.Gunzip.prototype));
    const { _transform: transform, _destroy: destroy } = prototype;
    const ended = (stream) => {
        const run = stream[worker];
        stream[worker] = undefined;
        if (run === undefined) return;
        run.mark();
        run.workEnded();
    };
    prototype._transform = function transformChunk(chunk, encoding, callback) {
        const run = current();
        if (run === undefined || run.evaluation.isOver) return apply(transform, this, [chunk, encoding, callback]);
        run.workBegan();
        this[worker] = run;
        return apply(transform, this, [chunk, encoding, (...results) => {
            ended(this);
            callback(...results);
        }]);
    };
    prototype._destroy = function destroyStream(error, callback) {
        ended(this);
        return apply(destroy, this, [error, callback]);
    };
}

module.exports = { install };
