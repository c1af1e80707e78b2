'use strict';

// What the watchdog sees: a number that changes with every turn of the main thread, and whose work runs. A slow beat
// while evaluations are in flight moves the number when the main thread merely waits, and keeps the deadlines.
// With nothing in flight, and nothing left of what was ended, there is no timer at all.

const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { setInterval, clearInterval, nextTick, queueMicrotask, die } = require('./intrinsics');

/** Milliseconds between two beats; also how exactly a rule's deadline is kept. */
const beatInterval = 25;
/** Indexes into the shared cells. */
const cells = Object.freeze({ turn: 0, evaluation: 1, rule: 2, inFlight: 3, asleep: 4, waiting: 5, count: 6 });

const shared = new Int32Array(new SharedArrayBuffer(cells.count * 4));
const { store, load, notify, add, wait } = Atomics;
let timer = null;
let inFlight = 0;
let watched = false;
/** @type {() => boolean} */
let onBeat = () => false;

/** Says whose work the main thread does from here on; 0 and -1: nobody's that is known. */
function mark(evaluation, rule) {
    shared[cells.evaluation] = evaluation;
    shared[cells.rule] = rule;
    // The store orders the two above before the new number.
    store(shared, cells.turn, (shared[cells.turn] + 1) | 0);
}

let isMarked = false;

function unmark() {
    isMarked = false;
    mark(0, -1);
}

function unmarkNext() {
    nextTick(unmark);
}

/**
 * The same for the present turn only: the next one may be of another rule, and begin at a place that is not ours (a
 * callback of `fs`, a message port). Ticks that a microtask queues run when there is no microtask left.
 */
function markTurn(evaluation, rule) {
    mark(evaluation, rule);
    if (isMarked) return;
    isMarked = true;
    queueMicrotask(unmarkNext);
}

function beat() {
    mark(0, -1);
    if (onBeat() || inFlight > 0) return;
    clearInterval(timer);
    timer = null;
}

/** An evaluation has begun. */
function begun() {
    inFlight += 1;
    if (inFlight > 1) return;
    store(shared, cells.inFlight, 1);
    if (timer === null) timer = setInterval(beat, beatInterval);
    if (watched && load(shared, cells.asleep) === 1) notify(shared, cells.inFlight);
}

/** An evaluation has ended. */
function ended() {
    inFlight -= 1;
    if (inFlight === 0) store(shared, cells.inFlight, 0);
}

/** `Atomics.wait` of rules: it takes no time of the processor, but all logins of this host wait with it, and the watchdog is to know. */
function waitSeen(...parameters) {
    store(shared, cells.waiting, 1);
    try {
        return wait(...parameters);
    } finally {
        store(shared, cells.waiting, 0);
    }
}

/**
 * Starts the watchdog.
 * @param {{turn: number, memory: number}} limits milliseconds of one turn, bytes of the whole process
 * @param {() => boolean} kept called with every beat; false where another is not needed
 */
function watch(limits, kept) {
    onBeat = kept;
    const worker = new Worker(path.join(__dirname, 'watchdog.js'), {
        workerData: { shared, cells, turn: limits.turn + beatInterval, memory: limits.memory },
        env: {},
        execArgv: [],
        stdin: false,
        resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    });
    worker.on('error', (error) => die(`the watchdog failed: ${error.message}`));
    worker.on('exit', () => die('the watchdog ended'));
    worker.unref();
    Atomics.wait = waitSeen;
    watched = true;
}

/** Moves the turn number on, when the main thread is still at the same work but known to be well. */
function touch() {
    add(shared, cells.turn, 1);
}

module.exports = { beatInterval, mark, markTurn, begun, ended, watch, touch };
