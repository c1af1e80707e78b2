'use strict';

// Work with files, which Node hands to its thread pool too.

const fs = require('node:fs');
const { apply, nextTick } = require('./intrinsics');
const { refusal } = require('./errors');
const { lockLate } = require('./locking');
const { countCallback, countPromise, countSteps } = require('./counting');

/** Methods of a class that take a callback or return a promise. */
function countMethods(prototype, names) {
    for (const name of names) {
        const { value } = Object.getOwnPropertyDescriptor(prototype, name);
        if (typeof value === 'function' && name !== 'constructor') prototype[name] = countPromise(countCallback(value));
    }
}

/** The class of file handles is had from one of them only, and each has its own `close`. */
function countHandles() {
    const { open } = fs.promises;
    let isCounted = false;
    return countPromise(async (...parameters) => {
        const handle = await apply(open, fs.promises, parameters);
        handle.close = countPromise(handle.close);
        if (isCounted) return handle;
        isCounted = true;
        const prototype = Object.getPrototypeOf(handle);
        countMethods(prototype, Object.getOwnPropertyNames(prototype));
        lockLate('FileHandle.prototype', prototype);
        return handle;
    });
}

/** The worker's frames: whoever reads from it has those of other logins. */
const frames = 3;

/** Refuses to read the worker's frames, or to close their socket. */
function keepFrames() {
    for (const name of ['read', 'readSync', 'readv', 'readvSync', 'readFile', 'readFileSync', 'close', 'closeSync']) {
        const original = fs[name];
        fs[name] = function keptFrom(file, ...parameters) {
            if (file !== frames) return apply(original, this, [file, ...parameters]);
            const error = refusal(`descriptor ${frames} is not available to rules`, 'EBADF');
            const callback = parameters[parameters.length - 1];
            if (typeof callback !== 'function') throw error;
            nextTick(callback, error);
            return undefined;
        };
        for (const key of Reflect.ownKeys(original)) if (typeof key === 'symbol') fs[name][key] = original[key];
    }
}

/** Counts the functions of `fs` that have a twin which waits, its promises, file handles and folders. */
function install() {
    for (const name of Object.keys(fs)) {
        if (typeof fs[name] === 'function' && typeof fs[`${name}Sync`] === 'function') fs[name] = countCallback(fs[name]);
    }
    keepFrames();
    const open = countHandles();
    for (const name of Object.keys(fs.promises)) {
        if (typeof fs.promises[name] === 'function' && name !== 'watch') fs.promises[name] = countPromise(fs.promises[name]);
    }
    fs.promises.open = open;
    const { prototype: folder } = fs.Dir;
    countMethods(folder, ['read', 'close']);
    folder.entries = countSteps(folder.entries);
    folder[Symbol.asyncIterator] = folder.entries;
}

module.exports = { install };
