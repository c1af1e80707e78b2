'use strict';

// What a rule has under way: requests, timers, work of the thread pool, promises. It is counted as it begins and ends; the
// beat looks at the counters, so that counting costs no look at the clock.

const { apply, promiseThen, PrivateSet, PrivateWeakSet } = require('./intrinsics');

/** What a rule did last, for the words of a warning. */
const activities = Object.freeze({
    callback: 'its callback', request: 'a request', timer: 'a timer', pool: 'work of the thread pool', message: 'a message',
    promise: 'a promise', metadata: 'a write of metadata',
});
/** Promises of other logins that were waited for until all was quiet: once is enough. */
const leftPromises = new PrivateWeakSet();

/** A promise of another login, as one that waits for it sees it. */
class ForeignPromise {
    constructor(promise, owner) {
        this.promise = promise;
        this.owner = owner;
        /** What the owner had done when this was looked at last. */
        this.seenActivity = owner.activity + owner.echoes;
    }

    /** Whether its owner is at work, or was since the last look. */
    isLively() {
        const { owner } = this;
        if (owner.requests > 0 || owner.pending > owner.endless) return true;
        const activity = owner.activity + owner.echoes;
        if (activity === this.seenActivity) return false;
        this.seenActivity = activity;
        return true;
    }
}

/** What one rule has under way for one login. */
class RuleWork {
    constructor() {
        /** Whether the promise that the rule returned is pending. */
        this.awaitsPromise = false;
        this.calls = 0;
        /** Requests under way. */
        this.exchanges = null;
        this.requests = 0;
        /** Timers, work of the thread pool, requests that wait for a socket, promises: what is under way. */
        this.pending = 0;
        /** How many of these show no sign of an end: intervals, promises. */
        this.endless = 0;
        /** Timers that the end of the evaluation stops. */
        this.timers = null;
        /** @type {Set<ForeignPromise> | null} */
        this.foreign = null;
        /** Whether an answer, or a failure, was one that says nothing of this login. */
        this.failedSo = false;
        /** Whether a request ended without any answer: the rule, its library or its time gave it up. */
        this.gaveUp = false;
        /** Whose promises were rejected that this one waited for. @type {Set<RuleWork> | null} */
        this.lenders = null;
        /** Changes with all that the rule does; the beat looks at it, so that doing it costs no look at the clock. */
        this.activity = 0;
        this.lastActivity = activities.callback;
        /** Beats in which another login, whose promise this one waits for, was at work: whoever waits for this one sees it by that. */
        this.echoes = 0;
        this.seenActivity = -1;
        /** The first beat that saw no further activity. */
        this.quietSince = 0;
    }

    /**
     * Whether what the rule begins now is counted.
     * @abstract
     */
    takesWork() {
        return true;
    }

    /**
     * Something begins: a rule that was complete is not.
     * @abstract
     */
    reopen() {}

    /**
     * Something ended: the rule may be complete.
     * @abstract
     */
    quieten() {}

    /** The rule did something. */
    stirred(activity) {
        this.activity += 1;
        this.lastActivity = activity;
    }

    exchangeBegan(exchange) {
        this.reopen();
        this.stirred(activities.request);
        this.calls += 1;
        this.requests += 1;
        if (this.exchanges === null) this.exchanges = new PrivateSet();
        this.exchanges.add(exchange);
    }

    exchangeEnded(exchange) {
        if (!this.exchanges.delete(exchange)) return;
        this.stirred(activities.request);
        this.requests -= 1;
        this.quieten();
    }

    /** Work begins that the rule's end waits for. */
    workBegan(activity) {
        this.reopen();
        this.stirred(activity);
        this.pending += 1;
    }

    workEnded(activity) {
        this.stirred(activity);
        this.pending -= 1;
        this.quieten();
    }

    /** The same for what shows no sign of an end. */
    endlessBegan(activity) {
        this.endless += 1;
        this.workBegan(activity);
    }

    endlessEnded(activity) {
        this.endless -= 1;
        this.workEnded(activity);
    }

    /** Code of this rule is to go on when a promise is settled that another login's made: a token's that they share, say. */
    waitsFor(promise, owner) {
        if (!this.takesWork()) return;
        if (this.foreign === null) this.foreign = new PrivateSet();
        const foreign = new ForeignPromise(promise, owner);
        if (!leftPromises.has(promise)) {
            this.foreign.add(foreign);
            this.endlessBegan(activities.promise);
        }
        const settled = () => {
            if (!this.foreign.delete(foreign)) return;
            // What goes on runs right after this, in a turn that another login began.
            this.mark();
            this.endlessEnded(activities.promise);
        };
        const rejected = () => {
            if (this.lenders === null) this.lenders = new PrivateSet();
            this.lenders.add(owner);
            settled();
        };
        apply(promiseThen, promise, [settled, rejected]);
    }

    /** Whether a promise of another login failed it that had lost a call by then: that says nothing of this login either. */
    borrowedFailure() {
        if (this.lenders === null) return false;
        const { lenders } = this;
        // Two that wait for one another are looked at once.
        this.lenders = null;
        let isBorrowed = false;
        for (const lender of lenders.values()) if (lender.failedSo || lender.gaveUp || lender.borrowedFailure()) isBorrowed = true;
        this.lenders = lenders;
        return isBorrowed;
    }

    /** Whether a login whose promise this one waits for is at work. */
    hasLivelyOwner() {
        if (this.foreign === null || this.foreign.size === 0) return false;
        let isLively = false;
        for (const foreign of this.foreign.values()) if (foreign.isLively()) isLively = true;
        if (isLively) this.echoes += 1;
        return isLively;
    }

    /**
     * Looks, with every beat, for how long nothing has stirred while nothing with an end was under way.
     * @returns {number} milliseconds; -1 where something with an end is under way
     */
    quietFor(time) {
        const isAtRest = this.requests === 0 && this.pending > 0 && this.pending === this.endless;
        if (!isAtRest || this.hasLivelyOwner()) {
            this.seenActivity = -1;
            return -1;
        }
        if (this.seenActivity !== this.activity) {
            this.seenActivity = this.activity;
            this.quietSince = time;
        }
        return time - this.quietSince;
    }

    /** Promises that were waited for until all was quiet are not waited for again. */
    leaveForeign() {
        if (this.foreign === null) return;
        for (const { promise } of this.foreign.values()) leftPromises.add(promise);
    }

    /** What is still there, in words. */
    remains() {
        let text = '';
        const add = (words) => {
            text += text === '' ? words : `, and ${words}`;
        };
        if (this.awaitsPromise) add('the promise that it returned was still pending');
        if (this.foreign !== null && this.foreign.size > 0) add('it still waited for a promise of another login');
        if (this.timers !== null && this.timers.size > 0) add('an interval, or a timer beyond its time, was still running');
        return text;
    }

    /** Whether anything but a promise is under way. */
    hasOwnWork() {
        const promises = (this.awaitsPromise ? 1 : 0) + (this.foreign === null ? 0 : this.foreign.size);
        return this.requests > 0 || this.pending > promises;
    }

    stopTimers() {
        if (this.timers === null) return;
        for (const timer of this.timers.values()) timer.stop();
        this.timers = null;
    }

    /** Ends what is still under way. */
    stop(tellWorker) {
        this.stopTimers();
        if (this.awaitsPromise) {
            this.awaitsPromise = false;
            this.pending -= 1;
            this.endless -= 1;
        }
        if (this.foreign !== null) {
            this.pending -= this.foreign.size;
            this.endless -= this.foreign.size;
            this.foreign.clear();
        }
        if (this.requests > 0) {
            const { exchanges } = this;
            this.exchanges = new PrivateSet();
            this.requests = 0;
            for (const exchange of exchanges.values()) exchange.drop(tellWorker);
        }
    }
}

module.exports = { RuleWork, activities };
