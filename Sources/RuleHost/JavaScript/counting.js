'use strict';

// Functions of Node that a rule waits for: as long as what they began is under way, the rule is not complete.

const { isPromise } = require('node:util/types');
const { apply, promiseThen } = require('./intrinsics');
const { current } = require('./attribution');
const { activities } = require('./rulework');

/**
 * Wraps a function whose last argument is the callback of work of the thread pool.
 * @param {Function} original
 * @returns {Function}
 */
function countCallback(original) {
    function counted(...parameters) {
        const run = current();
        const callback = parameters[parameters.length - 1];
        if (run === undefined || !run.takesWork() || typeof callback !== 'function') {
            return apply(original, this, parameters);
        }
        let isUnderWay = true;
        parameters[parameters.length - 1] = function ended(...results) {
            if (isUnderWay) {
                isUnderWay = false;
                run.markTurn();
                run.workEnded(activities.pool);
            }
            return apply(callback, this, results);
        };
        run.workBegan(activities.pool);
        try {
            return apply(original, this, parameters);
        } catch (error) {
            if (isUnderWay) {
                isUnderWay = false;
                run.workEnded(activities.pool);
            }
            throw error;
        }
    }
    // What `promisify` looks for.
    for (const key of Reflect.ownKeys(original)) if (typeof key === 'symbol') counted[key] = original[key];
    return counted;
}

/**
 * Wraps a function that returns a promise, at least sometimes: the rule waits for it.
 * @param {Function} original
 * @param {string} [activity] what it is, in the words of a warning
 * @returns {Function}
 */
function countPromise(original, activity = activities.pool) {
    return function countedPromise(...parameters) {
        const promise = apply(original, this, parameters);
        const run = current();
        if (run === undefined || !run.takesWork() || !isPromise(promise)) return promise;
        run.workBegan(activity);
        const ended = () => {
            run.markTurn();
            run.workEnded(activity);
        };
        apply(promiseThen, promise, [ended, ended]);
        return promise;
    };
}

/**
 * Wraps a function that returns an asynchronous iterator: the rule waits for each step that it asks for.
 * @param {Function} original
 * @param {string} [activity]
 * @returns {Function}
 */
function countSteps(original, activity = activities.pool) {
    return function countedSteps(...parameters) {
        const steps = apply(original, this, parameters);
        return {
            next: countPromise(steps.next.bind(steps), activity),
            return: countPromise(steps.return.bind(steps), activity),
            throw: countPromise(steps.throw.bind(steps), activity),
            [Symbol.asyncIterator]() {
                return this;
            },
        };
    };
}

module.exports = { countCallback, countPromise, countSteps };
