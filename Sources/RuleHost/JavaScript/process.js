'use strict';

// What a rule may not do to the process that it shares with other logins. Each fails the rule that tries, with its
// name; the kernel's confinement stands behind all of them.

const asyncHooks = require('node:async_hooks');
const diagnostics = require('node:diagnostics_channel');
const inspector = require('node:inspector');
const childThreads = require('node:worker_threads');
const { Module, syncBuiltinESMExports } = require('node:module');
const v8 = require('node:v8');
const http2 = require('node:http2');
const dns = require('node:dns');
const { isIP } = require('node:net');
const { nextTick, apply, reveal } = require('./intrinsics');
const { current, runOfRejection } = require('./attribution');
const { refusal } = require('./errors');
const { shared } = require('./shared');
const { warn } = require('./warnings');

/** Functions of `v8` that show what all logins hold, or change the engine. */
const revealing = [
    'getHeapSnapshot', 'writeHeapSnapshot', 'setHeapSnapshotNearHeapLimit', 'queryObjects', 'setFlagsFromString', 'startCpuProfile',
];
/** Functions of `module` that run code where nothing guards it, or run the host's own again. */
const unguarded = ['register', 'registerHooks', 'runMain'];
/** Functions of `process` that end it. A rule fails even where it catches the error: it meant to end the process of others. */
const deadly = ['exit', 'reallyExit', 'abort', 'kill', '_kill'];
/** Functions of `process` that change or look into it; packages try some of them, and go on without. */
const forbidden = [
    'chdir', 'setuid', 'seteuid', 'setgid', 'setegid', 'setgroups', 'initgroups', 'dlopen', 'binding', '_linkedBinding', 'execve',
    '_debugProcess', '_debugEnd', '_startProfilerIdleNotifier', '_stopProfilerIdleNotifier', 'loadEnvFile', '_rawDebug',
    'setSourceMapsEnabled',
];

function forbid(owner, name, what, isDeadly) {
    if (typeof owner[name] !== 'function') return;
    const replacement = function forbiddenCall() {
        const run = current();
        const whose = run === undefined ? '' : ` (rule ${shared.rules[run.index].name})`;
        const error = refusal(`${what}.${name} is not available to rules${whose}: it would act on all logins of this host`, 'ERR_RULE_FORBIDDEN');
        if (isDeadly) run?.threw(error);
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
            const family = name === 'lookup' ? isIP(host) : 0;
            if (family !== 0) return answer(host, family, parameters, isPromise);
            const error = refusal(`getaddrinfo ENOTFOUND ${host} (the worker resolves names, rules cannot: call the host by its name)`, 'ENOTFOUND');
            Object.assign(error, { errno: -3008, syscall: 'getaddrinfo', hostname: host });
            if (isPromise) return Promise.reject(error);
            const callback = parameters[parameters.length - 1];
            if (typeof callback !== 'function') throw error;
            nextTick(callback, error);
            return {};
        };
    }
}

/** An address is its own answer. */
function answer(address, family, parameters, isPromise) {
    const isAll = parameters[0]?.all === true;
    if (isPromise) return Promise.resolve(isAll ? [{ address, family }] : { address, family });
    const callback = parameters[parameters.length - 1];
    if (isAll) nextTick(callback, null, [{ address, family }]);
    else nextTick(callback, null, address, family);
    return {};
}

/** @param {unknown} [promise] that was rejected, or the word for another origin */
function uncaught(error, promise) {
    const owner = typeof promise === 'object' && promise !== null ? runOfRejection.of(promise) : undefined;
    const run = reveal(owner) ?? current();
    if (run === undefined) warn(undefined, 'late-exception', `outside of any rule: ${String(error?.stack ?? error)}`.slice(0, 1000));
    else run.threw(error);
}

/** Listeners of rules and packages for what nobody caught: where one of them throws, Node would end the process. */
function guardListeners(ours) {
    const { emit, setUncaughtExceptionCaptureCallback: capture } = process;
    Object.defineProperty(process, 'emit', {
        configurable: true,
        writable: true,
        value(event, ...parameters) {
            for (const [name, listener] of ours) {
                // A rule that has the list of them may have taken ours out.
                if (event === name && !process.listeners(name).includes(listener)) process.prependListener(name, listener);
            }
            try {
                return apply(emit, this, [event, ...parameters]);
            } catch (error) {
                if (event !== 'uncaughtException' && event !== 'unhandledRejection') throw error;
                uncaught(error);
                return true;
            }
        },
    });
    process.setUncaughtExceptionCaptureCallback = (listener) => apply(capture, process, [
        typeof listener !== 'function' ? listener : (error) => {
            try {
                listener(error);
            } catch (another) {
                uncaught(another);
            }
        },
    ]);
}

/**
 * A hook that Node calls for whatever anybody does. What it throws would end the process, and what it does would be another's turn: a
 * rule's own is called for that rule only, and once it throws no more.
 */
function owned(hook, disable) {
    if (typeof hook !== 'function') return hook;
    const owner = current();
    return function ownedHook(...parameters) {
        if (owner !== undefined && current() !== owner) return;
        try {
            apply(hook, this, parameters);
        } catch (error) {
            disable();
            uncaught(error);
        }
    };
}

function ownedHooks(hooks, disable) {
    const made = {};
    for (const [name, hook] of Object.entries(hooks)) made[name] = owned(hook, disable);
    return made;
}

function guardHooks() {
    const { createHook } = asyncHooks;
    asyncHooks.createHook = (hooks) => {
        const made = createHook(ownedHooks(hooks, () => made.disable()));
        return made;
    };
    // Another object: async_hooks itself uses Node's.
    const { promiseHooks } = v8;
    v8.promiseHooks = {};
    for (const [name, set] of Object.entries(promiseHooks)) {
        v8.promiseHooks[name] = (hooks) => {
            const disable = () => stop();
            const stop = set(typeof hooks === 'function' ? owned(hooks, disable) : ownedHooks(hooks, disable));
            return stop;
        };
    }
}

/** Subscribers of a rule to what Node publishes: the same. */
function guardChannels() {
    const subscribers = new WeakMap();
    // A channel with subscribers is of another class.
    const active = diagnostics.channel('undici:request:create');
    for (const prototype of [diagnostics.Channel.prototype, Object.getPrototypeOf(active)]) {
        const { subscribe, unsubscribe } = prototype;
        prototype.subscribe = function subscribeOwned(subscriber) {
            const made = owned(subscriber, () => this.unsubscribe(subscriber));
            if (typeof subscriber === 'function') subscribers.set(subscriber, made);
            return apply(subscribe, this, [made]);
        };
        prototype.unsubscribe = function unsubscribeOwned(subscriber) {
            return apply(unsubscribe, this, [subscribers.get(subscriber) ?? subscriber]);
        };
    }
}

/** Takes from rules what would hurt the others. */
function guard() {
    for (const name of deadly) forbid(process, name, 'process', true);
    for (const name of forbidden) forbid(process, name, 'process', false);
    for (const name of revealing) forbid(v8, name, 'v8', false);
    // Node itself asks whether it builds one.
    const { isBuildingSnapshot, ...snapshot } = v8.startupSnapshot ?? {};
    for (const name of Object.keys(snapshot)) forbid(v8.startupSnapshot, name, 'v8.startupSnapshot', false);
    for (const name of unguarded) forbid(Module, name, 'module', false);
    Object.defineProperty(process, 'env', { value: {}, configurable: true, writable: true, enumerable: true });
    forbid(childThreads, 'Worker', 'worker_threads', false);
    // A debugger of this thread, by whatever way, stops it for all.
    for (const name of ['open', 'Session']) forbid(inspector, name, 'inspector', false);
    for (const name of ['_getActiveHandles', '_getActiveRequests']) process[name] = () => [];
    guardHooks();
    guardChannels();
    http2.connect = () => {
        throw refusal('HTTP/2 is not available to rules as a protocol of their own: use http, https or fetch');
    };
    refuseResolving(dns, false);
    refuseResolving(dns.promises, true);
    const listeners = [['uncaughtException', uncaught], ['unhandledRejection', uncaught]];
    for (const [event, listener] of listeners) process.on(event, listener);
    keepListeners(listeners);
    guardListeners(listeners);
    // Modules of the other kind find the same.
    syncBuiltinESMExports();
}

module.exports = { guard };
