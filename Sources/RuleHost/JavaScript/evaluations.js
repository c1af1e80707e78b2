'use strict';

// The evaluations of this host, and the worker's frames about them.

const { now, parse, die, reallyExit, reveal, setImmediate, PrivateMap, PrivateSet } = require('./intrinsics');
const { Evaluation } = require('./evaluation');
const { Idleness } = require('./idleness');
const { shared } = require('./shared');
const pulse = require('./pulse');

/** @type {Map<number, Evaluation>} */
const inFlight = new PrivateMap();
/** Those that were ended, until the time of their rules is over. @type {Set<Evaluation>} */
const ended = new PrivateSet();
/** Whether any was, ever: promises may be around that nobody settles. */
let hasEnded = false;
let isRetired = false;

/**
 * Handles a frame `evaluate`, or `evaluateAlone`.
 * @param {import('./frames').Frame} frame
 * @param {boolean} isAlone
 */
function evaluate(frame, isAlone) {
    const { evaluation: number } = frame;
    if (isRetired) die(`evaluation ${number} came after this host was retired`);
    if (inFlight.has(number) || number === 0) die(`evaluation ${number} came twice`);
    pulse.begun();
    let evaluation;
    try {
        const { secret, head, userText, contextText } = frame.evaluate();
        evaluation = new Evaluation(number, parse(head), userText, contextText, secret, isAlone, left);
    } catch (error) {
        die(`evaluation ${number} cannot be read: ${error.message}`);
    }
    if (!(evaluation.next >= 0 && evaluation.to <= shared.rules.length && evaluation.timeout > 0)) {
        die(`evaluation ${number} asks for rules that are not loaded`);
    }
    inFlight.set(number, evaluation);
    evaluation.startNextRule();
}

/** An evaluation is in flight no more. */
function left(evaluation) {
    inFlight.delete(evaluation.number);
    pulse.ended();
    leaveIfDone();
}

/**
 * Handles a frame `cancel`.
 * @param {import('./frames').Frame} frame
 */
function cancel(frame) {
    inFlight.get(frame.evaluation)?.cancel();
}

/**
 * Handles a frame `end`. Where the evaluation is over, its result is on its way.
 * @param {import('./frames').Frame} frame
 */
function end(frame) {
    const evaluation = inFlight.get(frame.evaluation);
    if (evaluation === undefined) return;
    hasEnded = true;
    ended.add(evaluation);
    evaluation.end();
}

/** Handles a frame `retire`: this host ends when nothing is in flight any more. */
function retire() {
    isRetired = true;
    leaveIfDone();
}

function leaveIfDone() {
    if (!isRetired || inFlight.size > 0) return;
    // The last result is queued by then.
    setImmediate(() => shared.socket.finish(() => reallyExit(0)));
}

/**
 * Called with every beat.
 * @returns {boolean} whether there is anything to look after
 */
function keepDeadlines() {
    const time = now();
    for (const evaluation of inFlight.values()) {
        evaluation.keepDeadlines(time);
        if (hasEnded && !evaluation.isOver) lookForWaiting(evaluation, time);
    }
    for (const evaluation of ended.values()) if (evaluation.keepEnded(time)) ended.delete(evaluation);
    // What is over now is the worker's before its code can go on, and perhaps never let go.
    shared.socket.flush();
    return inFlight.size > 0 || ended.size > 0;
}

/** Says once of an evaluation that it waits for a promise that will never be settled. */
function lookForWaiting(evaluation, time) {
    if (evaluation.idleness === null) evaluation.idleness = new Idleness(evaluation);
    const { idleness } = evaluation;
    if (idleness.isTold || !idleness.isOverdue(time)) return;
    const incomplete = evaluation.firstIncomplete();
    if (incomplete === undefined) return;
    idleness.isTold = true;
    shared.socket.sendWaits(evaluation.number, reveal(evaluation.secret), `{"rule":${incomplete.index}}`);
}

module.exports = { evaluate, cancel, end, retire, keepDeadlines };
