'use strict';

// What a rule may not do to the process that it shares with other logins. Each fails the rule that tries, with its
// name; the kernel's confinement stands behind all of them.

const childThreads = require('node:worker_threads');
const http2 = require('node:http2');
const dns = require('node:dns');
const { nextTick } = require('./intrinsics');
const { current } = require('./attribution');
const { refusal } = require('./errors');
const { warn } = require('./evaluation');

/** Functions of `process` that end, change or look into it. */
const forbidden = [
    'exit', 'reallyExit', 'abort', 'kill', '_kill', 'chdir', 'setuid', 'seteuid', 'setgid', 'setegid', 'setgroups',
    'initgroups', 'dlopen', 'binding', '_linkedBinding', 'execve', '_debugProcess',
    '_debugEnd', '_startProfilerIdleNotifier', '_stopProfilerIdleNotifier', 'loadEnvFile', '_rawDebug', 'setSourceMapsEnabled',
];

function forbid(owner, name, what) {
    if (typeof owner[name] !== 'function') return;
    const replacement = function forbiddenCall() {
        const error = refusal(`${what}.${name} is not available to rules`, 'ERR_RULE_FORBIDDEN');
        const run = current();
        // The rule fails even where it catches the error: it meant to end, or to change, the process of others.
        if (run !== undefined) run.threw(error);
        throw error;
    };
    Object.defineProperty(owner, name, { value: replacement, configurable: true, writable: true, enumerable: true });
}

/** Puts our listeners back when a rule removed them. */
function keepListeners(listeners) {
    for (const method of ['removeAllListeners', 'removeListener', 'off']) {
        const original = process[method].bind(process);
        Object.defineProperty(process, method, {
            configurable: true,
            writable: true,
            value(...parameters) {
                original(...parameters);
                for (const [event, listener] of listeners) {
                    if (!process.listeners(event).includes(listener)) process.prependListener(event, listener);
                }
                return process;
            },
        });
    }
}

/** Names are resolved by the worker, with the addresses it allows; there is nobody else to ask here. */
function refuseResolving(owner, isPromise) {
    for (const name of Object.keys(owner)) {
        if (typeof owner[name] !== 'function' || !/^(lookup|resolve|reverse)/.test(name)) continue;
        owner[name] = (host, ...parameters) => {
            const error = refusal(`getaddrinfo ENOTFOUND ${host} (the worker resolves names, rules cannot)`, 'ENOTFOUND');
            Object.assign(error, { errno: -3008, syscall: 'getaddrinfo', hostname: host });
            if (isPromise) return Promise.reject(error);
            const callback = parameters[parameters.length - 1];
            if (typeof callback !== 'function') throw error;
            nextTick(callback, error);
            return {};
        };
    }
}

function uncaught(error) {
    const run = current();
    if (run === undefined) warn(undefined, 'late-exception', `outside of any rule: ${String(error?.stack ?? error)}`.slice(0, 1000));
    else run.threw(error);
}

/** Takes from rules what would hurt the others. */
function guard() {
    for (const name of forbidden) forbid(process, name, 'process');
    // Inert: `domain` calls it before every listener of `uncaughtException`, and what that throws ends the process.
    process.setUncaughtExceptionCaptureCallback = () => {};
    Object.defineProperty(process, 'env', { value: {}, configurable: true, writable: true, enumerable: true });
    forbid(childThreads, 'Worker', 'worker_threads');
    http2.connect = () => {
        throw refusal('HTTP/2 is not available to rules as a protocol of their own: use http, https or fetch');
    };
    refuseResolving(dns, false);
    refuseResolving(dns.promises, true);
    const listeners = [['uncaughtException', uncaught], ['unhandledRejection', uncaught]];
    for (const [event, listener] of listeners) process.on(event, listener);
    keepListeners(listeners);
}

module.exports = { guard };
