'use strict';

// Messages between ports of this thread: they arrive in a later turn, and until then the rule that sent one is at work.

const { apply, setImmediate } = require('./intrinsics');
const { current } = require('./attribution');
const { activities } = require('./rulework');

/** Passes of the event loop within which a message arrives: what is posted while it polls may come with the next poll. */
const passes = 3;

function arrive(run, left) {
    if (left > 0) setImmediate(() => arrive(run, left - 1));
    else run.workEnded(activities.message);
}

/** Counts the messages of rules. */
function install() {
    for (const { prototype } of [MessagePort, BroadcastChannel]) {
        const { postMessage } = prototype;
        prototype.postMessage = function postCounted(...parameters) {
            const result = apply(postMessage, this, parameters);
            const run = current();
            if (run !== undefined && run.takesWork()) {
                run.workBegan(activities.message);
                arrive(run, passes);
            }
            return result;
        };
    }
}

module.exports = { install };
