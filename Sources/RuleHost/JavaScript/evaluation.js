'use strict';

// One login's way through a run of neighbouring rules. It is done when no further rule starts and all are complete.

const { now, parse, lastWords, hide, reveal } = require('./intrinsics');
const { within } = require('./attribution');
const { GivenEffects } = require('./effects');
const { describe } = require('./errors');
const {
    UnsendableError, textOf, addContainers, removeUnusedContainers, mergeAppMetadata, removeMerged, restoreMerged,
} = require('./state');
const { RuleRun } = require('./rulerun');
const { shared } = require('./shared');
const result = require('./result');
const { repair } = require('./repair');
const integrity = require('./integrity');
const turns = require('./turns');

/** A run of rules for one login. */
class Evaluation {
    /**
     * @param {number} number
     * @param {{from: number, to: number, timeout: number, accessToken?: string, userId?: string}} head
     * @param {string} userText
     * @param {string} contextText
     * @param {string} secret
     * @param {boolean} isAlone no other is on this host, since the last one that was may have ended it
     * @param {(evaluation: Evaluation) => void} onOver
     */
    constructor(number, head, userText, contextText, secret, isAlone, onOver) {
        this.onOver = onOver;
        this.secret = hide(secret);
        this.number = number;
        this.isAlone = isAlone;
        this.next = head.from;
        this.to = head.to;
        this.timeout = head.timeout;
        this.accessToken = typeof head.accessToken === 'string' ? head.accessToken : undefined;
        this.givenUserText = userText;
        this.givenContextText = contextText;
        // The state that the last successful rule left.
        this.userText = userText;
        this.contextText = contextText;
        this.user = parse(userText);
        this.context = parse(contextText);
        this.givenRedirect = this.context.redirect;
        this.givenMultifactor = this.context.multifactor;
        this.effects = new GivenEffects(contextText);
        /** The login's own, whatever rules write into `user.user_id`. */
        this.userId = typeof head.userId === 'string' ? head.userId : this.user.user_id;
        /** What the last rule left there. */
        this.seenUserId = this.user.user_id;
        this.containers = addContainers(this.context);
        /** Effects that can no longer happen, and the first rule that asked for each. @type {{name: string, rule: number}[]} */
        this.unsupported = [];
        /** @type {RuleRun[]} */
        this.runs = [];
        this.outcome = 'completed';
        this.culprit = null;
        this.error = null;
        /** No further rule starts. */
        this.isEnding = false;
        /** Its result is sent, or nobody wants one. */
        this.isOver = false;
        /** The worker ended it: it goes on for as long as it likes, and nothing that it does counts. */
        this.isEnded = false;
        /** Nothing is told of it any more. */
        this.isSilent = false;
        /** Whether the time of all its rules is over, where it was ended. */
        this.isExpired = false;
        /** @type {import('./idleness').Idleness | null} */
        this.idleness = null;
        this.consoleLeft = shared.consoleBytes;
        this.merged = mergeAppMetadata(this.user);
    }

    startNextRule() {
        if (this.isOver || this.isEnding) return;
        if (this.next >= this.to) {
            this.endChain();
            return;
        }
        const run = new RuleRun(this, this.next, now(), this.userText, this.contextText);
        this.next += 1;
        this.runs[this.runs.length] = run;
        run.mark();
        this.tell();
        within(run, call, run, this.user, this.context);
    }

    /** One that runs alone may end this process: the worker learns beforehand which rules are at work. */
    tell() {
        if (!this.isAlone) return;
        let text = 'rules';
        for (let index = 0; index < this.runs.length; index += 1) {
            if (!this.runs[index].isComplete) text += ` ${this.runs[index].index}`;
        }
        lastWords(`${text}\n`);
    }

    ruleFinished(run, user, context) {
        const nextUser = user === undefined || user === null ? this.user : user;
        const nextContext = context === undefined || context === null ? this.context : context;
        const isLast = this.next >= this.to;
        let userText;
        let contextText;
        let redirect;
        let multifactor;
        let changed = null;
        let containers;
        let userId;
        // Whatever touches the rule's objects may throw, and comes before anything is decided.
        try {
            if (this.merged !== null) removeMerged(nextUser, this.merged);
            userText = textOf('user', nextUser, this.userText);
            if (this.merged !== null) restoreMerged(nextUser, this.merged);
            if (this.containers !== null) removeUnusedContainers(nextContext, this.containers);
            contextText = textOf('context', nextContext, this.contextText);
            ({ redirect, multifactor } = nextContext);
            if (contextText !== this.contextText) changed = this.effects.changed(nextContext);
            userId = nextUser.user_id;
            containers = isLast ? null : addContainers(nextContext);
        } catch (error) {
            const isLimit = error instanceof UnsendableError;
            this.ruleFailed(run, isLimit ? 'limit' : 'error', error);
            return;
        }
        this.userText = userText;
        this.contextText = contextText;
        if (userId !== this.seenUserId) {
            this.seenUserId = userId;
            run.noteLate('changed user.user_id; the result keeps the login\'s own');
        }
        this.noteUnsupported(run, 'redirect', redirect, this.givenRedirect);
        this.noteUnsupported(run, 'multifactor', multifactor, this.givenMultifactor);
        if (changed !== null) for (const name of changed) this.noteUnsupported(run, name, true, false);
        this.user = nextUser;
        this.context = nextContext;
        this.containers = containers;
        run.decided();
        if (isLast) this.endChain();
        else turns.startNextRule(this);
    }

    noteUnsupported(run, name, value, given) {
        if (value === given || value === undefined || value === null) return;
        if (this.unsupported.some((effect) => effect.name === name)) return;
        this.unsupported[this.unsupported.length] = { name, rule: run.index };
    }

    ruleFailed(run, outcome, error) {
        if (this.isEnding) return;
        this.outcome = outcome;
        this.culprit = run;
        this.error = describe(error, outcome === 'error');
        // A verdict's words are its message, whatever its class is called.
        if (outcome === 'denied') this.error.name = 'UnauthorizedError';
        if (run.writes !== null) run.writes.seal();
        run.decided();
        this.endChain();
    }

    /** The host cannot go on after what this rule did: its result leaves before. */
    endHost(run, reason) {
        this.isEnding = this.isOver;
        this.ruleFailed(run, 'limit', new UnsendableError(`changed what all logins share: ${reason}`));
        for (let index = 0; index < this.runs.length; index += 1) this.runs[index].complete();
        shared.socket.flush();
    }

    endChain() {
        this.isEnding = true;
        this.ruleCompleted();
    }

    ruleCompleted() {
        if (this.isOver || !this.isEnding) return;
        for (let index = 0; index < this.runs.length; index += 1) if (!this.runs[index].isComplete) return;
        this.finish();
    }

    /** Called a few dozen times a second: ends rules whose time is over. */
    keepDeadlines(time) {
        for (let index = 0; index < this.runs.length && !this.isOver; index += 1) {
            const run = this.runs[index];
            if (run.isComplete) continue;
            if (time - run.started >= this.timeout) {
                this.deadlinePassed(run);
                continue;
            }
            const quiet = run.isDecided ? run.quietFor(time) : -1;
            if (quiet >= shared.quiet) run.endQuietly(quiet);
        }
    }

    deadlinePassed(run) {
        if (run.isDecided) {
            run.noteLate(`still at work after its callback when its time of ${this.timeout} ms (rules.timeout) was over`);
        } else {
            const error = new Error(`did not call back within ${this.timeout} ms (rules.timeout): every path through a rule ends with callback(…)`);
            error.name = 'TimeoutError';
            error.stack = undefined;
            this.ruleFailed(run, 'timeout', error);
        }
        run.isCutShort = true;
        run.stop(true);
        run.complete();
    }

    /** Sends the result. */
    finish() {
        const message = result.resultOf(this);
        const last = this.runs[this.runs.length - 1];
        this.leave();
        this.release();
        this.send(message, last.index);
    }

    send(message, lastRule) {
        const secret = reveal(this.secret);
        if (shared.socket.sendDone(this.number, secret, message)) return;
        // User, context and metadata are within their limits, but not all of them together.
        shared.socket.sendDone(this.number, secret, result.tooLarge(lastRule));
    }

    /** The worker does not want this evaluation any more. */
    cancel() {
        this.isSilent = true;
        this.leave();
        this.release();
    }

    /**
     * The worker ends this evaluation, since what it asks for is away. It has the state before the first rule that is not complete.
     * Nothing is rejected, as other logins may have promises of this one: open requests stay open, and timers run on.
     */
    end() {
        const incomplete = this.firstIncomplete();
        const message = result.endedOf(this, incomplete);
        this.isEnded = true;
        this.isSilent = true;
        this.leave();
        this.send(message, incomplete === undefined ? this.next : incomplete.index);
    }

    /** The first rule that is not complete; undefined where that has not begun. */
    firstIncomplete() {
        return this.runs.find((run) => !run.isComplete);
    }

    /** It is in flight no more. */
    leave() {
        this.isOver = true;
        this.onOver(this);
    }

    /**
     * Called with every beat once it was ended: stops timers of rules whose time is over.
     * @returns {boolean} whether the time of all is
     */
    keepEnded(time) {
        let isExpired = true;
        for (let index = 0; index < this.runs.length; index += 1) {
            const run = this.runs[index];
            if (time - run.started < this.timeout) isExpired = false;
            else run.stopTimers();
        }
        if (isExpired) {
            this.isExpired = true;
            this.forget();
        }
        return isExpired;
    }

    /** Stops what is under way, and lets go of what it has. */
    release() {
        for (let index = 0; index < this.runs.length; index += 1) this.runs[index].stop(false);
        this.forget();
    }

    forget() {
        for (let index = 0; index < this.runs.length; index += 1) this.runs[index].forget();
        // An evaluation that waited long is in the old generation, and holds what it refers to until that is collected:
        // without this, a collection of the young one copies three times as much.
        this.user = null;
        this.context = null;
        this.userText = '';
        this.contextText = '';
        this.givenUserText = '';
        this.givenContextText = '';
        this.effects = null;
        this.containers = null;
        this.merged = null;
    }
}

/** Calls a rule. Runs within the rule's attribution. */
function call(run, user, context) {
    const callback = (error, newUser, newContext) => run.calledBack(error, newUser, newContext);
    // Called by itself, so that `this` is what it is in any function.
    const { call: rule } = shared.rules[run.index];
    try {
        const returned = rule(user, context, callback);
        if (returned !== undefined && returned !== null && typeof returned.then === 'function') run.promised(returned);
    } catch (error) {
        run.threw(error);
    }
    if (!integrity.isIntact()) repair(run);
}

module.exports = { Evaluation };
