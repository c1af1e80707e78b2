'use strict';

// The order of work inside one pass of the event loop.
//
// Every frame, and every start of a rule, is a `setImmediate` of its own: Node then runs the microtasks of one before
// the next begins, so that what an evaluation does runs under its own name. The *tail* is the last immediate of the
// pass: only there a rule whose counters are zero is complete (its continuations have run), rules to be started
// are lined up, and everything that was queued for the worker leaves with one write.

const { setImmediate } = require('./intrinsics');
const { outside } = require('./attribution');
const pulse = require('./pulse');

/** @type {import('./framesocket').FrameSocket} */
let socket = null;
let tailIsDue = false;
let starting = [];
let settling = [];
/** Called before the turns of a pass, and after them. @type {() => void} */
let keepIntact = () => {};

function tail() {
    tailIsDue = false;
    pulse.mark(0, -1);
    keepIntact();
    const settled = settling;
    if (settled.length > 0) {
        settling = [];
        for (let index = 0; index < settled.length; index += 1) settled[index].settle();
    }
    const started = starting;
    if (started.length > 0) {
        starting = [];
        for (let index = 0; index < started.length; index += 1) startLater(started[index]);
        ensureTail();
    }
    socket.flush();
}

// Node shows the immediate that runs to whoever asks for it, with its arguments: it has none.
function startLater(evaluation) {
    setImmediate(() => evaluation.startNextRule());
}

function handleLater(handle, frame) {
    setImmediate(() => handle(frame));
}

function ensureTail() {
    if (tailIsDue) return;
    tailIsDue = true;
    // It belongs to no rule, whoever is at work when it becomes due.
    outside(setImmediate, tail);
}

/**
 * Handles each of these frames in a turn of its own.
 * @param {import('./frames').Frame[]} frames
 * @param {(frame: import('./frames').Frame) => void} handle
 */
function handleEach(frames, handle) {
    keepIntact();
    for (let index = 0; index < frames.length; index += 1) handleLater(handle, frames[index]);
    // A tail that is due already stands before these frames; another one comes after them.
    tailIsDue = true;
    setImmediate(tail);
}

/** Starts the next rule of an evaluation in a turn of its own. */
function startNextRule(evaluation) {
    starting[starting.length] = evaluation;
    ensureTail();
}

/** Looks, after the continuations of this turn have run, whether a rule is complete. */
function settleLater(run) {
    settling[settling.length] = run;
    ensureTail();
}

/** @param {import('./framesocket').FrameSocket} frames */
function attach(frames) {
    socket = frames;
    frames.onFirst = ensureTail;
}

/** @param {() => void} keep looks after what all logins share */
function onPass(keep) {
    keepIntact = keep;
}

module.exports = { attach, onPass, handleEach, startNextRule, settleLater };
