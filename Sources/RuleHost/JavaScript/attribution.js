'use strict';

// Whose work is running? The run of a rule is carried through callbacks, timers and promises.

const { AsyncLocalStorage, createHook, executionAsyncResource } = require('node:async_hooks');
const { promiseHooks } = require('node:v8');
const { makeStamp, reveal } = require('./intrinsics');

/** Whose a promise, or another resource, is. */
const ownership = makeStamp();

/**
 * Holds the `owner` of a run. Node before 24 puts what `AsyncLocalStorage` holds on promises and other objects of rules, and a package could
 * put another login's on its own: there it is done as Node does it, with a field that can't be had.
 */
class ResourceStorage {
    constructor() {
        createHook({
            init(id, type, trigger, resource) {
                const owner = ownership.of(executionAsyncResource());
                if (owner !== undefined) ownership.set(resource, owner);
            },
        }).enable();
    }

    getStore() {
        return ownership.of(executionAsyncResource());
    }

    run(owner, task, ...parameters) {
        const resource = executionAsyncResource();
        const before = ownership.of(resource);
        if (before === owner) return task(...parameters);
        ownership.set(resource, owner);
        try {
            return task(...parameters);
        } finally {
            ownership.set(resource, before);
        }
    }

    exit(task, ...parameters) {
        return this.run(undefined, task, ...parameters);
    }
}

const nodes = new AsyncLocalStorage();
/** Whether Node keeps it where nobody can reach it: from 24 on. */
const isKeptByNode = nodes.kResourceStore === undefined;
const storage = isKeptByNode ? nodes : new ResourceStorage();
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

let isHooking = false;

/**
 * Watches for code of one rule that is to go on when a promise is settled that another rule's run made.
 * @param {(run: import('./rulerun').RuleRun, promise: Promise, owner: import('./rulerun').RuleRun) => void} found
 */
function watchPromises(found) {
    promiseHooks.onInit((promise, parent) => {
        if (isKeptByNode) ownership.set(promise, getStore());
        if (parent === undefined) return;
        const owner = ownership.of(parent);
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
    runOfRejection: makeStamp(),
};
