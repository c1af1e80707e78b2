'use strict';

// What all logins of a host share, the language and Node's modules, is locked once the rules and their packages are loaded: a
// rule that replaces a part of it (an old polyfill, a test double, or worse) would break, change or read the logins beside it.
//
// Nothing is frozen, as packages put names of their own on these objects, and instances that inherit from them assign what they
// inherit (`this.name = …`). So what is there becomes an accessor: assigned on an object that inherits it, it defines the
// property there; assigned on its owner, it is refused with a note. Only functions that are not classes are frozen: nobody adds to
// these but who wants to be called by `f.call(…)`.
//
// What V8 looks at before it takes a short way can't be locked (see integrity.js).

const http = require('node:http');
const https = require('node:https');
const { PrivateSet, apply } = require('./intrinsics');
const { current } = require('./attribution');
const { warn } = require('./warnings');
const { survey, surveyOne, inheritedOf, isLate, kinds } = require('./survey');

const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, isExtensible, ownKeys, preventExtensions: endExtensions } = Reflect;
const { freeze } = Object;
const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

/** All that is locked. */
const owners = new PrivateSet();
/** Names that were refused and told: a rule may try in every login. */
const told = new PrivateSet();
const maxTold = 50;

/** Says once that something was not replaced. */
function refused(name) {
    if (told.has(name) || told.size === maxTold) return;
    told.add(name);
    warn(current(), 'replaced', `${name}: shared by all logins of this host, and left as it was`);
}

/** Defines what was assigned on an object that inherits a locked property; as an assignment does, where that is allowed. */
function assign(receiver, key, value, name) {
    if (owners.has(receiver)) {
        refused(name);
    } else if (isObject(receiver)) {
        const present = getOwnPropertyDescriptor(receiver, key);
        defineProperty(receiver, key, present === undefined
            ? { value, writable: true, enumerable: true, configurable: true } : { value });
    }
}

/** Makes a property an accessor that always gives this value. */
function lockValue(owner, key, value, name, isEnumerable) {
    const { get, set } = {
        get() {
            return value;
        },
        set(other) {
            if (this !== owner) assign(this, key, other, name);
            else if (other !== value) refused(name);
        },
    };
    // Packages that look for the function itself find it there (get-intrinsic does).
    get.originalValue = value;
    freeze(get);
    freeze(set);
    defineProperty(owner, key, { get, set, enumerable: isEnumerable, configurable: false });
}

/** Keeps an accessor as it is; one that sets what all share does so no more. */
function lockAccessor(owner, key, { get, set, enumerable }, name, isSetting) {
    const own = isSetting || set === undefined ? set : freeze(function setNothing(other) {
        if (this !== owner) assign(this, key, other, name);
        else refused(name);
    });
    defineProperty(owner, key, { get, set: own, enumerable, configurable: false });
}

function lockProperty({ object, key, name, isPlain, isValue, isSetting }) {
    const present = getOwnPropertyDescriptor(object, key);
    if (present === undefined) return;
    if (!('value' in present)) {
        if (!present.configurable) return;
        // Some modules make a class when it is first asked for: it has been.
        const made = isValue ? object[key] : undefined;
        if (typeof made === 'function') lockValue(object, key, made, name, present.enumerable);
        else lockAccessor(object, key, present, name, isSetting);
    } else if (!present.configurable || isPlain) {
        if (present.writable) defineProperty(object, key, { writable: false, configurable: false });
        else if (present.configurable) defineProperty(object, key, { configurable: false });
    } else {
        lockValue(object, key, present.value, name, present.enumerable);
    }
}

/** What an object inherits is locked on it too: else a name of its own would take the place of the inherited one. */
function lockInherited({ object, name }) {
    for (const { key, value, isEnumerable } of inheritedOf(object)) {
        if (key === Symbol.hasInstance) defineProperty(object, key, { value });
        else lockValue(object, key, value, `${name}.${String(key)}`, isEnumerable);
    }
}

/** Of a global agent: what leads, holds up or breaks the requests of all. Its methods are locked as all methods are. */
const agentValues = Object.freeze([
    'protocol', 'defaultPort', 'options', 'requests', 'sockets', 'freeSockets', 'keepAlive', 'keepAliveMsecs', 'maxSockets', 'maxFreeSockets',
    'maxTotalSockets', 'scheduling',
]);
/** Of its options, which Node's client puts over those of each request; nothing else can be added. */
const agentOptions = Object.freeze([
    'host', 'hostname', 'port', 'defaultPort', 'protocol', 'path', 'socketPath', 'servername', 'localAddress', 'localPort', 'family', 'lookup',
    'agent', 'method', 'headers', 'auth', 'timeout', 'signal', 'keepAlive', 'keepAliveMsecs', 'maxSockets', 'maxFreeSockets', 'maxTotalSockets',
    'rejectUnauthorized', 'checkServerIdentity', 'ca', 'cert', 'key', 'pfx', 'passphrase', 'crl', 'ciphers', 'minVersion', 'maxVersion',
    'secureProtocol', 'secureOptions', 'secureContext', 'session', 'sigalgs', 'ecdhCurve', 'ALPNProtocols', 'highWaterMark', 'createConnection',
    'scheduling', 'noDelay',
]);

/** What a rule set there while it was loaded stays. */
function lockAgents() {
    for (const [name, { globalAgent }] of [['http', http], ['https', https]]) {
        const { options } = globalAgent;
        // A package may have put another in its place.
        if (!owners.has(globalAgent)) lockAll(surveyOne(`${name}.globalAgent`, globalAgent, owners));
        for (const key of agentOptions) {
            const isThere = getOwnPropertyDescriptor(options, key) !== undefined;
            lockValue(options, key, options[key], `${name}.globalAgent.options.${key}`, isThere);
        }
        owners.add(options);
        endExtensions(options);
        for (const key of agentValues) {
            if (key in globalAgent) lockValue(globalAgent, key, globalAgent[key], `${name}.globalAgent.${key}`, true);
        }
    }
}

/** @type {import('./survey').Survey | null} */
let found = null;
let isLocked = false;

/**
 * Node makes small buffers of one piece of memory, which can be had from each of them (`Buffer.from('x').buffer`), with what other logins
 * have in theirs. Here each has its own.
 */
function keepBuffersApart() {
    Buffer.poolSize = 0;
    lockValue(Buffer, 'poolSize', 0, 'Buffer.poolSize', true);
}

/** Looks around before any rule or package is loaded: what these add is theirs, and is not locked. */
function prepare() {
    keepBuffersApart();
    guardPrototypes();
    found = survey();
}

/**
 * Locks what was found.
 * @returns {import('./survey').Property[]} what can't be locked
 */
function lock() {
    lockAll(found);
    lockAgents();
    const { kept } = found;
    found = null;
    isLocked = true;
    return kept;
}

/** @param {import('./survey').Survey} survey */
function lockAll({ objects, properties, extended }) {
    for (const property of properties) lockProperty(property);
    for (const { object } of objects) owners.add(object);
    const isFrozen = ({ object, kind }) => kind === kinds.iterator || (kind === kinds.method && !extended.has(object));
    // Before any is frozen: what is inherited is taken from others.
    for (const entry of objects) if (!isFrozen(entry)) lockInherited(entry);
    for (const entry of objects) if (isFrozen(entry)) freeze(entry.object);
}

/**
 * The same for the class of an object that is met for the first time after all were locked.
 * @param {string} name
 * @param {object} object
 */
function lockLate(name, object) {
    if (isLocked && !owners.has(object)) lockAll(surveyOne(name, object, owners));
}

/**
 * The same for a module that is loaded after all were locked.
 * @param {string} id as it is asked for
 * @param {object} exports
 */
function lockLateModule(id, exports) {
    if (isLocked && isLate(id)) lockLate(id, exports);
}

/** Another prototype, or no room for new names, would be a change of all that an object has. What defines a property says no without a throw. */
function guardPrototypes() {
    const util = require('node:util');
    const { setPrototypeOf, preventExtensions, seal, defineProperty: define, defineProperties: defineAll } = Object;
    const reflected = { setPrototypeOf: Reflect.setPrototypeOf, preventExtensions: Reflect.preventExtensions };
    const { inherits } = util;
    const { get, set } = getOwnPropertyDescriptor(Object.prototype, '__proto__');
    const isRefused = (target, what) => {
        if (!owners.has(target)) return false;
        refused(what);
        return true;
    };
    const replace = (owner, methods) => {
        for (const name of Object.keys(methods)) {
            defineProperty(owner, name, { value: methods[name], writable: true, enumerable: owner === util, configurable: true });
        }
    };
    // Where it threw a polyfill would not go on; it need not.
    const defines = (target, key) => {
        if (!owners.has(target)) return true;
        const present = getOwnPropertyDescriptor(target, key);
        if (present === undefined ? isExtensible(target) : present.configurable) return true;
        refused(typeof target === 'function' ? `${target.name}.${String(key)}` : String(key));
        return false;
    };
    // Whoever copies what is locked has it as it was.
    const copied = (descriptor) => {
        const value = descriptor?.get?.originalValue;
        return value === undefined ? descriptor : { value, writable: true, enumerable: descriptor.enumerable, configurable: true };
    };
    replace(Object, {
        defineProperty: (target, key, descriptor) => (defines(target, key) ? define(target, key, copied(descriptor)) : target),
        defineProperties(target, descriptors) {
            if (!isObject(target) || !isObject(descriptors)) return defineAll(target, descriptors);
            for (const key of ownKeys(descriptors)) {
                if (defines(target, key)) define(target, key, copied(descriptors[key]));
            }
            return target;
        },
        setPrototypeOf: (target, prototype) => (isOther(target, prototype) && isRefused(target, 'a prototype') ? target
            : setPrototypeOf(target, prototype)),
        freeze: (target) => (isRefused(target, 'Object.freeze') ? target : freeze(target)),
        seal: (target) => (isRefused(target, 'Object.seal') ? target : seal(target)),
        preventExtensions: (target) => (isRefused(target, 'Object.preventExtensions') ? target : preventExtensions(target)),
    });
    replace(Reflect, {
        defineProperty: (target, key, descriptor) => (defines(target, key) ? defineProperty(target, key, copied(descriptor)) : false),
        setPrototypeOf: (target, prototype) => (isOther(target, prototype) && isRefused(target, 'a prototype') ? false
            : reflected.setPrototypeOf(target, prototype)),
        preventExtensions: (target) => (isRefused(target, 'Reflect.preventExtensions') ? false
            : reflected.preventExtensions(target)),
    });
    replace(util, {
        inherits(derived, base) {
            if (!isRefused(derived?.prototype, 'a prototype') && !isRefused(derived, 'a prototype')) inherits(derived, base);
        },
    });
    const { __defineGetter__: defineGetter, __defineSetter__: defineSetter } = Object.prototype;
    replace(Object.prototype, {
        __defineGetter__(key, getter) {
            if (defines(this, key)) apply(defineGetter, this, [key, getter]);
        },
        __defineSetter__(key, setter) {
            if (defines(this, key)) apply(defineSetter, this, [key, setter]);
        },
    });
    const { setProto } = {
        setProto(prototype) {
            if (!isObject(this) || !isOther(this, prototype) || !isRefused(this, 'a prototype')) apply(set, this, [prototype]);
        },
    };
    defineProperty(Object.prototype, '__proto__', { get, set: setProto, enumerable: false, configurable: true });
}

function isOther(target, prototype) {
    return isObject(target) && getPrototypeOf(target) !== prototype;
}

module.exports = { prepare, lock, lockLate, lockLateModule };
