'use strict';

// What all evaluations of this host share; set once, with the frame `load`.

const shared = {
    /** @type {import('./framesocket').FrameSocket} */
    socket: null,
    /**
     * `leavesPromise`: the last one was never settled.
     * @type {{name: string, call: Function, leavesPromise: boolean}[]}
     */
    rules: [],
    /** Milliseconds after its last activity that a rule is given for what shows no sign of an end. */
    quiet: 5000,
    consoleBytes: 8192,
};

module.exports = { shared };
