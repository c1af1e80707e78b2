'use strict';

// What Node's HTTP client takes for its parser: one for each message.
//
// Node would give one parser to many messages, one after the other, also to those of several logins: whoever kept it would see the next.
// And on the short way (see answer.js) nothing is parsed at all. So Node is given an object with the fields of a parser; it parses with
// one of Node's own, which nobody else has, once there are bytes to be parsed.

const { AsyncResource } = require('node:async_hooks');
const { apply, die, setImmediate } = require('./intrinsics');

/** Methods of Node's parsers. */
const methods = [
    'initialize', 'execute', 'finish', 'close', 'remove', 'pause', 'resume', 'consume', 'unconsume', 'getCurrentBuffer',
];
const callbackNames = ['kOnMessageBegin', 'kOnHeaders', 'kOnHeadersComplete', 'kOnBody', 'kOnMessageComplete', 'kOnExecute', 'kOnTimeout'];

/** Node's parsers, which are to be had from no module that is documented. */
function parsersOfNode() {
    const { emitWarning } = process;
    // That the module is deprecated, as in some versions, is not for the rules' log.
    process.emitWarning = () => {};
    let found = {};
    try {
        found = require('node:_http_common');
    } catch {
        // What is missing is told below.
    } finally {
        process.emitWarning = emitWarning;
    }
    const { HTTPParser, parsers } = found;
    const isAsKnown = typeof parsers?.ctor === 'function' && typeof parsers.alloc === 'function' && typeof parsers.free === 'function'
        && methods.every((name) => typeof HTTPParser?.prototype?.[name] === 'function')
        && callbackNames.every((name) => Number.isInteger(HTTPParser[name]));
    if (!isAsKnown) die(`Node ${process.version} has other HTTP parsers than this version of afterlogin knows: run rules with Node 18, 20, 22 or 24`);
    return { HTTPParser, parsers };
}

const { HTTPParser, parsers } = parsersOfNode();
const { ctor: makeParser } = parsers;
const { kOnMessageBegin, kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete, kOnExecute, kOnTimeout } = HTTPParser;
const callbacks = callbackNames.map((name) => HTTPParser[name]);
const {
    initialize, execute, finish, close, remove, pause, resume, consume, unconsume, getCurrentBuffer,
} = HTTPParser.prototype;
const { runInAsyncScope } = AsyncResource.prototype;
/** What Node's client and server do with what a parser has read. */
const nodes = apply(makeParser, parsers, []);
const mostHeaderPairs = nodes.maxHeaderPairs;

class LazyParser {
    /** Node's own, where one is needed. */
    #parser = null;
    #parameters = [HTTPParser.RESPONSE, {}];
    /** @type {AsyncResource | null} */
    #scope = null;

    constructor() {
        this[kOnMessageBegin] = null;
        this[kOnHeaders] = nodes[kOnHeaders];
        this[kOnHeadersComplete] = nodes[kOnHeadersComplete];
        this[kOnBody] = nodes[kOnBody];
        this[kOnMessageComplete] = nodes[kOnMessageComplete];
        this[kOnExecute] = null;
        this[kOnTimeout] = null;
        this._headers = [];
        this._url = '';
        this.socket = null;
        this.incoming = null;
        this.outgoing = null;
        this.maxHeaderPairs = mostHeaderPairs;
        this._consumed = false;
        this.onIncoming = null;
        this.joinDuplicateHeaders = null;
    }

    initialize(...parameters) {
        this.#parameters = parameters;
        this.#scope = new AsyncResource('HTTPINCOMINGMESSAGE', { requireManualDestroy: true });
        if (this.#parser !== null) apply(initialize, this.#parser, parameters);
    }

    #made() {
        if (this.#parser !== null) return this.#parser;
        const parser = apply(makeParser, parsers, []);
        for (let index = 0; index < callbacks.length; index += 1) {
            const number = callbacks[index];
            parser[number] = (...parameters) => {
                const callback = this[number];
                return typeof callback === 'function' ? apply(callback, this, parameters) : undefined;
            };
        }
        this.#parser = parser;
        // One of Node's own that is not initialized reads anything. What it calls runs as part of what began the request.
        const scope = this.#scope ?? new AsyncResource('HTTPINCOMINGMESSAGE', { requireManualDestroy: true });
        apply(runInAsyncScope, scope, [initialize, parser, ...this.#parameters]);
        return parser;
    }

    execute(bytes, ...parameters) {
        if (this.#parser === null && bytes.length === 0) return 0;
        return apply(execute, this.#made(), [bytes, ...parameters]);
    }

    finish() {
        return this.#parser === null ? undefined : apply(finish, this.#parser, []);
    }

    /** Node has no use for it any more. */
    free() {
        const parser = this.#parser;
        this.#parser = null;
        this.#scope = null;
        if (parser === null) return;
        for (let index = 0; index < callbacks.length; index += 1) parser[callbacks[index]] = null;
        apply(remove, parser, []);
        // Not at once: it may be at work.
        setImmediate(() => apply(close, parser, []));
    }

    close() {
        this.free();
    }

    remove() {
        return this.#parser === null ? undefined : apply(remove, this.#parser, []);
    }

    pause() {
        return apply(pause, this.#made(), []);
    }

    resume() {
        return apply(resume, this.#made(), []);
    }

    consume(handle) {
        return apply(consume, this.#made(), [handle]);
    }

    unconsume() {
        return apply(unconsume, this.#made(), []);
    }

    getCurrentBuffer() {
        return apply(getCurrentBuffer, this.#made(), []);
    }

    /**
     * Calls a task as part of what began the message.
     * @returns {boolean} false where this is no parser of a message that is awaited
     */
    static within(parser, task, ...parameters) {
        if (typeof parser !== 'object' || parser === null || !(#scope in parser) || parser.#scope === null) return false;
        apply(runInAsyncScope, parser.#scope, [task, undefined, parser, ...parameters]);
        return true;
    }
}

/** Gives Node these in the place of its own; none is kept for another message, and no rule can change that. */
function install() {
    parsers.alloc = () => new LazyParser();
    parsers.free = () => true;
    parsers.max = 0;
    parsers.list = Object.freeze([]);
    Object.freeze(parsers);
}

module.exports = {
    install,
    within: LazyParser.within,
    headArrived: nodes[kOnHeadersComplete],
    bodyArrived: nodes[kOnBody],
    endArrived: nodes[kOnMessageComplete],
    /** What such parsers share. */
    prototype: LazyParser.prototype,
};
