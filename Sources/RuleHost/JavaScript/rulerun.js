'use strict';

// One rule at work for one login. What runs on behalf of it carries it along, see attribution.js.
//
// A rule's callback hands over to the next rule, but is not its end: the rule is complete when its requests, timers and
// the like are done too, or its deadline has passed. What shows no sign of an end (a promise that nobody settles, an
// interval) is ended when nothing of the rule has stirred for the time that `limits.quiet` says.

const { now, apply, promiseThen, Promise, hide } = require('./intrinsics');
const { isDenial, describe } = require('./errors');
const { RuleWork, activities } = require('./rulework');
const { warn } = require('./warnings');
const { shared } = require('./shared');
const pulse = require('./pulse');
const turns = require('./turns');

const { max, floor } = Math;
/** Late warnings that one rule may leave in its result. */
const maxLate = 5;

/** A verdict of a rule ends the chain as a denial, whichever way it left the rule; all else is an error. */
function outcomeOf(error) {
    return isDenial(error) ? 'denied' : 'error';
}

/** A run of one rule for one login. */
class RuleRun extends RuleWork {
    /**
     * @param {import('./evaluation').Evaluation} evaluation
     * @param {number} index
     * @param {number} started
     * @param {string} userText the state before the rule
     * @param {string} contextText
     */
    constructor(evaluation, index, started, userText, contextText) {
        super();
        this.evaluation = evaluation;
        this.index = index;
        /** What stands for this run where rules may look. */
        this.owner = hide(this);
        this.started = started;
        this.userText = userText;
        this.contextText = contextText;
        /** Whether callback, error or deadline ended the rule's turn in the chain. */
        this.isDecided = false;
        /** Whether the rule has called its callback. */
        this.hasCalledBack = false;
        /** Whether its time, or its quiet, ended it: what fails by that, and calls back, is not the rule's doing. */
        this.isCutShort = false;
        this.isComplete = false;
        this.isSettling = false;
        this.milliseconds = 0;
        this.late = null;
        this.warnings = 0;
        this.writes = null;
        /** What it set as `Error.prepareStackTrace`. */
        this.prepareStackTrace = undefined;
        /** Sockets that answers were handed over on, each with the request that it served. */
        this.answered = null;
    }

    takesWork() {
        const { evaluation } = this;
        return !evaluation.isOver || (evaluation.isEnded && !evaluation.isExpired);
    }

    /** Whole milliseconds until the rule's deadline. */
    remaining() {
        return max(0, floor(this.evaluation.timeout - (now() - this.started)));
    }

    /** A request of the rule is not to verify whom it talks to: the worker does, whatever the rule says. */
    trustsAll() {
        const rule = shared.rules[this.index];
        if (rule.saidTrustsAll) return;
        rule.saidTrustsAll = true;
        warn(this, 'unverified', 'rejectUnauthorized: false has no effect: certificates are verified by the worker');
    }

    /** A request of the rule names another host than its address: it has no effect. */
    namesHost(host) {
        const rule = shared.rules[this.index];
        if (rule.saidNamesHost) return;
        rule.saidNamesHost = true;
        warn(this, 'host-header', `the header host: ${host} has no effect: a request names the host of its address`);
    }

    /** Tells the watchdog that this rule's work begins, in a turn that the tail ends (see turns.js). */
    mark() {
        pulse.mark(this.evaluation.number, this.index);
    }

    /** The same in a turn of another kind: one of a timer, or of the thread pool. */
    markTurn() {
        pulse.markTurn(this.evaluation.number, this.index);
    }

    /**
     * The rule returned a promise: an `async` one is at work until that is settled, whoever it waits for. One that never
     * is (`new Promise` around a `callback`) is waited for once.
     */
    promised(promise) {
        const rule = shared.rules[this.index];
        if (!rule.leavesPromise) {
            this.awaitsPromise = true;
            this.endlessBegan(activities.promise);
        }
        const settled = () => {
            rule.leavesPromise = false;
            if (!this.awaitsPromise) return;
            this.awaitsPromise = false;
            this.endlessEnded(activities.promise);
        };
        const rejected = (reason) => {
            settled();
            this.threw(reason);
        };
        if (promise instanceof Promise) apply(promiseThen, promise, [settled, rejected]);
        else promise.then(settled, rejected);
    }

    /** Ends what shows no sign of an end. */
    endQuietly(milliseconds) {
        const isPromise = this.awaitsPromise && this.pending === 1;
        if (isPromise) shared.rules[this.index].leavesPromise = true;
        this.leaveForeign();
        this.noteLate(`${this.remains()}, ${Math.round(milliseconds)} ms after the rule's last activity (${this.lastActivity})`);
        this.isCutShort = true;
        this.stop(true);
        this.complete();
    }

    /** Looks whether the rule is complete, after what runs now and its continuations. */
    quieten() {
        if (!this.isDecided || this.requests > 0 || this.pending > 0 || this.isSettling || this.isComplete) return;
        this.isSettling = true;
        turns.settleLater(this);
    }

    settle() {
        this.isSettling = false;
        if (this.isDecided && this.requests === 0 && this.pending === 0) this.complete();
    }

    complete() {
        if (this.isComplete) return;
        this.isComplete = true;
        this.evaluation.tell();
        this.evaluation.ruleCompleted();
    }

    /** Something that was not counted went on, while other rules keep the evaluation open. */
    reopen() {
        if (this.evaluation.isOver || !this.isComplete) return;
        this.isComplete = false;
        this.evaluation.tell();
    }

    /** The rule has its verdict. */
    decided() {
        this.milliseconds = now() - this.started;
        this.isDecided = true;
        this.stirred(activities.callback);
        this.quieten();
    }

    /** An answer is handed over. */
    handOver(socket) {
        const message = socket._httpMessage;
        if (message === undefined || message === null) return;
        if (this.answered === null) this.answered = [];
        this.answered[this.answered.length] = { socket, message };
    }

    /** Its evaluation lets go of what it has. */
    forget() {
        this.userText = '';
        this.contextText = '';
        if (this.answered === null) return;
        // Sockets whose answer nobody read to its end: their agents would keep them for ever, as no server closes them.
        for (let index = 0; index < this.answered.length; index += 1) {
            const { socket, message } = this.answered[index];
            if (socket._httpMessage === message) socket.destroy();
        }
        this.answered = null;
    }

    /** Notes something that happened after the rule's callback. */
    noteLate(text) {
        if (this.late === null) this.late = [];
        if (this.late.length < maxLate) this.late[this.late.length] = text;
    }

    /** An exception or a rejection that nobody caught. */
    threw(thrown) {
        const { evaluation } = this;
        if (evaluation.isSilent) return;
        if (!this.isDecided) {
            evaluation.ruleFailed(this, outcomeOf(thrown), thrown);
            return;
        }
        const { name, message } = describe(thrown, false);
        const text = `after its callback: ${name}: ${message}`;
        if (!evaluation.isOver) this.noteLate(text);
        warn(this, 'late-exception', text);
    }

    /** Whose login it is, where the worker can't know it any more by the evaluation's number. */
    ofWhom() {
        const { isOver, userId } = this.evaluation;
        return isOver && typeof userId === 'string' ? `, after the login of ${userId} was over` : '';
    }

    /** The rule's `callback`. */
    calledBack(error, user, context) {
        const { evaluation } = this;
        const isAgain = this.hasCalledBack;
        this.hasCalledBack = true;
        if (isAgain || evaluation.isOver || this.isDecided) {
            if (isAgain && !this.isCutShort) warn(this, 'second-callback', `callback was called again${this.ofWhom()}`);
            return;
        }
        if (error) {
            evaluation.ruleFailed(this, outcomeOf(error), error);
        } else {
            evaluation.ruleFinished(this, user, context);
        }
    }
}

module.exports = { RuleRun };
