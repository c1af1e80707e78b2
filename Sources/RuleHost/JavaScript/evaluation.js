'use strict';

// One login's way through a run of neighbouring rules, and one rule's part of it.
//
// A rule's callback hands over to the next rule, but is not its end: the rule is complete when its requests and timers
// are done too, or its deadline has passed. The evaluation is done when no further rule starts and all are complete.

const {
    now, parse, stringify, apply, promiseThen, Promise, die, lastWords, PrivateMap, PrivateSet,
} = require('./intrinsics');
const { kinds } = require('./frames');
const { within } = require('./attribution');
const { isDenial, describe } = require('./errors');
const {
    UnsendableError, textOf, addContainers, removeUnusedContainers, mergeAppMetadata, removeMerged, restoreMerged,
} = require('./state');
const { MetadataWrites } = require('./metadata');
const pulse = require('./pulse');
const integrity = require('./integrity');
const turns = require('./turns');

/** Late warnings that one rule may leave in its result. */
const maxLate = 5;
/** Warnings that one rule may leave in the log. */
const maxWarnings = 20;

/** What all evaluations of this host share; set once, by `configure`. */
const host = {
    /** @type {import('./frames').FrameSocket} */
    socket: null,
    /**
     * `leavesPromise`: the last one was never settled; `mayReplace`: see integrity.js.
     * @type {{name: string, call: Function, leavesPromise: boolean, mayReplace: boolean}[]}
     */
    rules: [],
    /** Milliseconds that a rule without requests left is given after its callback. */
    drain: 5000,
    consoleBytes: 8192,
};

/** @type {Map<number, Evaluation>} */
const inFlight = new PrivateMap();

/** A verdict of a rule ends the chain as a denial, whichever way it left the rule; all else is an error. */
function outcomeOf(error) {
    return isDenial(error) ? 'denied' : 'error';
}

/** One rule at work for one login. What runs on behalf of it carries it along, see `attribution.js`. */
class RuleRun {
    constructor(evaluation, index, started) {
        this.evaluation = evaluation;
        this.index = index;
        this.started = started;
        /** Whether callback, error or deadline ended the rule's turn in the chain. */
        this.isDecided = false;
        this.isComplete = false;
        this.isSettling = false;
        /** Whether the promise that the rule returned is pending. */
        this.awaitsPromise = false;
        this.milliseconds = 0;
        this.calls = 0;
        /** Requests under way. */
        this.exchanges = null;
        this.requests = 0;
        /** Timers, work of the thread pool, requests that wait for a socket, the rule's own promise: what is under way. */
        this.pending = 0;
        /** Timers that the end of the evaluation stops. */
        this.timers = null;
        /** When it last had no request left. */
        this.quietSince = 0;
        this.late = null;
        this.warnings = 0;
        this.writes = null;
        /** Sockets that answers were handed over on, each with the request that it served. */
        this.answered = null;
    }

    /** Tells the watchdog that this rule's work begins, in a turn that the tail ends (see turns.js). */
    mark() {
        pulse.mark(this.evaluation.number, this.index);
    }

    /** The same in a turn of another kind: one of a timer, or of the thread pool. */
    markTurn() {
        pulse.markTurn(this.evaluation.number, this.index);
    }

    exchangeBegan(exchange) {
        this.reopen();
        this.calls += 1;
        this.requests += 1;
        if (this.exchanges === null) this.exchanges = new PrivateSet();
        this.exchanges.add(exchange);
    }

    exchangeEnded(exchange) {
        if (!this.exchanges.delete(exchange)) return;
        this.requests -= 1;
        this.quieten();
    }

    /** Work begins that the rule's end waits for. */
    workBegan() {
        this.reopen();
        this.pending += 1;
    }

    workEnded() {
        this.pending -= 1;
        this.quieten();
    }

    /**
     * The rule returned a promise: an `async` one is at work until that is settled, whoever it waits for. One that never
     * is (`new Promise` around a `callback`) is waited for once.
     */
    promised(promise) {
        const rule = host.rules[this.index];
        if (!rule.leavesPromise) {
            this.awaitsPromise = true;
            this.workBegan();
        }
        const settled = () => {
            rule.leavesPromise = false;
            if (!this.awaitsPromise) return;
            this.awaitsPromise = false;
            this.workEnded();
        };
        const rejected = (reason) => {
            settled();
            this.threw(reason);
        };
        if (promise instanceof Promise) apply(promiseThen, promise, [settled, rejected]);
        else promise.then(settled, rejected);
    }

    /** Has been at work for too long without a request. */
    drained(milliseconds) {
        const isPromise = this.awaitsPromise && this.pending === 1;
        if (isPromise) host.rules[this.index].leavesPromise = true;
        const what = isPromise ? 'the promise that it returned was still pending' : 'timers were still running';
        this.noteLate(`${what} ${Math.round(milliseconds)} ms after the rule's last call`);
        this.stop(true);
        this.complete();
    }

    /** Looks whether the rule is complete, after what runs now and its continuations. */
    quieten() {
        if (!this.isDecided || this.requests > 0 || this.isSettling || this.isComplete) return;
        if (this.pending > 0) {
            this.quietSince = now();
            return;
        }
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

    /** Ends what is still under way. */
    stop(tellWorker) {
        if (this.timers !== null) {
            for (const timer of this.timers) timer.stop();
            this.timers = null;
        }
        if (this.requests > 0) {
            const { exchanges } = this;
            this.exchanges = new PrivateSet();
            this.requests = 0;
            for (const exchange of exchanges) exchange.drop(tellWorker);
        }
    }

    /** An answer is handed over. */
    handOver(socket) {
        const message = socket._httpMessage;
        if (message === undefined || message === null) return;
        if (this.answered === null) this.answered = [];
        this.answered[this.answered.length] = { socket, message };
    }

    /** Closes sockets whose answer nobody read to its end: their agents would keep them for ever, as no server closes them. */
    closeUnread() {
        if (this.answered === null) return;
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
        if (!this.isDecided) {
            evaluation.ruleFailed(this, outcomeOf(thrown), thrown);
            return;
        }
        const { name, message } = describe(thrown, false);
        const text = `after its callback: ${name}: ${message}`;
        if (!evaluation.isOver) this.noteLate(text);
        warn(this, 'late-exception', text);
    }

    /** The rule's `callback`. */
    calledBack(error, user, context) {
        const { evaluation } = this;
        if (evaluation.isOver || this.isDecided) {
            warn(this, 'second-callback', 'callback was called again, or after the rule had ended');
            return;
        }
        if (error) {
            evaluation.ruleFailed(this, outcomeOf(error), error);
        } else {
            evaluation.ruleFinished(this, user, context);
        }
    }
}

/** A run of rules for one login. */
class Evaluation {
    constructor(number, head, userText, contextText, isAlone) {
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
        this.userId = this.user.user_id;
        this.containers = addContainers(this.context);
        this.unsupported = [];
        /** @type {RuleRun[]} */
        this.runs = [];
        this.outcome = 'completed';
        this.culprit = null;
        this.error = null;
        /** No further rule starts. */
        this.isEnding = false;
        this.isOver = false;
        this.consoleLeft = host.consoleBytes;
        this.merged = mergeAppMetadata(this.user);
    }

    startNextRule() {
        if (this.isOver || this.isEnding) return;
        if (this.next >= this.to) {
            this.end();
            return;
        }
        const run = new RuleRun(this, this.next, now());
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
        let containers;
        // Whatever touches the rule's objects may throw, and comes before anything is decided.
        try {
            if (this.merged !== null) removeMerged(nextUser, this.merged);
            userText = textOf('user', nextUser, this.userText);
            if (this.merged !== null) restoreMerged(nextUser, this.merged);
            if (this.containers !== null) removeUnusedContainers(nextContext, this.containers);
            contextText = textOf('context', nextContext, this.contextText);
            ({ redirect, multifactor } = nextContext);
            containers = isLast ? null : addContainers(nextContext);
        } catch (error) {
            const isLimit = error instanceof UnsendableError;
            this.ruleFailed(run, isLimit ? 'limit' : 'error', error);
            return;
        }
        this.userText = userText;
        this.contextText = contextText;
        this.noteUnsupported('redirect', redirect, this.givenRedirect);
        this.noteUnsupported('multifactor', multifactor, this.givenMultifactor);
        this.user = nextUser;
        this.context = nextContext;
        this.containers = containers;
        this.decided(run);
        if (isLast) this.end();
        else turns.startNextRule(this);
    }

    noteUnsupported(name, value, given) {
        if (value === given || value === undefined || value === null || this.unsupported.includes(name)) return;
        this.unsupported[this.unsupported.length] = name;
    }

    ruleFailed(run, outcome, error) {
        if (this.isEnding) return;
        this.outcome = outcome;
        this.culprit = run;
        this.error = describe(error, outcome === 'error');
        if (run.writes !== null) run.writes.seal();
        this.decided(run);
        this.end();
    }

    /** The host cannot go on after what this rule did: its result leaves before. */
    endHost(run, reason) {
        this.isEnding = this.isOver;
        this.ruleFailed(run, 'limit', new UnsendableError(`changed what all logins share: ${reason}`));
        for (let index = 0; index < this.runs.length; index += 1) this.runs[index].complete();
        host.socket.flush();
    }

    decided(run) {
        run.milliseconds = now() - run.started;
        run.isDecided = true;
        run.quieten();
    }

    end() {
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
            } else if (run.isDecided && run.requests === 0 && run.pending > 0
                && time - run.quietSince >= host.drain) {
                run.drained(host.drain);
            }
        }
    }

    deadlinePassed(run) {
        if (run.isDecided) {
            run.noteLate(`still at work after its callback when its time of ${this.timeout} ms was over`);
        } else {
            const error = new Error(`did not call back within ${this.timeout} ms`);
            error.name = 'TimeoutError';
            error.stack = undefined;
            this.ruleFailed(run, 'timeout', error);
        }
        run.stop(true);
        run.complete();
    }

    /** Sends the result. */
    finish() {
        const { outcome, userText, contextText } = this;
        const isSameUser = userText === this.givenUserText;
        const isSameContext = contextText === this.givenContextText;
        const head = `{"outcome":"${outcome}"${this.failureText()},"rules":[${this.rulesText()}],${this.writesText()}`
            + `,"unsupported":${this.unsupported.length === 0 ? '[]' : stringify(this.unsupported)}}`;
        this.release();
        const isSent = host.socket.sendDone(
            this.number,
            head,
            isSameUser ? '' : userText,
            isSameContext ? '' : contextText,
        );
        if (!isSent) this.sendTooLarge();
    }

    /** User, context and metadata are within their limits, but not all of them together. */
    sendTooLarge() {
        const { index } = this.runs[this.runs.length - 1];
        const error = { name: 'LimitError', message: 'user, context and metadata are too large together' };
        const head = `{"outcome":"limit","rule":${index},"error":${stringify(error)},"rules":[],${MetadataWrites.noneText}`
            + ',"unsupported":[]}';
        host.socket.sendDone(this.number, head, '', '');
    }

    failureText() {
        if (this.culprit === null) return '';
        return `,"rule":${this.culprit.index},"error":${stringify(this.error)}`;
    }

    rulesText() {
        let text = '';
        for (let index = 0; index < this.runs.length; index += 1) {
            const run = this.runs[index];
            const milliseconds = Math.round(run.milliseconds * 1000) / 1000;
            text += `${index === 0 ? '' : ','}{"rule":${run.index},"ms":${milliseconds},"calls":${run.calls}`
                + `,"late":${run.late === null ? '[]' : stringify(run.late)}}`;
        }
        return text;
    }

    writesText() {
        let writes = null;
        for (let index = 0; index < this.runs.length; index += 1) {
            const run = this.runs[index];
            const isDropped = run === this.culprit && this.outcome !== 'denied';
            if (run.writes === null || isDropped) continue;
            if (writes === null) writes = new MetadataWrites();
            writes.merge(run.writes);
        }
        return writes === null ? MetadataWrites.noneText : writes.text();
    }

    /** The worker does not want this evaluation any more. */
    cancel() {
        if (!this.isOver) this.release();
    }

    release() {
        this.isOver = true;
        inFlight.delete(this.number);
        pulse.ended();
        for (let index = 0; index < this.runs.length; index += 1) {
            this.runs[index].stop(false);
            this.runs[index].closeUnread();
        }
        // An evaluation that waited long is in the old generation, and holds what it refers to until that is collected:
        // without this, a collection of the young one copies three times as much.
        this.user = null;
        this.context = null;
        this.userText = '';
        this.contextText = '';
        this.givenUserText = '';
        this.givenContextText = '';
        this.containers = null;
        this.merged = null;
    }
}

/** Calls a rule. Runs within the rule's attribution. */
function call(run, user, context) {
    const callback = (error, newUser, newContext) => run.calledBack(error, newUser, newContext);
    // Called by itself, so that `this` is what it is in any function.
    const { call: rule, mayReplace } = host.rules[run.index];
    try {
        const result = rule(user, context, callback);
        if (result !== undefined && result !== null && typeof result.then === 'function') run.promised(result);
    } catch (error) {
        run.threw(error);
    }
    if (mayReplace && !integrity.isIntact()) repair(run);
}

/** What was said to be replaced: a rule may do it in every login. */
const told = new PrivateSet();
const maxTold = 50;

/** Puts back what a rule replaced for all logins, and says so once. */
function repair(run) {
    let names;
    try {
        names = integrity.repair();
    } catch (reason) {
        run?.evaluation.endHost(run, reason);
        die(`a rule changed what all logins share: ${reason}`);
    }
    if (names === '' || told.has(names) || told.size === maxTold) return;
    told.add(names);
    warn(run, 'replaced', `${names}: shared by all logins of this host, and put back`);
}

/** Looks after what all logins share, by the way or thoroughly. */
function keepIntact(isThorough) {
    if (isThorough || !integrity.isIntact()) repair(undefined);
}

/** Tells the worker of something that a rule did and that is not its result. */
function warn(run, kind, text) {
    if (run !== undefined) {
        if (run.warnings === maxWarnings) return;
        run.warnings += 1;
    }
    const number = run === undefined || run.evaluation.isOver ? 0 : run.evaluation.number;
    const rule = run === undefined ? -1 : run.index;
    host.socket.send(kinds.warning, number, stringify({ rule, kind, text }));
}

/** Handles a frame `evaluate`, or `evaluateAlone`. */
function evaluate(frame, isAlone) {
    if (inFlight.has(frame.evaluation) || frame.evaluation === 0) die(`evaluation ${frame.evaluation} came twice`);
    pulse.begun();
    let evaluation;
    try {
        const head = parse(frame.partText());
        const userText = frame.partText();
        evaluation = new Evaluation(frame.evaluation, head, userText, frame.text(), isAlone);
    } catch (error) {
        die(`evaluation ${frame.evaluation} cannot be read: ${error.message}`);
    }
    if (!(evaluation.next >= 0 && evaluation.to <= host.rules.length && evaluation.timeout > 0)) {
        die(`evaluation ${frame.evaluation} asks for rules that are not loaded`);
    }
    inFlight.set(frame.evaluation, evaluation);
    evaluation.startNextRule();
}

/** Handles a frame `cancel`. */
function cancel(frame) {
    const evaluation = inFlight.get(frame.evaluation);
    if (evaluation !== undefined) evaluation.cancel();
}

function keepDeadlines() {
    const time = now();
    for (const evaluation of inFlight.values()) evaluation.keepDeadlines(time);
    // What is over now is the worker's before its code can go on, and perhaps never let go.
    host.socket.flush();
}

module.exports = { host, evaluate, cancel, keepDeadlines, keepIntact, warn, RuleRun };
