'use strict';

// `console` of rules: what they print becomes frames, with the rule's name on it, and no more than a login may say.

const { Console } = require('node:console');
const { Writable } = require('node:stream');
const { formatWithOptions } = require('node:util');
const { stringify, now } = require('./intrinsics');
const { current } = require('./attribution');
const { kinds } = require('./frames');

const formatOptions = { colors: false, maxStringLength: 4096 };
const maxLineLength = 4096;
/** Characters per second for what is printed outside of any rule: a module that is being loaded, for example. */
const hostAllowance = 8192;

/** @type {import('./framesocket').FrameSocket} */
let socket = null;
const outside = { consoleLeft: hostAllowance, number: 0, isOver: false };
let outsideSince = 0;

function budget(run) {
    if (run !== undefined) return run.evaluation;
    const time = now();
    if (time - outsideSince > 1000) {
        outsideSince = time;
        outside.consoleLeft = hostAllowance;
    }
    return outside;
}

function print(level, parameters) {
    const run = current();
    const evaluation = budget(run);
    // Once it is used up nothing is even formatted.
    if (evaluation.isOver || evaluation.consoleLeft <= 0 || socket === null) return;
    let text;
    try {
        text = formatWithOptions(formatOptions, ...parameters);
    } catch (error) {
        text = `(a value that cannot be printed: ${error?.message})`;
    }
    const left = Math.min(evaluation.consoleLeft, maxLineLength);
    evaluation.consoleLeft -= text.length + 1;
    if (text.length > left) text = `${text.slice(0, left)}…`;
    if (evaluation.consoleLeft <= 0) text += ' (no more output of this login is shown)';
    socket.send(kinds.console, evaluation.number, stringify({ rule: run === undefined ? -1 : run.index, level, text }));
}

/** What packages write to themselves, and the methods of Node's console that we do not replace (`table`, `dir`, `time`, …). */
class Lines extends Writable {
    constructor(level, descriptor) {
        super({ decodeStrings: false });
        this.level = level;
        this.fd = descriptor;
    }

    _write(chunk, encoding, callback) {
        const text = String(chunk);
        print(this.level, ['%s', text.endsWith('\n') ? text.slice(0, -1) : text]);
        callback();
    }
}

/** @param {import('./framesocket').FrameSocket} frames */
function install(frames) {
    socket = frames;
    const stdout = new Lines('log', 1);
    const stderr = new Lines('error', 2);
    for (const [name, value] of Object.entries({ stdout, stderr })) {
        Object.defineProperty(process, name, { configurable: true, enumerable: true, value });
    }
    const base = new Console({ stdout, stderr, colorMode: false });
    for (const name of Object.keys(console)) {
        if (typeof base[name] === 'function' && name !== 'Console') console[name] = base[name];
    }
    for (const level of ['log', 'info', 'debug', 'warn', 'error']) {
        console[level] = (...parameters) => print(level, parameters);
    }
    console.trace = (...parameters) => {
        const place = {};
        Error.captureStackTrace(place, console.trace);
        print('error', ['%s', `Trace: ${formatWithOptions(formatOptions, ...parameters)}`
            + `${String(place.stack).replace(/^[^\n]*/, '')}`]);
    };
}

module.exports = { install };
