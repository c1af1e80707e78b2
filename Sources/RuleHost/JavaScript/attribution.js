'use strict';

// Whose work is running? The run of a rule is carried through callbacks, timers and promises.

const { AsyncLocalStorage } = require('node:async_hooks');

/** @type {AsyncLocalStorage<import('./evaluation').RuleRun>} */
const storage = new AsyncLocalStorage();
const getStore = storage.getStore.bind(storage);
const run = storage.run.bind(storage);
const exit = storage.exit.bind(storage);

/** A task that runs, and throws, on behalf of whoever made it. */
function tracked(task) {
    const owner = getStore();
    if (owner === undefined) return task;
    return () => {
        try {
            run(owner, task);
        } catch (error) {
            owner.threw(error);
        }
    };
}

module.exports = {
    tracked,
    /** The run of the rule that the present code belongs to, or undefined. */
    current: getStore,
    /** `within(run, function, ...arguments)`: calls a function as part of a rule's run. */
    within: run,
    /** `outside(function, ...arguments)`: calls a function as part of no rule's run. */
    outside: exit,
    /** On promises of a package: whose rejection it is, where that is told later. */
    runOfRejection: Symbol('runOfRejection'),
};
