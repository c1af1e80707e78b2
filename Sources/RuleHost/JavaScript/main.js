'use strict';

// The process that runs rules. Descriptor 3 is the worker (see frames.js), descriptor 4 the watchdog's last words.
//
// Start it with flags that leave the memory limit to the watchdog, whose report names it: `--max-old-space-size` in MB
// at twice the limit of `load`, and `--no-deprecation --no-warnings`, since nobody reads these here.

const { die, parse, stringify } = require('./intrinsics');
const { kinds } = require('./frames');
const { FrameSocket } = require('./framesocket');
const pulse = require('./pulse');
const turns = require('./turns');
const exchanges = require('./exchanges');
const evaluations = require('./evaluations');
const { keepIntact } = require('./repair');
const { shared } = require('./shared');
const { watchPromises } = require('./attribution');
const integrity = require('./integrity');
const locking = require('./locking');
const stackTraces = require('./stacktraces');
const poolwork = require('./poolwork');

let isLoaded = false;

function load(frame) {
    if (isLoaded) die('the rules came twice');
    isLoaded = true;
    let payload;
    try {
        payload = parse(frame.text());
    } catch (error) {
        die(`the rules cannot be read: ${error.message}`);
    }
    const { limits } = payload;
    shared.socket = socket;
    shared.quiet = limits.quiet;
    shared.consoleBytes = limits.consoleBytes;
    exchanges.configure(limits);
    require('./reach').configure(payload.reach);
    pulse.watch(limits, () => {
        keepIntact(true);
        const isNeeded = evaluations.keepDeadlines();
        poolwork.keepFree();
        return isNeeded;
    });
    // From here on the world is that of rules.
    require('./console').install(socket);
    require('./timers').install();
    watchPromises((run, promise, owner) => run.waitsFor(promise, owner));
    poolwork.install(limits.turn);
    require('./files').install();
    require('./ports').install();
    require('./network').install();
    require('./fetch').install();
    const { guard } = require('./process');
    const shortWay = require('./shortway');
    const { Loader } = require('./loader');
    const loader = new Loader(payload);
    guard();
    stackTraces.install();
    locking.prepare();
    const rules = loader.rules();
    if (loader.problems.length > 0) {
        socket.send(kinds.refused, 0, stringify({ problems: loader.problems, notes: loader.notes }));
        return;
    }
    shared.rules = rules;
    stackTraces.loaded();
    shortWay.loaded();
    integrity.take(locking.lock());
    turns.onPass(() => keepIntact(false));
    socket.send(kinds.loaded, 0, stringify({ node: process.version, notes: loader.notes, tokenFiles: loader.filesForToken() }));
}

function handle(frame) {
    switch (frame.kind) {
    case kinds.evaluate:
        evaluations.evaluate(frame, false);
        break;
    case kinds.evaluateAlone:
        evaluations.evaluate(frame, true);
        break;
    case kinds.response:
        exchanges.answered(frame);
        break;
    case kinds.failed:
        exchanges.failed(frame);
        break;
    case kinds.cancel:
        evaluations.cancel(frame);
        break;
    case kinds.ping:
        socket.send(kinds.pong, 0, '');
        break;
    case kinds.load:
        load(frame);
        break;
    case kinds.retire:
        evaluations.retire();
        break;
    case kinds.end:
        evaluations.end(frame);
        break;
    default:
        die(`a frame of unknown kind ${frame.kind}`);
    }
}

const socket = new FrameSocket(3, (frames) => turns.handleEach(frames, handle));
turns.attach(socket);
exchanges.attach(socket);
