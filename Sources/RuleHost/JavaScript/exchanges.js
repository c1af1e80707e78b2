'use strict';

// Requests of rules that the worker has not answered yet. Whatever library made one, it comes through here.

const { stringify, parse, die, setTimeout, reveal, PrivateMap, PrivateSet } = require('./intrinsics');
const { kinds } = require('./frames');
const { refusal } = require('./errors');

/** @type {import('./framesocket').FrameSocket} */
let socket = null;
let lastNumber = 0;
let maxBodyBytes = 10 << 20;
/** Requests that were sent so far; their numbers begin again. */
let sentCount = 0;
/** In the order in which they were sent. @type {Map<number, Exchange>} */
const waiting = new PrivateMap();
const noBytes = new Uint8Array(0);
/** Address and headers of a request, in characters. */
const maxHeadLength = 256 << 10;
/** Milliseconds. */
const latePause = 1000;

/** One request and what happens with its answer. */
class Exchange {
    constructor(number, run, answered, failed) {
        this.number = number;
        /** How many were sent before it. */
        this.place = sentCount;
        this.run = run;
        /** @type {(head: {status: number, reason: string, headers: [string, string][]}, body: Buffer) => void} */
        this.answered = answered;
        /** @type {(failure: object) => void} failure as in the frame `failed`, or an Error of the host */
        this.failed = failed;
    }

    /** It has been answered, or has failed. */
    ended() {
        // Whoever keeps this keeps no answer with it; see `release` of an evaluation.
        this.answered = null;
        this.failed = null;
        this.run.exchangeEnded(this);
    }

    /** The rule does not want the answer any more. */
    cancel() {
        const { run } = this;
        if (this.answered !== null) run.gaveUp = true;
        if (!waiting.delete(this.number)) return;
        if (!run.evaluation.isOver) socket.sendNumber(kinds.cancelRequest, run.evaluation.number, this.number);
        run.exchangeEnded(this);
    }

    /** The evaluation is over, so is this: whoever waits is told, the worker knows. */
    drop(tellWorker) {
        if (!waiting.delete(this.number)) return;
        this.run.gaveUp = true;
        if (tellWorker) socket.sendNumber(kinds.cancelRequest, this.run.evaluation.number, this.number);
        this.failed(refusal('the rule is over, and its request was cancelled: await what it answers before the callback, or stay below rules.timeout', 'ECONNRESET'));
    }
}

/** Those that are not of requests to a server: a tunnel, an echo of all headers, the preface of HTTP/2. */
const refusedMethods = new PrivateSet(['CONNECT', 'TRACE', 'TRACK', 'PRI']);
const usualMethods = new PrivateSet(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const methodPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Sends a request to the worker.
 * @param {import('./rulerun').RuleRun} run whose request it is
 * @param {string} method
 * @param {string} url
 * @param {[string, string][]} headers
 * @param {Uint8Array | null} body
 * @returns {Exchange | Error} an error where the request cannot be made at all
 */
function send(run, method, url, headers, body, answered, failed) {
    if (!usualMethods.has(method)) {
        if (!methodPattern.test(method)) return refusal(`${method} is not a method of HTTP: write GET, POST, PUT, PATCH or DELETE`);
        if (refusedMethods.has(method.toUpperCase())) return refusal(`the method ${method} is not available to rules: use GET, POST, PUT, PATCH or DELETE`);
    }
    return sendAny(run, method, url, headers, body, answered, failed);
}

/**
 * Tells the worker that a rule connects to where it may send nothing. No rule's request has this method, and none with it goes out.
 * @returns {Exchange | Error}
 */
function askToConnect(run, url, answered, failed) {
    return sendAny(run, 'CONNECT', url, [], null, answered, failed);
}

function sendAny(run, method, url, headers, body, answered, failed) {
    if (run === undefined) return refusal('a request was made while no rule runs that it belongs to (when a module was loaded, say): make it inside of the rule', 'ECONNRESET');
    const { evaluation } = run;
    // What an evaluation that was ended asks for is away, for all that is known: nothing is rejected.
    if (evaluation.isEnded) return new Exchange(0, run, answered, failed);
    if (evaluation.isOver) {
        // Not at once: a rule that tries again and again would do so without a pause, and hold up all others.
        const fail = () => failed(refusal('a request was made after the rule was over: make it before the callback, or await what it waits for', 'ECONNRESET'));
        setTimeout(fail, latePause).unref();
        return new Exchange(0, run, answered, failed);
    }
    const bytes = body === null ? noBytes : body;
    if (bytes.length > maxBodyBytes) return refusal(`the request's body is larger than ${maxBodyBytes} bytes (egress.max_response, which holds for both directions)`);
    const head = `{"rule":${run.index},"method":"${method}","url":${stringify(url)},"headers":${stringify(headers)}`
        + `,"remaining":${run.remaining()}}`;
    if (head.length > maxHeadLength) return refusal(`the address and the headers of the request are too large (${maxHeadLength >> 10} KB are allowed): send that in the body`);
    lastNumber = lastNumber === 0xffffffff ? 1 : lastNumber + 1;
    const exchange = new Exchange(lastNumber, run, answered, failed);
    if (!socket.sendRequest(evaluation.number, reveal(evaluation.secret), lastNumber, head, bytes)) {
        return refusal('the request is too large');
    }
    sentCount += 1;
    waiting.set(lastNumber, exchange);
    run.exchangeBegan(exchange);
    return exchange;
}

/** The worker answered. An answer to a cancelled request may still arrive, and is dropped. */
function answered(frame) {
    const part = frame.numberedPart();
    const exchange = waiting.get(part.number);
    if (exchange === undefined) return;
    let head;
    try {
        head = parse(part.text);
    } catch {
        die('a response of the worker is not JSON');
    }
    waiting.delete(part.number);
    exchange.run.mark();
    if (head.failedSo === true) exchange.run.failedSo = true;
    exchange.answered(head, frame.rest());
    exchange.ended();
}

/** The worker could not get an answer. */
function failed(frame) {
    const number = frame.number();
    const exchange = waiting.get(number);
    if (exchange === undefined) return;
    let failure;
    try {
        failure = parse(frame.text());
    } catch {
        die('a failure of the worker is not JSON');
    }
    waiting.delete(number);
    exchange.run.mark();
    if (failure.failedSo === true) exchange.run.failedSo = true;
    exchange.failed(failure);
    exchange.ended();
}

/** The place of the oldest open request of an evaluation in flight; infinite where there is none. */
function oldestPlace() {
    for (const { place, run } of waiting.values()) if (!run.evaluation.isEnded) return place;
    return Infinity;
}

/**
 * @param {import('./framesocket').FrameSocket} frames
 */
function attach(frames) {
    socket = frames;
}

/** @param {{maxBodyBytes?: number}} limits */
function configure(limits) {
    if (limits.maxBodyBytes > 0) maxBodyBytes = limits.maxBodyBytes;
}

module.exports = {
    attach, configure, send, askToConnect, answered, failed, oldestPlace, bodyLimit: () => maxBodyBytes, sentCount: () => sentCount,
};
