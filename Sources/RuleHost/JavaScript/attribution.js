'use strict';

// Whose work is running? The run of a rule is carried through callbacks, timers and promises.

const { AsyncLocalStorage } = require('node:async_hooks');
const { promiseHooks } = require('node:v8');
const { reveal } = require('./intrinsics');

/** Holds the `owner` of a run, not the run: Node puts it on promises and other objects of rules. */
const storage = new AsyncLocalStorage();
const getStore = storage.getStore.bind(storage);
const run = storage.run.bind(storage);
const exit = storage.exit.bind(storage);

/** The run of the rule that the present code belongs to, or undefined. */
function current() {
    const owner = getStore();
    return owner === undefined ? undefined : reveal(owner);
}

/** `within(run, function, ...arguments)`: calls a function as part of a rule's run. */
function within(ruleRun, task, ...parameters) {
    return run(ruleRun.owner, task, ...parameters);
}

/** A task that runs, and throws, on behalf of whoever made it. */
function tracked(task) {
    const owner = getStore();
    if (owner === undefined) return task;
    return () => {
        try {
            run(owner, task);
        } catch (error) {
            reveal(owner)?.threw(error);
        }
    };
}

/** Where a promise says whose it is. Node has it there itself, but from 24 on. */
const ownerKey = storage.kResourceStore ?? Symbol('owner');
const isOurs = storage.kResourceStore === undefined;
let isHooking = false;

/**
 * Watches for code of one rule that is to go on when a promise is settled that another rule's run made.
 * @param {(run: import('./rulerun').RuleRun, promise: Promise, owner: import('./rulerun').RuleRun) => void} found
 */
function watchPromises(found) {
    promiseHooks.onInit((promise, parent) => {
        if (isOurs) promise[ownerKey] = getStore();
        if (parent === undefined) return;
        const owner = parent[ownerKey];
        if (owner === undefined || isHooking) return;
        const present = getStore();
        if (present === undefined || present === owner) return;
        isHooking = true;
        found(reveal(present), parent, reveal(owner));
        isHooking = false;
    });
}

module.exports = {
    tracked,
    watchPromises,
    current,
    within,
    /** `outside(function, ...arguments)`: calls a function as part of no rule's run. */
    outside: exit,
    /** On promises of a package: whose rejection it is, where that is told later. */
    runOfRejection: Symbol('runOfRejection'),
};
