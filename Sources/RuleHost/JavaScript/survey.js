'use strict';

// Finds all that logins of a host share: whatever can be reached from the global object, from Node's modules, and from what
// their functions make.

const asyncHooks = require('node:async_hooks');
const crypto = require('node:crypto');
const diagnostics = require('node:diagnostics_channel');
const fs = require('node:fs');
const { builtinModules, isBuiltin } = require('node:module');
const { promisify } = require('node:util');
const { PrivateSet } = require('./intrinsics');
const lazyParser = require('./lazyparser');
const lightSocket = require('./lightsocket');

const { ownKeys, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
const { prototype: objectPrototype } = Object;
const { prototype: functionPrototype } = Function;
const { prototype: regExpPrototype } = RegExp;
const { prototype: arrayPrototype } = Array;

/** What an object is to those who share it. */
const kinds = Object.freeze({
    /** A function with a prototype that is more than empty. */
    class: 'class',
    /** Any other function. */
    method: 'method',
    /** What instances inherit from. */
    prototype: 'prototype',
    /** A plain object of functions and values: a module, `Math`. */
    namespace: 'namespace',
    /** Any other object: `process`, an agent. */
    instance: 'instance',
    /** The prototype of an iterator of the language. Frozen as a whole, it keeps V8's short way of `for … of`. */
    iterator: 'iterator',
});

/** Modules that change others when they are loaded, or are none for rules. They are locked when somebody asks for them. */
const unwanted = /^(?:node:|_stream_wrap$|domain$|inspector|internal|repl$|test|trace_events$|wasi$|cluster$|sqlite$|sea$|sys$|punycode$)/;
/** What the loader keeps of packages. */
const ofPackages = new PrivateSet(['_cache', '_pathCache', 'globalPaths', 'parent', 'children', 'mainModule']);
/** Node lets programs set these, or sets them itself. */
const settings = new PrivateSet([
    'stackTraceLimit', 'prepareStackTrace', 'defaultMaxListeners', 'usingDomains', 'defaultMaxSockets', 'active', 'domain',
    'exitCode', 'title', 'DEFAULT_ECDH_CURVE', 'DEFAULT_MIN_VERSION', 'DEFAULT_MAX_VERSION', 'DEFAULT_CIPHERS', 'maxHeaderSize',
    'INSPECT_MAX_BYTES', 'onread', 'workers', 'settings', 'undefined', 'NaN', 'Infinity', 'globalThis', 'onmessage', 'onerror', 'name',
    'message',
]);
/** Read so often by their bare names that an accessor would be felt, and never replaced once a program runs. */
const plainGlobals = new PrivateSet([
    'Object', 'Function', 'Array', 'String', 'Number', 'Boolean', 'Symbol', 'BigInt', 'Date', 'RegExp', 'Error', 'TypeError', 'RangeError',
    'Map', 'Set', 'WeakMap', 'JSON', 'Math', 'Reflect', 'Buffer', 'Uint8Array', 'parseInt', 'isNaN',
]);

/**
 * What V8 looks at before it takes a short way, or what must stay a value to be found: these are put back instead.
 * @returns {boolean}
 */
function isKept(object, key) {
    if (key === 'constructor' || key === Symbol.species || object === regExpPrototype || object === RegExp) return true;
    if (object === Promise.prototype) return key === 'then';
    if (object === Promise) return key === 'resolve';
    return key === Symbol.iterator && typeof object[key] === 'function' || (object === arrayPrototype && key === 'values');
}

/**
 * @typedef {{object: object, key: string | symbol, name: string, isPlain: boolean, isValue: boolean, isSetting: boolean}} Property
 * @typedef {{object: object, kind: string, name: string}} Shared
 * @typedef {{objects: Shared[], properties: Property[], kept: Property[], extended: Set<Function>}} Survey
 */

/** Looks for what can be reached. */
class Surveyor {
    /** @param {{has(object: object): boolean}} known what is not looked at again */
    constructor(known) {
        this.known = known;
        this.seen = new PrivateSet();
        /** @type {Shared[]} */
        this.objects = [];
        this.properties = [];
        this.kept = [];
        /** Functions that can't be frozen. */
        this.extended = new PrivateSet();
    }

    /** Adds an object, which may be found to be the prototype of others later. */
    add(object, name, isPrototype = false, known = null) {
        if ((typeof object !== 'object' || object === null) && typeof object !== 'function') return;
        if (this.seen.has(object) || this.known.has(object)) return;
        const kind = known ?? kindOf(object, isPrototype);
        if (kind === null) {
            this.add(getPrototypeOf(object), `${name}.__proto__`, true);
            return;
        }
        this.seen.add(object);
        this.objects.push({ object, kind, name });
    }

    run() {
        for (let at = 0; at < this.objects.length; at += 1) this.look(this.objects[at]);
    }

    look({ object, kind, name }) {
        // Node defines a property of its own on what `promisify` gives.
        if (kind === kinds.method && object[promisify.custom] !== undefined) this.extended.add(object[promisify.custom]);
        for (const key of ownKeys(object)) {
            // Where the function is not a class, nobody uses it, and it is empty.
            if (kind === kinds.method && key === 'prototype') continue;
            const path = object === globalThis ? String(key) : `${name}.${String(key)}`;
            if (kind === kinds.namespace) madeValue(object, key);
            const descriptor = getOwnPropertyDescriptor(object, key);
            if (descriptor !== undefined) this.lookAtProperty(object, kind, key, descriptor, path);
        }
        if (object !== globalThis) this.add(getPrototypeOf(object), `${name}.__proto__`, true);
    }

    lookAtProperty(object, kind, key, descriptor, path) {
        const isState = ofPackages.has(key) && kind !== kinds.prototype;
        const { value } = descriptor;
        if ('value' in descriptor) {
            const isWalked = kind !== kinds.instance || object === globalThis || typeof value === 'function';
            if (!isState && isWalked) this.add(value, path, key === 'prototype' && typeof object === 'function');
        } else {
            if (kind === kinds.namespace && !isState) this.add(madeValue(object, key), path);
            this.add(descriptor.get, path);
            this.add(descriptor.set, path);
        }
        if (kind === kinds.method || kind === kinds.iterator) return;
        if (!isLocked(object, kind, key, descriptor)) return;
        const isPlain = key === 'prototype' || typeof key === 'symbol' && object === globalThis || (object === globalThis && plainGlobals.has(key));
        const property = { object, key, name: path, isPlain, isValue: kind === kinds.namespace, isSetting: settings.has(key) || kind === kinds.prototype };
        (isKept(object, key) ? this.kept : this.properties).push(property);
    }
}

/** @returns {string | null} null for what holds values only */
function kindOf(object, isPrototype) {
    if (object === globalThis) return kinds.namespace;
    if (typeof object === 'function') return isClass(object) ? kinds.class : kinds.method;
    if (isPrototype) return kinds.prototype;
    if (Array.isArray(object) || ArrayBuffer.isView(object)) return null;
    const prototype = getPrototypeOf(object);
    return prototype === objectPrototype || prototype === null ? kinds.namespace : kinds.instance;
}

function isClass(value) {
    const prototype = getOwnPropertyDescriptor(value, 'prototype');
    if (value === functionPrototype) return true;
    if (prototype === undefined || typeof prototype.value !== 'object' || prototype.value === null) return false;
    return !prototype.writable || /^[A-Z]/.test(value.name) || ownKeys(prototype.value).length > 1
        || getPrototypeOf(prototype.value) !== objectPrototype;
}

/** What an accessor gives: some make it when they are first asked for. */
function madeValue(object, key) {
    try {
        return object[key];
    } catch {
        // Not to be had here.
        return undefined;
    }
}

function isLocked(object, kind, key, descriptor) {
    if (!('value' in descriptor)) return descriptor.configurable;
    if (!descriptor.writable && !descriptor.configurable) return false;
    const { value } = descriptor;
    if (typeof value === 'function') return true;
    if (kind === kinds.prototype) return (key === 'name' || key === 'message') && typeof value === 'string';
    if (settings.has(key)) return false;
    if (kind === kinds.class) return typeof value === 'object' && value !== null;
    return kind === kinds.namespace || key === 'env';
}

/** Names that objects inherit from `Object.prototype`, but for `toString`: by that of its own Node prints an object differently. */
const plainInherited = new PrivateSet(['hasOwnProperty', 'isPrototypeOf', 'propertyIsEnumerable', 'toLocaleString', 'valueOf']);

/**
 * The functions that an object inherits.
 * @returns {{key: string | symbol, value: Function, isEnumerable: boolean}[]}
 */
function inheritedOf(object) {
    const found = [];
    if (object === regExpPrototype || object === globalThis) return found;
    const seen = new PrivateSet(ownKeys(object));
    for (let holder = getPrototypeOf(object); holder !== null; holder = getPrototypeOf(holder)) {
        for (const key of ownKeys(holder)) {
            if (key === 'constructor' || seen.has(key)) continue;
            seen.add(key);
            if (holder === objectPrototype && !plainInherited.has(key)) continue;
            const { value, get, enumerable } = getOwnPropertyDescriptor(holder, key);
            const method = value ?? get?.originalValue;
            if (typeof method === 'function') found.push({ key, value: method, isEnumerable: enumerable });
        }
    }
    return found;
}

/** What is had from an instance only. */
function instances() {
    const timer = setTimeout(() => {}, 1);
    clearTimeout(timer);
    const immediate = setImmediate(() => {});
    clearImmediate(immediate);
    const active = diagnostics.channel('afterlogin');
    const made = {
        Timeout: timer,
        Immediate: immediate,
        Channel: active,
        Function: function* generator() {},
        AsyncFunction: async () => {},
        AsyncGeneratorFunction: async function* generator() {},
        Generator: (function* generator() {})(),
        AsyncGenerator: (async function* generator() {})(),
        'URLSearchParams Iterator': new URLSearchParams().entries(),
        'Headers Iterator': new Headers().entries(),
        'FormData Iterator': new FormData().entries(),
        SecretKeyObject: crypto.createSecretKey(Buffer.alloc(1)),
        AsyncLocalStorage: new asyncHooks.AsyncLocalStorage(),
        Stats: fs.statSync('/proc/self', { throwIfNoEntry: false }) ?? null,
        ReadableStreamAsyncIterator: new ReadableStream().values(),
        Segments: typeof Intl === 'object' ? new Intl.Segmenter().segment('') : null,
    };
    return Object.entries(made).filter(([, value]) => value !== null);
}

/** What iterates, and is had from an instance only. */
function iterators() {
    const made = { Array: [], Map: new Map(), Set: new Set(), String: '', 'RegExp String': 'a'.matchAll(/a/g) };
    const found = Object.entries(made).map(([name, value]) => [`${name} Iterator`, getPrototypeOf(value[Symbol.iterator]())]);
    if (typeof Intl === 'object') found.push(['Segment Iterator', getPrototypeOf(new Intl.Segmenter().segment('')[Symbol.iterator]())]);
    // From Node 22 on.
    if (typeof Iterator === 'function') {
        found.push(['Iterator Helper', getPrototypeOf([].values().map(String))]);
        found.push(['Wrapped Iterator', getPrototypeOf(Iterator.from({ next: () => ({ done: true }) }))]);
    }
    return found;
}

/**
 * Looks at all that there is.
 * @returns {Survey}
 */
function survey() {
    // To look at what is deprecated is not to use it.
    const { emitWarning } = process;
    process.emitWarning = () => {};
    try {
        return surveyAll();
    } finally {
        process.emitWarning = emitWarning;
    }
}

function surveyAll() {
    const surveyor = new Surveyor({ has: () => false });
    const modules = builtinModules.filter((name) => !unwanted.test(name)).map((name) => [name, require(name)]);
    // It makes itself a value when it is first asked for.
    void process.allowedNodeEnvironmentFlags;
    // First of all: what is found by another way has a longer name.
    surveyor.add(globalThis, 'global');
    surveyor.run();
    for (const [name, prototype] of iterators()) surveyor.add(prototype, name, true, kinds.iterator);
    for (const [name, value] of instances()) surveyor.add(getPrototypeOf(value), `${name}.prototype`, true);
    for (const prototype of lightSocket.prototypes) surveyor.add(prototype, 'Socket.prototype', true);
    surveyor.add(lazyParser.prototype, 'Parser.prototype', true);
    for (const [name, value] of modules) surveyor.add(value, name);
    for (const name of ['stdout', 'stderr']) surveyor.add(process[name], `process.${name}`);
    surveyor.run();
    return surveyor;
}

/**
 * Looks at one more.
 * @param {string} name
 * @param {object} object
 * @param {{has(object: object): boolean}} known what is not looked at again
 * @returns {Survey}
 */
function surveyOne(name, object, known) {
    const surveyor = new Surveyor(known);
    surveyor.add(object, name);
    surveyor.run();
    return surveyor;
}

/** @returns {boolean} whether a module is looked at when somebody asks for it */
function isLate(id) {
    return isBuiltin(id) && unwanted.test(id.startsWith('node:') ? id.slice(5) : id);
}

module.exports = { survey, surveyOne, inheritedOf, isLate, kinds };
