'use strict';

// What all logins of a host share: the functions of the language and of Node. A rule that replaces one (an old polyfill,
// a test double, or worse) would break, change or read the logins beside it. So they are put back as soon as the rule
// has let go. New names are left alone, but for what every object or every call would meet.
//
// Looking takes as long as a short rule. So it is done after each turn of rules whose source may replace something, and for
// all others (a package may do it at a late hour) with every beat.

const asyncHooks = require('node:async_hooks');
const events = require('node:events');
const http = require('node:http');
const net = require('node:net');
const stream = require('node:stream');
const { PrivateMap, PrivateSet, apply } = require('./intrinsics');

const { String } = globalThis;
const { defineProperty, getOwnPropertyDescriptor, ownKeys, deleteProperty, getPrototypeOf, isExtensible } = Reflect;
const slice = Function.prototype.call.bind(String.prototype.slice);
const { exec } = RegExp.prototype;
const { hasInstance } = Symbol;

const languageNames = [
    'Object', 'Function', 'Array', 'String', 'Number', 'Boolean', 'Symbol', 'BigInt', 'Date', 'RegExp', 'Error', 'TypeError',
    'RangeError', 'SyntaxError', 'Map', 'Set', 'WeakMap', 'WeakSet', 'WeakRef', 'ArrayBuffer', 'SharedArrayBuffer', 'DataView',
    'Uint8Array', 'Promise', 'JSON', 'Math', 'Reflect', 'Atomics', 'Buffer',
];
const platformNames = [
    'URL', 'URLSearchParams', 'AbortController', 'AbortSignal', 'EventTarget', 'TextDecoder', 'TextEncoder', 'console',
];
const globalNames = [
    ...languageNames, ...platformNames, 'setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval',
    'clearImmediate', 'queueMicrotask', 'fetch', 'process', 'global',
];
const moduleNames = [
    'async_hooks', 'buffer', 'crypto', 'dns', 'events', 'fs', 'http', 'https', 'net', 'path', 'querystring', 'stream', 'timers', 'tls',
    'url', 'util', 'zlib',
];
/** Comparisons in one generated function: more would not be optimized. */
const most = 50;
/** Characters of a warning. */
const maxNames = 300;

/** One property that rules find, and where: of the object itself, or one that it inherits. */
class Shared {
    constructor(owner, object, key, descriptor, value) {
        this.name = `${owner}.${String(key)}`;
        this.object = object;
        this.key = key;
        this.descriptor = descriptor;
        this.value = value;
    }

    isReplaced() {
        const present = getOwnPropertyDescriptor(this.object, this.key);
        if (this.descriptor === undefined) return present !== undefined;
        const { value, get, set } = this.descriptor;
        return present === undefined || present.value !== value || present.get !== get || present.set !== set;
    }

    /** @returns {boolean} false where it can't be put back */
    putBack() {
        return this.descriptor === undefined ? deleteProperty(this.object, this.key)
            : defineProperty(this.object, this.key, this.descriptor);
    }
}

/** @type {Shared[]} */
let all = [];
/** @type {(() => boolean)[]} */
let checks = [];
/** Objects whose additions others have as well, with the keys that each had. @type {{name: string, object: object, keys: Set}[]} */
const roots = [];
/** Without these fields on themselves no emitter works. */
const { prototype: emitter } = events;
const { prototype: objectPrototype } = Object;
const { prototype: arrayPrototype } = Array;

/** What an object has, and the functions that it inherits; accessors of a module may make what they give, and then go away. */
function share(owner, object, hasAccessors = true) {
    const found = [];
    const seen = new Set(['constructor']);
    for (let holder = object; holder !== null && holder !== objectPrototype; holder = getPrototypeOf(holder)) {
        for (const key of holder === Function.prototype && holder !== object ? [hasInstance] : ownKeys(holder)) {
            if (seen.has(key) && holder !== object) continue;
            seen.add(key);
            const descriptor = getOwnPropertyDescriptor(holder, key);
            const isFunction = typeof descriptor.value === 'function' || (hasAccessors && descriptor.get !== undefined);
            if (!isFunction || !descriptor.configurable && holder === object) continue;
            // What methods of the language make their results with.
            const value = key === Symbol.species ? object[key] : descriptor.value;
            found.push(new Shared(owner, object, key, holder === object ? descriptor : undefined, value));
        }
    }
    return found;
}

function shareClass(name, value) {
    const isClass = typeof value === 'function' && value.prototype !== undefined;
    return isClass ? [...share(name, value), ...share(`${name}.prototype`, value.prototype)] : share(name, value, false);
}

function shareGlobals() {
    return globalNames.filter((name) => name in globalThis).map((name) => {
        const descriptor = getOwnPropertyDescriptor(globalThis, name);
        return new Shared('global', globalThis, name, descriptor, descriptor.value);
    });
}

/** A function that compares fifty of them in as many nanoseconds: a loop over their names would take twenty times as long. */
function comparing(part) {
    const terms = [];
    const parameters = [];
    const values = [];
    part.forEach(({ object, key, value }, index) => {
        parameters.push(`object${index}`, `key${index}`, `value${index}`);
        values.push(object, key, value);
        const member = typeof key === 'string' ? JSON.stringify(key) : `key${index}`;
        terms.push(`object${index}[${member}] === value${index}`);
    });
    return new Function(...parameters, `return () => ${terms.join(' && ')};`)(...values);
}

function checksOf(shared) {
    const functions = shared.filter(({ value }) => value !== undefined);
    const made = [];
    for (let at = 0; at < functions.length; at += most) made.push(comparing(functions.slice(at, at + most)));
    return made;
}

const sharedName = `(?:${globalNames.filter((name) => name !== 'global').join('|')})`;
/** Ways to what all share: prototypes, reflection, code made of text, and assignments to a shared name or to one of its members. */
const reaching = new RegExp([
    '(?:prototype|PrototypeOf|__proto__|constructor|define(?:Property|Properties)|__define|Reflect|Function|eval|Symbol|_events)\\b',
    `\\b${sharedName}\\s*(?:(?:\\.\\s*\\w+|\\[[^\\]]*\\])\\s*)*(?:[-+*|&?]{0,2})=(?![=>])`,
    `\\bdelete\\b.*\\b${sharedName}\\b`, `['"]${sharedName}['"]\\s*\\]`, '\\brequire\\([^)]*\\)\\s*[.[][^=;(]*=(?![=>])',
].join('|'));
const required = /([\w$]+)\s*=\s*require\s*\(/g;

/** @returns {boolean} whether the source of a rule looks as if it might replace something that all share */
function mayReplace(source) {
    if (reaching.test(source)) return true;
    for (const [, name] of source.matchAll(required)) {
        if (new RegExp(`(?<![\\w$.])${name.replace(/\$/g, '\\$')}\\s*[.[][^=;(]*=(?![=>])`).test(source)) return true;
    }
    return false;
}

/** Takes note of what is there, after the rules and their packages are loaded: those may bring polyfills. */
function take() {
    const language = [...languageNames.flatMap((name) => shareClass(name, globalThis[name])), ...share('process', process, false)];
    for (const [name, value] of Object.entries({ Array: [], Map: new Map(), Set: new Set(), String: '' })) {
        language.push(...share(`${name} Iterator`, getPrototypeOf(value[Symbol.iterator]())));
    }
    const iterator = getPrototypeOf(getPrototypeOf([][Symbol.iterator]()));
    language.push(...share('TypedArray.prototype', getPrototypeOf(Uint8Array.prototype)), ...share('Iterator.prototype', iterator));
    language.push(...share('Generator', getPrototypeOf(getPrototypeOf((function* generator() {})()))));
    // Some of these are made when they are first asked for: before the names of the global object are looked at.
    const platform = platformNames.flatMap((name) => shareClass(name, globalThis[name]));
    const timer = setTimeout(() => {}, 1);
    clearTimeout(timer);
    all = [
        ...language, ...platform, ...shareGlobals(), ...share('Timeout', getPrototypeOf(timer)),
        new Shared('process', process, 'env', getOwnPropertyDescriptor(process, 'env'), process.env),
        ...moduleNames.flatMap((name) => share(name, require(`node:${name}`), false)),
        ...Object.entries({
            EventEmitter: events, Readable: stream.Readable, Writable: stream.Writable, Duplex: stream.Duplex,
            Transform: stream.Transform, Stream: stream.Stream, Socket: net.Socket, Agent: http.Agent,
            ClientRequest: http.ClientRequest, IncomingMessage: http.IncomingMessage, OutgoingMessage: http.OutgoingMessage,
            AsyncLocalStorage: asyncHooks.AsyncLocalStorage, AsyncResource: asyncHooks.AsyncResource,
        }).flatMap(([name, value]) => shareClass(name, value)),
    ];
    checks = checksOf(all);
    for (const name of ['Object', 'Array', 'Function', 'String', 'Number', 'Boolean']) {
        const { prototype: object } = globalThis[name];
        const keys = new PrivateSet();
        for (const key of ownKeys(object)) keys.add(key);
        roots.push({ name: `${name}.prototype`, object, keys });
    }
}

const plain = {};
const number = /^[0-9]+$/;

/** Whether something added under this key is met everywhere, and not only where its name is meant. */
function isIntrusive(object, key) {
    return object === objectPrototype || key === 'toJSON' || key === 'then' || typeof key === 'symbol'
        || apply(exec, number, [key]) !== null;
}

/** Whether all is as it was; of what was added, only what is quickly found. */
function isIntact() {
    try {
        for (let at = 0; at < checks.length; at += 1) if (!checks[at]()) return false;
        if (ownKeys(objectPrototype).length !== roots[0].keys.size) return false;
        return plain.then === undefined && plain.toJSON === undefined && !(0 in arrayPrototype) && isExtensible(emitter);
    } catch {
        return false;
    }
}

/** Takes away what was added to all objects; first of all, since the lines after it make objects too. */
function removeAdded() {
    let names = '';
    for (let at = 0; at < roots.length; at += 1) {
        const { name, object, keys } = roots[at];
        const present = ownKeys(object);
        for (let index = 0; index < present.length; index += 1) {
            const key = present[index];
            if (keys.has(key) || !isIntrusive(object, key)) continue;
            if (!deleteProperty(object, key)) throw `${name}.${String(key)} cannot be taken away again`;
            names += `, ${name}.${String(key)}`;
        }
    }
    return names;
}

/**
 * Puts back what was replaced.
 * @returns {string} the names of what it was; empty where all was as it should be
 * @throws {string} what cannot be put back
 */
function repair() {
    let names = removeAdded();
    for (let at = 0; at < all.length; at += 1) {
        const shared = all[at];
        if (!shared.isReplaced()) continue;
        if (!shared.putBack()) throw `${shared.name} cannot be put back`;
        names += `, ${shared.name}`;
    }
    if (!isExtensible(emitter)) throw 'EventEmitter.prototype cannot be written to any more';
    return slice(names, 2, maxNames);
}

module.exports = { take, mayReplace, isIntact, repair };
