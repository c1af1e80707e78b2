'use strict';

// The evaluations of this host, and the worker's frames about them.

const { now, parse, die, PrivateMap } = require('./intrinsics');
const { Evaluation } = require('./evaluation');
const { shared } = require('./shared');
const pulse = require('./pulse');

/** @type {Map<number, Evaluation>} */
const inFlight = new PrivateMap();

/**
 * Handles a frame `evaluate`, or `evaluateAlone`.
 * @param {import('./frames').Frame} frame
 * @param {boolean} isAlone
 */
function evaluate(frame, isAlone) {
    if (inFlight.has(frame.evaluation) || frame.evaluation === 0) die(`evaluation ${frame.evaluation} came twice`);
    pulse.begun();
    let evaluation;
    try {
        const head = parse(frame.partText());
        const userText = frame.partText();
        evaluation = new Evaluation(frame.evaluation, head, userText, frame.text(), isAlone, isOver);
    } catch (error) {
        die(`evaluation ${frame.evaluation} cannot be read: ${error.message}`);
    }
    if (!(evaluation.next >= 0 && evaluation.to <= shared.rules.length && evaluation.timeout > 0)) {
        die(`evaluation ${frame.evaluation} asks for rules that are not loaded`);
    }
    inFlight.set(frame.evaluation, evaluation);
    evaluation.startNextRule();
}

function isOver(evaluation) {
    inFlight.delete(evaluation.number);
    pulse.ended();
}

/**
 * Handles a frame `cancel`.
 * @param {import('./frames').Frame} frame
 */
function cancel(frame) {
    inFlight.get(frame.evaluation)?.cancel();
}

/** Called with every beat. */
function keepDeadlines() {
    const time = now();
    for (const evaluation of inFlight.values()) evaluation.keepDeadlines(time);
    // What is over now is the worker's before its code can go on, and perhaps never let go.
    shared.socket.flush();
}

module.exports = { evaluate, cancel, keepDeadlines };
