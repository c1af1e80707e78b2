'use strict';

// What logins share and that can't be locked (see locking.js) is put back as soon as a rule has let go: what V8 looks at before it
// takes a short way (`Promise.prototype.then`, regular expressions, iterators, classes of results), constructors, which Node reads as
// values when it prints an object, and names that were added where every object or every call would meet them.

const events = require('node:events');
const { Module } = require('node:module');
const { PrivateSet, apply } = require('./intrinsics');

const { defineProperty, getOwnPropertyDescriptor, ownKeys, deleteProperty } = Reflect;
const { String } = globalThis;
const slice = Function.prototype.call.bind(String.prototype.slice);
const { exec } = RegExp.prototype;

/** Comparisons in one generated function: more would not be optimized. */
const most = 50;
/** Characters of a warning. */
const maxNames = 300;

/** One property of an object that all share. */
class Kept {
    constructor({ name, object, key }) {
        this.name = name;
        this.object = object;
        this.key = key;
        this.descriptor = getOwnPropertyDescriptor(object, key);
    }

    isReplaced() {
        const present = getOwnPropertyDescriptor(this.object, this.key);
        const { value, get, set } = this.descriptor;
        return present === undefined || present.value !== value || present.get !== get || present.set !== set;
    }

    /** @returns {boolean} false where it can't be put back */
    putBack() {
        return defineProperty(this.object, this.key, this.descriptor);
    }
}

/** Text around modules, which an assignment changes; the accessor can't be locked. */
class KeptSetting {
    constructor(object, key) {
        this.name = `Module.${key}`;
        this.object = object;
        this.key = key;
        this.value = object[key];
    }

    isReplaced() {
        return this.object[this.key] !== this.value;
    }

    putBack() {
        this.object[this.key] = this.value;
        return true;
    }
}

/** @type {(Kept | KeptSetting)[]} */
let all = [];
/** @type {(() => boolean)[]} */
let checks = [];
/** Objects whose additions others have as well, with the keys that each had. @type {{name: string, object: object, keys: Set}[]} */
const roots = [];
/** Without these fields on themselves no emitter works. */
const { prototype: emitter } = events;
const { prototype: objectPrototype } = Object;
const { prototype: arrayPrototype } = Array;

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

/** The few that every turn meets: those of the language. The others wait for the next beat. */
function checksOf(kept) {
    const language = new PrivateSet();
    for (const name of ['Object', 'Function', 'Array', 'String', 'Number', 'Boolean', 'Promise', 'RegExp', 'Map', 'Set', 'Date', 'Error']) {
        language.add(globalThis[name]).add(globalThis[name].prototype);
    }
    const compared = [];
    for (const { object, key, descriptor } of kept) {
        const value = key === Symbol.species ? object[key] : descriptor.value;
        if (typeof value === 'function' && language.has(object)) compared.push({ object, key, value });
    }
    const made = [];
    for (let at = 0; at < compared.length; at += most) made.push(comparing(compared.slice(at, at + most)));
    return made;
}

/**
 * Takes note of what is there, after the rules and their packages are loaded: those may bring polyfills.
 * @param {import('./survey').Property[]} properties what can't be locked
 */
function take(properties) {
    const fields = ['_events', '_eventsCount', '_maxListeners'].map((key) => ({ name: `EventEmitter.prototype.${key}`, object: emitter, key }));
    all = [...properties, ...fields].filter(({ object, key }) => getOwnPropertyDescriptor(object, key) !== undefined)
        .map((property) => new Kept(property));
    const settings = ['wrapper', 'wrap'].map((key) => new KeptSetting(Module, key));
    Object.freeze(Module.wrapper);
    checks = [...checksOf(all), comparing(settings)];
    all.push(...settings);
    for (const name of ['Object', 'Array', 'Function', 'String', 'Number', 'Boolean', 'RegExp']) {
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
    return object === objectPrototype || key === 'toJSON' || key === 'then' || typeof key === 'symbol' || key in objectPrototype
        || apply(exec, number, [key]) !== null;
}

/** Whether all is as it was; of what was added, only what is quickly found. */
function isIntact() {
    try {
        for (let at = 0; at < checks.length; at += 1) if (!checks[at]()) return false;
        if (ownKeys(objectPrototype).length !== roots[0].keys.size) return false;
        return plain.then === undefined && plain.toJSON === undefined && !(0 in arrayPrototype);
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
        const kept = all[at];
        if (!kept.isReplaced()) continue;
        if (!kept.putBack()) throw `${kept.name} cannot be put back`;
        names += `, ${kept.name}`;
    }
    return slice(names, 2, maxNames);
}

module.exports = { take, isIntact, repair };
