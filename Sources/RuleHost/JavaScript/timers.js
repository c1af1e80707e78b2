'use strict';

// Timers that are counted: a rule is complete only when its timers are done. One that was unreferenced
// (`timer.unref()`) is not waited for, as Node itself would not wait for it.

const nodeTimers = require('node:timers');
const timersPromises = require('node:timers/promises');
const { promisify } = require('node:util');
const { current, tracked } = require('./attribution');
const intrinsics = require('./intrinsics');

/** The count of a timer hangs on the timer itself. */
const counted = Symbol('counted');
/** Timers that somebody holds by their number. */
const byNumber = new intrinsics.PrivateMap();

/** A timer of a rule that is under way. */
class CountedTimer {
    constructor(run, timer, clear) {
        this.run = run;
        this.timer = timer;
        this.clear = clear;
        this.isCounted = true;
        run.workBegan();
        if (run.timers === null) run.timers = new intrinsics.PrivateSet();
        run.timers.add(this);
        timer[counted] = this;
    }

    /** It fired for the last time, was cleared, or is not to be waited for. */
    ended() {
        if (!this.isCounted) return;
        this.isCounted = false;
        if (this.run.timers !== null) this.run.timers.delete(this);
        this.run.workEnded();
    }

    /** The rule is over. */
    stop() {
        this.isCounted = false;
        this.run.pending -= 1;
        this.clear(this.timer);
    }
}

function startable(run) {
    return run !== undefined && !run.evaluation.isOver;
}

function setTimeout(callback, delay, ...parameters) {
    const run = current();
    if (!startable(run) || typeof callback !== 'function') {
        return intrinsics.setTimeout(callback, delay, ...parameters);
    }
    const timer = intrinsics.setTimeout(() => {
        entry.run.markTurn();
        entry.ended();
        intrinsics.apply(callback, timer, parameters);
    }, delay);
    const entry = new CountedTimer(run, timer, intrinsics.clearTimeout);
    return timer;
}

function setInterval(callback, delay, ...parameters) {
    const run = current();
    if (!startable(run) || typeof callback !== 'function') {
        return intrinsics.setInterval(callback, delay, ...parameters);
    }
    const timer = intrinsics.setInterval(() => {
        run.markTurn();
        intrinsics.apply(callback, timer, parameters);
    }, delay);
    new CountedTimer(run, timer, intrinsics.clearInterval);
    return timer;
}

function setImmediate(callback, ...parameters) {
    const run = current();
    if (!startable(run) || typeof callback !== 'function') return intrinsics.setImmediate(callback, ...parameters);
    const timer = intrinsics.setImmediate(() => {
        entry.run.markTurn();
        entry.ended();
        intrinsics.apply(callback, timer, parameters);
    });
    const entry = new CountedTimer(run, timer, nodeTimers.clearImmediate);
    return timer;
}

function uncount(timer) {
    if (typeof timer === 'object' && timer !== null) {
        timer[counted]?.ended();
    } else if (byNumber.size > 0 && byNumber.has(Number(timer))) {
        byNumber.get(Number(timer))[counted]?.ended();
        byNumber.delete(Number(timer));
    }
}

/** A function that clears a timer, and does not count it any more. */
const clearing = (clear) => (timer) => {
    uncount(timer);
    clear(timer);
};

/** Wraps the methods of Node's timer objects that change whether a timer is waited for. */
function patchTimerObjects() {
    const timer = intrinsics.setTimeout(() => {}, 1);
    intrinsics.clearTimeout(timer);
    const prototype = Object.getPrototypeOf(timer);
    const { close, unref } = prototype;
    const toPrimitive = prototype[Symbol.toPrimitive];
    prototype.close = function closeTimer() {
        uncount(this);
        return close.call(this);
    };
    prototype.unref = function unrefTimer() {
        uncount(this);
        return unref.call(this);
    };
    prototype[Symbol.toPrimitive] = function numberOfTimer() {
        const number = toPrimitive.call(this);
        if (this[counted]?.isCounted) byNumber.set(number, this);
        return number;
    };
}

/** A function whose promise is waited for. */
function countPromise(original) {
    return function countedPromise(...parameters) {
        const promise = intrinsics.apply(original, this, parameters);
        const run = current();
        if (!startable(run)) return promise;
        run.workBegan();
        const ended = () => {
            run.markTurn();
            run.workEnded();
        };
        intrinsics.apply(intrinsics.promiseThen, promise, [ended, ended]);
        return promise;
    };
}

/** Replaces Node's timers, wherever rules and their packages find them. */
function install() {
    patchTimerObjects();
    timersPromises.setTimeout = countPromise(timersPromises.setTimeout);
    timersPromises.setImmediate = countPromise(timersPromises.setImmediate);
    setTimeout[promisify.custom] = timersPromises.setTimeout;
    setImmediate[promisify.custom] = timersPromises.setImmediate;
    const replaced = {
        setTimeout,
        setInterval,
        setImmediate,
        clearTimeout: clearing(intrinsics.clearTimeout),
        clearInterval: clearing(intrinsics.clearInterval),
        clearImmediate: clearing(nodeTimers.clearImmediate),
    };
    Object.assign(globalThis, replaced);
    Object.assign(nodeTimers, replaced);
    // What a microtask throws would be nobody's.
    const { queueMicrotask } = globalThis;
    globalThis.queueMicrotask = (task) => queueMicrotask(typeof task === 'function' ? tracked(task) : task);
}

module.exports = { install, countPromise };
