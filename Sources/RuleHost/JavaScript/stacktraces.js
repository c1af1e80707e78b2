'use strict';

// `Error.prepareStackTrace`: Node calls it for whoever reads a stack, with functions and errors of his. What a rule sets is called
// for that rule only.

const { queueMicrotask } = require('./intrinsics');
const { current } = require('./attribution');

/** What packages set when they were loaded. */
let ofPackages;
let isLoaded = false;
/** What a package set while it is loaded for a rule that asks for it late: until that is done. */
let forNow;

function setForNow(prepare) {
    forNow = prepare;
    queueMicrotask(() => { forNow = undefined; });
}

function install() {
    ofPackages = Error.prepareStackTrace;
    const { get, set } = {
        get() {
            return current()?.prepareStackTrace ?? forNow ?? ofPackages;
        },
        set(prepare) {
            if (this !== Error) {
                Object.defineProperty(this, 'prepareStackTrace', { value: prepare, writable: true, enumerable: true, configurable: true });
                return;
            }
            const run = current();
            if (run !== undefined) run.prepareStackTrace = prepare;
            else if (!isLoaded) ofPackages = prepare;
            else setForNow(prepare);
        },
    };
    Object.defineProperty(Error, 'prepareStackTrace', { get, set, enumerable: false, configurable: false });
}

/** The rules are loaded: from here on nobody sets it for all. */
function loaded() {
    isLoaded = true;
}

module.exports = { install, loaded };
