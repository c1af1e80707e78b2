'use strict';

// Work that Node hands to its thread pool: as long as it is under way, the rule is not complete. A response that is
// being decompressed, or a password that is being hashed, is about to go on with the rule.

const { Blob } = require('node:buffer');
const crypto = require('node:crypto');
const zlib = require('node:zlib');
const { apply, lastWords, killSelf, makeStamp, reveal } = require('./intrinsics');
const { current } = require('./attribution');
const { countCallback, countPromise } = require('./counting');
const { activities } = require('./rulework');
const { beatInterval } = require('./pulse');

/** Its callback comes when a thread of the pool, which all logins of this host share, has had a moment for it. */
const { randomBytes } = crypto;
/** Beats between two looks at the pool. */
const beatsBetween = 10;
/** Beats, not time: each is a whole pass of the event loop, in which the answer would have come. */
let mostBeats = 0;
let beats = 0;
let isAsking = false;

function answered() {
    isAsking = false;
    beats = 0;
}

/** Called with every beat: where no thread is free for too long, the work of other logins waits for nothing. */
function keepFree() {
    beats += 1;
    if (!isAsking && beats > beatsBetween) {
        isAsking = true;
        beats = 0;
        randomBytes(1, answered);
    } else if (isAsking && beats > mostBeats) {
        lastWords('pool\n');
        killSelf();
    }
}

/** Names of functions of `crypto` that use the thread pool when they are given a callback. */
const cryptoNames = [
    'pbkdf2', 'scrypt', 'hkdf', 'randomBytes', 'randomFill', 'randomInt', 'generateKey', 'generateKeyPair', 'sign',
    'verify', 'checkPrime', 'generatePrime', 'diffieHellman',
];

/** @param {number} turn milliseconds of one turn of the event loop; the pool may be taken for three times as long */
function install(turn) {
    mostBeats = (turn * 3) / beatInterval;
    for (const name of cryptoNames) {
        const original = crypto[name];
        if (typeof original !== 'function') continue;
        crypto[name] = countCallback(original);
    }
    const subtle = Object.getPrototypeOf(crypto.webcrypto.subtle);
    for (const name of Object.getOwnPropertyNames(subtle)) {
        if (name !== 'constructor' && typeof subtle[name] === 'function') subtle[name] = countPromise(subtle[name]);
    }
    for (const name of ['arrayBuffer', 'text']) Blob.prototype[name] = countPromise(Blob.prototype[name]);
    for (const name of ['compile', 'instantiate']) WebAssembly[name] = countPromise(WebAssembly[name]);
    countCompression();
}

/** Whose work a stream of zlib does. */
const worker = makeStamp();

/** All streams and one-shot functions of zlib go through these methods; where one fails, it is destroyed, and does not call back. */
function countCompression() {
    const prototype = Object.getPrototypeOf(Object.getPrototypeOf(zlib.Gunzip.prototype));
    const { _transform: transform, _destroy: destroy } = prototype;
    const ended = (stream) => {
        const run = reveal(worker.of(stream));
        worker.set(stream, undefined);
        if (run === undefined) return;
        run.mark();
        run.workEnded(activities.pool);
    };
    prototype._transform = function transformChunk(chunk, encoding, callback) {
        const run = current();
        if (run === undefined || !run.takesWork()) return apply(transform, this, [chunk, encoding, callback]);
        run.workBegan(activities.pool);
        worker.set(this, run.owner);
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

module.exports = { install, keepFree };
