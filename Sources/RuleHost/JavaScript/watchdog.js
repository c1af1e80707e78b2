'use strict';

// A thread beside the one that runs the rules: it ends the process when a turn of the event loop takes too long, or
// when the process takes too much memory. It says so on descriptor 4 first, with the evaluation whose turn it was.

const fs = require('node:fs');
const { workerData } = require('node:worker_threads');

const { shared, cells, turn: turnLimit, memory: memoryLimit } = workerData;
/** A turn is over its limit by the processor time that it took, or when it took this much more on the clock: it may merely wait. */
const patience = 10;
/** Milliseconds between two looks. */
const lookInterval = 20;
/** Milliseconds between two looks for which the main thread ran, where it is not idle: it may have to share its core with many. */
const busyTime = lookInterval / 20;
/** Looks without an evaluation in flight before the thread sleeps until it is woken. */
const idleLooks = 50;
const pageBytes = 4096;

/** A file that the kernel writes numbers into; rules of this process may close it, and open another one in its place. */
class Gauge {
    constructor(path, place) {
        this.descriptor = fs.openSync(path, 'r');
        this.place = place;
        this.file = fs.fstatSync(this.descriptor);
    }

    /** The number; it ends this process where it is none that can be believed. */
    read() {
        let value = NaN;
        try {
            const { dev, ino } = fs.fstatSync(this.descriptor);
            if (dev !== this.file.dev || ino !== this.file.ino) kill('nonsense\n');
            const length = fs.readSync(this.descriptor, line, 0, line.length, 0);
            value = Number(line.toString('latin1', 0, length).split(' ')[this.place]);
        } catch {
            // It is closed.
        }
        if (!(value > 0)) kill('nonsense\n');
        return value;
    }
}

const line = Buffer.alloc(128);
const statm = new Gauge('/proc/self/statm', 1);
// Of the main thread only: the kernel does not add up threads in this file.
const schedstat = new Gauge('/proc/self/schedstat', 0);

let lastNanoseconds = 0;

/** Resident bytes of the whole process. */
function residentBytes() {
    return statm.read() * pageBytes;
}

/** Milliseconds for which the main thread has run: on a machine with too much to do it may stand still for seconds, by no fault of the rule. */
function processorTime() {
    const nanoseconds = schedstat.read();
    if (nanoseconds < lastNanoseconds) kill('nonsense\n');
    lastNanoseconds = nanoseconds;
    return nanoseconds / 1e6;
}

function kill(report) {
    try {
        fs.writeSync(4, report);
    } catch {
        // The worker sees the death all the same, without a culprit.
    }
    process.kill(process.pid, 'SIGKILL');
}

/** Whether the main thread waits because a rule wants it to (`Atomics.wait`), and no other could go on, for longer than a turn may take. */
class Waiting {
    constructor() {
        this.turn = 0;
        this.since = 0;
        this.isWaiting = false;
    }

    isTooLong(turn, now) {
        const isWaiting = Atomics.load(shared, cells.waiting) === 1;
        if (!isWaiting || !this.isWaiting || turn !== this.turn) {
            this.turn = turn;
            this.since = now;
        }
        this.isWaiting = isWaiting;
        return isWaiting && now - this.since > turnLimit;
    }
}

const waiting = new Waiting();

/** Looks until nothing is in flight for a while. */
function look() {
    let turn = Atomics.load(shared, cells.turn);
    let since = performance.now();
    let sinceTime = processorTime();
    let lastTime = sinceTime;
    let idle = 0;
    while (idle < idleLooks) {
        Atomics.wait(shared, cells.asleep, 0, lookInterval);
        const now = performance.now();
        const time = processorTime();
        const isBusy = time - lastTime > busyTime;
        lastTime = time;
        const present = Atomics.load(shared, cells.turn);
        if (present !== turn) {
            turn = present;
            since = now;
            sinceTime = time;
        }
        if (Atomics.load(shared, cells.inFlight) === 0) {
            // What a rule that is over left behind does not let go: nobody's, but the next one would wait for it.
            if (time - sinceTime > turnLimit) kill('turn 0 -1\n');
            idle = isBusy ? 0 : idle + 1;
            since = now;
            continue;
        }
        idle = 0;
        const wall = now - since;
        if (waiting.isTooLong(present, now) || wall > turnLimit && (wall > turnLimit * patience || time - sinceTime > turnLimit)) {
            kill(`turn ${shared[cells.evaluation] >>> 0} ${shared[cells.rule]}\n`);
        }
        if (residentBytes() > memoryLimit) kill('memory\n');
    }
}

for (;;) {
    Atomics.store(shared, cells.asleep, 1);
    // Wakes at once when an evaluation began meanwhile; otherwise with the next one.
    Atomics.wait(shared, cells.inFlight, 0);
    Atomics.store(shared, cells.asleep, 0);
    look();
}
