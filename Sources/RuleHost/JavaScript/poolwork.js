'use strict';

// Work that Node hands to its thread pool: as long as it is under way, the rule is not complete. A response that is
// being decompressed, or a password that is being hashed, is about to go on with the rule.

const crypto = require('node:crypto');
const zlib = require('node:zlib');
const { promisify } = require('node:util');
const { apply, now, promiseThen, lastWords, killSelf, PrivateSet } = require('./intrinsics');
const { current } = require('./attribution');
const { countPromise } = require('./timers');

/** Threads of the pool, which all logins of this host share; the environment that would change their number is empty. */
const threads = 4;
/** Work that a thread may take as long over as its arguments say, in the order of its beginning, which is also the pool's. */
const jobs = new PrivateSet();
let longest = 0;

class Job {
    constructor(run) {
        this.run = run;
        /** When a thread took it up; 0: it waits for one. */
        this.began = jobs.size < threads ? now() : 0;
        jobs.add(this);
    }

    end() {
        jobs.delete(this);
        for (const job of jobs) {
            if (job.began !== 0) continue;
            job.began = now();
            return;
        }
    }
}

/** Called with every beat: where all threads are taken for too long, those of other logins wait for nothing. */
function keepFree() {
    if (jobs.size < threads) return;
    for (const { run, began } of jobs) {
        if (now() - began < longest) return;
        lastWords(run === undefined ? 'pool 0 -1\n' : `pool ${run.evaluation.number} ${run.index}\n`);
        killSelf();
    }
}

/** Wraps a function whose last argument is the callback of something that a thread may take long over. */
function holdCallback(original) {
    return function held(...parameters) {
        const last = parameters.length - 1;
        const callback = parameters[last];
        if (typeof callback !== 'function') return apply(original, this, parameters);
        const job = new Job(current());
        parameters[last] = function ended(...results) {
            job.end();
            return apply(callback, this, results);
        };
        try {
            return apply(original, this, parameters);
        } catch (error) {
            job.end();
            throw error;
        }
    };
}

/** The same for a function that returns a promise. */
function holdPromise(original) {
    return function held(...parameters) {
        const job = new Job(current());
        const promise = apply(original, this, parameters);
        const ended = () => job.end();
        apply(promiseThen, promise, [ended, ended]);
        return promise;
    };
}

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
                run.markTurn();
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

/** @param {number} turn milliseconds of one turn of the event loop; a thread has five times as long, on the clock */
function install(turn) {
    longest = turn * 5;
    for (const name of cryptoNames) {
        const original = crypto[name];
        if (typeof original !== 'function') continue;
        const wrapped = countCallback(holdCallback(original));
        for (const key of Reflect.ownKeys(original)) {
            if (typeof key === 'symbol') wrapped[key] = original[key];
        }
        crypto[name] = wrapped;
    }
    const subtle = Object.getPrototypeOf(crypto.webcrypto.subtle);
    for (const name of Object.getOwnPropertyNames(subtle)) {
        if (name !== 'constructor' && typeof subtle[name] === 'function') subtle[name] = countPromise(holdPromise(subtle[name]));
    }
    // All streams and one-shot functions of zlib go through this one method.
    const zlibBase = Object.getPrototypeOf(Object.getPrototypeOf(zlib.Gunzip.prototype));
    zlibBase._transform = countCallback(zlibBase._transform);
}

module.exports = { install, keepFree };
