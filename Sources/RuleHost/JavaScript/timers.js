'use strict';

// Timers that are counted: a rule is complete only when its timers are done. One that was unreferenced
// (`timer.unref()`) is not waited for, as Node itself would not wait for it.

const nodeTimers = require('node:timers');
const timersPromises = require('node:timers/promises');
const { promisify } = require('node:util');
const { current, tracked } = require('./attribution');
const { activities } = require('./rulework');
const { countPromise, countSteps } = require('./counting');
const intrinsics = require('./intrinsics');

/** The count of a timer hangs on the timer itself. */
const counted = Symbol('counted');
/** Timers that somebody holds by their number. */
const byNumber = new intrinsics.PrivateMap();

/** What Node takes for a millisecond. */
const longestDelay = 2 ** 31 - 1;

/** A timer of a rule that is under way. It hangs on the timer, where rules find it: nothing of it is to be seen. */
class CountedTimer {
    #run;
    #timer;
    #clear;
    #isEndless;
    #isCounted = false;
    #isUnreferenced = false;

    /** @param {boolean} isEndless an interval, or what fires only when the rule's time is over */
    constructor(run, timer, clear, isEndless) {
        this.#run = run;
        this.#timer = timer;
        this.#clear = clear;
        this.#isEndless = isEndless;
        timer[counted] = this;
        this.began();
    }

    get isCounted() {
        return this.#isCounted;
    }

    /** It was set, or set again. */
    began() {
        const run = this.#run;
        if (this.#isCounted || this.#isUnreferenced || !run.takesWork()) return;
        this.#isCounted = true;
        if (this.#isEndless) run.endlessBegan(activities.timer);
        else run.workBegan(activities.timer);
        if (run.timers === null) run.timers = new intrinsics.PrivateSet();
        run.timers.add(this);
    }

    /** It fired for the last time, was cleared, or is not to be waited for. */
    ended() {
        if (!this.#isCounted) return;
        this.#isCounted = false;
        const run = this.#run;
        if (run.timers !== null) run.timers.delete(this);
        if (this.#isEndless) run.endlessEnded(activities.timer);
        else run.workEnded(activities.timer);
    }

    unreferenced() {
        this.#isUnreferenced = true;
        this.ended();
    }

    referenced() {
        if (!this.#isUnreferenced) return;
        this.#isUnreferenced = false;
        if (!this.#timer._destroyed) this.began();
    }

    /** The rule is over. */
    stop() {
        if (!this.#isCounted) return;
        this.#isCounted = false;
        this.#run.pending -= 1;
        if (this.#isEndless) this.#run.endless -= 1;
        this.#clear(this.#timer);
    }
}

function startable(run) {
    return run !== undefined && run.takesWork();
}

/** Whether a timer fires when its rule's time is over at the earliest. */
function isBeyond(run, delay) {
    return delay >= run.evaluation.timeout && delay <= longestDelay;
}

function setTimeout(callback, delay, ...parameters) {
    const run = current();
    if (!startable(run) || typeof callback !== 'function') {
        return intrinsics.setTimeout(callback, delay, ...parameters);
    }
    const timer = intrinsics.setTimeout(() => {
        run.markTurn();
        entry.ended();
        intrinsics.apply(callback, timer, parameters);
    }, delay);
    const entry = new CountedTimer(run, timer, intrinsics.clearTimeout, isBeyond(run, delay));
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
    new CountedTimer(run, timer, intrinsics.clearInterval, true);
    return timer;
}

function setImmediate(callback, ...parameters) {
    const run = current();
    if (!startable(run) || typeof callback !== 'function') return intrinsics.setImmediate(callback, ...parameters);
    const timer = intrinsics.setImmediate(() => {
        run.markTurn();
        entry.ended();
        intrinsics.apply(callback, timer, parameters);
    });
    const entry = new CountedTimer(run, timer, nodeTimers.clearImmediate, false);
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
    const { close, ref, unref, refresh } = prototype;
    const toPrimitive = prototype[Symbol.toPrimitive];
    prototype.close = function closeTimer() {
        uncount(this);
        return close.call(this);
    };
    prototype.unref = function unrefTimer() {
        this[counted]?.unreferenced();
        return unref.call(this);
    };
    prototype.ref = function refTimer() {
        this[counted]?.referenced();
        return ref.call(this);
    };
    prototype.refresh = function refreshTimer() {
        const result = refresh.call(this);
        // One that was cleared is not set again by this.
        if (this._idleTimeout > 0) this[counted]?.began();
        return result;
    };
    prototype[Symbol.toPrimitive] = function numberOfTimer() {
        const number = toPrimitive.call(this);
        if (this[counted]?.isCounted) byNumber.set(number, this);
        return number;
    };
}

/** Replaces Node's timers, wherever rules and their packages find them. */
function install() {
    patchTimerObjects();
    const { scheduler } = timersPromises;
    for (const [owner, names] of [[timersPromises, ['setTimeout', 'setImmediate']], [scheduler, ['wait', 'yield']]]) {
        for (const name of names) owner[name] = countPromise(owner[name].bind(owner), activities.timer);
    }
    timersPromises.setInterval = countSteps(timersPromises.setInterval, activities.timer);
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

module.exports = { install };
