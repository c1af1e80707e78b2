'use strict';

// Puts back what a rule replaced for all logins, and says so; see integrity.js.

const { die, PrivateSet } = require('./intrinsics');
const { warn } = require('./warnings');
const integrity = require('./integrity');

/** What was said to be replaced: a rule may do it in every login. */
const told = new PrivateSet();
const maxTold = 50;

/**
 * Puts back what a rule replaced for all logins, and says so once.
 * @param {import('./rulerun').RuleRun | undefined} run whose doing it is, where that is known
 */
function repair(run) {
    let names;
    try {
        names = integrity.repair();
    } catch (reason) {
        run?.evaluation.endHost(run, reason);
        die(`a rule changed what all logins share: ${reason}`);
    }
    if (names === '' || told.has(names) || told.size === maxTold) return;
    told.add(names);
    warn(run, 'replaced', `${names}: shared by all logins of this host, and put back`);
}

/**
 * Looks after what all logins share.
 * @param {boolean} isThorough or by the way
 */
function keepIntact(isThorough) {
    if (isThorough || !integrity.isIntact()) repair(undefined);
}

module.exports = { repair, keepIntact };
