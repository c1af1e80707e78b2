'use strict';

// What a rule did and that is not its result, told to the worker.

const { stringify } = require('./intrinsics');
const { kinds } = require('./frames');
const { shared } = require('./shared');

/** Warnings that one rule of one login may leave in the log. */
const maxWarnings = 20;

/**
 * Tells the worker of something that a rule did and that is not its result.
 * @param {import('./rulerun').RuleRun | undefined} run undefined where it belongs to no rule
 * @param {string} kind
 * @param {string} text
 */
function warn(run, kind, text) {
    if (run !== undefined) {
        if (run.evaluation.isSilent) return;
        if (run.warnings === maxWarnings) return;
        run.warnings += 1;
    }
    const number = run === undefined || run.evaluation.isOver ? 0 : run.evaluation.number;
    const rule = run === undefined ? -1 : run.index;
    shared.socket.send(kinds.warning, number, stringify({ rule, kind, text }));
}

module.exports = { warn };
