'use strict';

// Errors that rules see: those that Auth0's sandbox offers, and those that Node's network would have made.

const os = require('node:os');
const { stringify } = require('./intrinsics');

/** A rule's verdict: this login is not allowed. */
class UnauthorizedError extends Error {
    constructor(message) {
        super(message);
        this.name = 'UnauthorizedError';
        this.code = 'unauthorized';
        this.description = message;
        this.statusCode = 401;
    }
}

/** What a rule or a database script found wrong with its input. */
class ValidationError extends Error {
    constructor(code, message) {
        super(message === undefined ? code : message);
        this.name = 'ValidationError';
        this.code = message === undefined ? 'validation_error' : code;
        this.description = this.message;
        this.statusCode = 400;
    }
}

/** A wrong user name or password, as database scripts report it. */
class WrongUsernameOrPasswordError extends Error {
    constructor(usernameOrEmail, message) {
        super(message);
        this.name = 'WrongUsernameOrPasswordError';
        this.code = 'wrong_username_or_password';
        this.description = message;
        this.usernameOrEmail = usernameOrEmail;
        this.statusCode = 400;
    }
}

/** A failure of the host, as rules see it: what they may not do here, with the reason. */
function refusal(message, code = 'ERR_RULE_HOST') {
    const error = new Error(message);
    error.code = code;
    return error;
}

/** libuv's own numbers, which are not the operating system's. */
const resolverErrors = { ENOTFOUND: -3008, EAI_AGAIN: -3001, EAI_FAIL: -3004, EAI_NODATA: -3007 };

/**
 * The error that Node's network code would have made.
 * @param {{code?: string, message?: string, syscall?: string, address?: string, port?: number}} failure
 * @param {string} host that was asked for
 */
function networkError(failure, host) {
    const { code, syscall, address, port } = failure;
    const place = address ? ` ${address}${port ? `:${port}` : ''}` : '';
    // Node's client says no more where the other side closes an open connection.
    const isHangUp = code === 'ECONNRESET' && syscall === 'read';
    const message = isHangUp ? 'socket hang up' : failure.message
        || (syscall === 'getaddrinfo' ? `getaddrinfo ${code} ${host}` : `${syscall || 'request'} ${code}${place}`);
    const error = new Error(message);
    const number = resolverErrors[code] || (os.constants.errno[code] ? -os.constants.errno[code] : undefined);
    if (number !== undefined) error.errno = number;
    if (code) error.code = code;
    if (isHangUp) return error;
    if (syscall) error.syscall = syscall;
    if (syscall === 'getaddrinfo') error.hostname = host;
    if (address) error.address = address;
    if (port) error.port = port;
    return error;
}

/** Whether what a rule threw, or called back with, is a verdict. */
function isDenial(thrown) {
    try {
        return thrown instanceof UnauthorizedError || thrown.name === 'UnauthorizedError';
    } catch {
        return false;
    }
}

const maxTextLength = 2000;
/** Causes of causes that are told. */
const maxCauses = 3;
const bounded = (text) => (text.length > maxTextLength ? `${text.slice(0, maxTextLength)}…` : text);

/** Reads a property of whatever a rule threw; a getter of it may throw as well. */
function property(value, name) {
    try {
        const found = value[name];
        return found === undefined || found === null ? undefined : bounded(String(found));
    } catch {
        return undefined;
    }
}

/** An object that is not an error, as a rule may pass on what an API answered. */
function textOf(object) {
    try {
        return bounded(stringify(object));
    } catch {
        return 'an object that is not an Error';
    }
}

/** `fetch failed` says nothing; its cause does. */
function withCause(thrown, message) {
    let text = message;
    let error = thrown;
    for (let depth = 0; depth < maxCauses; depth += 1) {
        try {
            error = error.cause;
        } catch {
            return text;
        }
        if (error === undefined || error === null) return text;
        const cause = typeof error === 'object' ? property(error, 'message') || property(error, 'code') : property({ error }, 'error');
        if (cause !== undefined && !text.includes(cause)) text = bounded(`${text}: ${cause}`);
    }
    return text;
}

/**
 * What is told of an error: it may be anything that a rule threw.
 * @returns {{name: string, message: string, code?: string, stack?: string}}
 */
function describe(thrown, withStack) {
    const isObject = (typeof thrown === 'object' && thrown !== null) || typeof thrown === 'function';
    if (!isObject) {
        let message;
        try {
            message = bounded(String(thrown));
        } catch {
            message = typeof thrown;
        }
        return { name: 'Error', message };
    }
    const message = property(thrown, 'message') ?? property(thrown, 'error_description') ?? property(thrown, 'description')
        ?? textOf(thrown);
    return {
        name: property(thrown, 'name') ?? 'Error',
        message: withCause(thrown, message),
        code: property(thrown, 'code'),
        stack: withStack ? property(thrown, 'stack') : undefined,
    };
}

module.exports = {
    UnauthorizedError, ValidationError, WrongUsernameOrPasswordError, refusal, networkError, isDenial, describe,
};
