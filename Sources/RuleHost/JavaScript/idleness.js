'use strict';

// Since when nothing of an evaluation has been under way but promises. On a host where an evaluation was ended it may wait
// for one that is never settled.

const exchanges = require('./exchanges');

/** Milliseconds without anything of its own after which an evaluation may be said to wait. */
const patience = 1000;

class Idleness {
    /** @param {import('./evaluation').Evaluation} evaluation */
    constructor(evaluation) {
        this.evaluation = evaluation;
        this.since = 0;
        this.activity = -1;
        /** Requests of this host that had been sent by then. */
        this.sentCount = 0;
        this.isTold = false;
    }

    /**
     * Looks, with every beat.
     * @returns {boolean} whether the evaluation waits for what will never come
     */
    isOverdue(time) {
        const { runs } = this.evaluation;
        let activity = 0;
        let hasWork = false;
        for (let index = 0; index < runs.length; index += 1) {
            activity += runs[index].activity;
            if (runs[index].hasOwnWork()) hasWork = true;
        }
        if (hasWork || activity !== this.activity) {
            this.activity = hasWork ? -1 : activity;
            this.since = time;
            this.sentCount = exchanges.sentCount();
            return false;
        }
        return time - this.since >= patience && exchanges.oldestPlace() >= this.sentCount;
    }
}

module.exports = { Idleness };
