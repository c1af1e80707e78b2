'use strict';

// The one place where rules and their packages are cut off from the network: everything that would open a connection
// returns a socket of ours instead.

const net = require('node:net');
const tls = require('node:tls');
const http = require('node:http');
const { channel } = require('node:diagnostics_channel');
const { errorMonitor } = require('node:events');
const { apply, setTimeout, makeStamp, reveal } = require('./intrinsics');
const { current } = require('./attribution');
const { refusal } = require('./errors');
const { activities } = require('./rulework');
const { HostSocket, HostTLSSocket, hostEnd } = require('./sockets');
const shortWay = require('./shortway');
const { onlyHTTP } = require('./requestparser');

/** `(options)`, `(port, host, options)`, `(path)`, each with a listener at the end: as `net.connect` takes them. */
function normalize(parameters) {
    const list = Array.isArray(parameters[0]) ? parameters[0] : parameters;
    const listener = list.find((value) => typeof value === 'function');
    const options = Object.assign({}, ...list.filter((value) => typeof value === 'object'));
    const [first, second] = list;
    if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
        options.port = Number(first);
        if (typeof second === 'string') options.host = second;
    } else if (typeof first === 'string') {
        options.path = first;
    }
    return { options, listener };
}

/** Milliseconds for which a socket waits for a request; other protocols begin with the server's greeting, and it has none. */
const silence = 1000;

/** Refuses a socket that nobody writes to. */
function expectRequest(socket) {
    const timer = setTimeout(() => {
        if (!hostEnd(socket).hasRead) socket.destroy(refusal(onlyHTTP));
    }, silence);
    timer.unref();
    return socket;
}

function connect(...parameters) {
    const { options, listener } = normalize(parameters);
    const socket = expectRequest(new HostSocket(options, true));
    if (listener !== undefined) socket.once('connect', listener);
    return socket;
}

function connectExisting(...parameters) {
    const { options, listener } = normalize(parameters);
    if (listener !== undefined) this.once('connect', listener);
    // It was made without knowing where to: it becomes one of ours on the spot.
    Object.setPrototypeOf(this, HostSocket.prototype);
    this.openHost(options, true);
    return expectRequest(this);
}

function connectSecurely(...parameters) {
    const { options, listener } = normalize(parameters);
    if (options.socket instanceof HostSocket) {
        const { target } = hostEnd(options.socket);
        options.host = options.host || target.host;
        options.port = options.port || target.port;
    }
    const socket = expectRequest(new HostTLSSocket(options, true));
    if (listener !== undefined) socket.once('secureConnect', listener);
    return socket;
}

/** Whose request waits for a socket: on the request itself. */
const waiting = makeStamp();
/** Set on a request that was given a socket. */
const isServed = Symbol('isServed');

/**
 * Counts a request that has no socket yet, since its agent lets no more be open at a time: the rule that made it is not
 * complete, though nothing of it has reached the far end.
 */
function wait(request) {
    const run = current();
    if (run === undefined || run.evaluation.isOver) return;
    run.workBegan(activities.request);
    waiting.set(request, run.owner);
}

function served(request) {
    const run = reveal(waiting.of(request));
    waiting.set(request, undefined);
    if (run !== undefined) run.workEnded(activities.request);
}

function countWaiting() {
    const { prototype } = http.ClientRequest;
    const { end, onSocket, destroy, abort } = prototype;
    prototype.end = function endRequest(...parameters) {
        if (this[isServed] !== true && waiting.of(this) === undefined) {
            wait(this);
            // An agent that finds no socket may say so, and no more.
            this.once(errorMonitor, served.bind(null, this));
        }
        return apply(end, this, parameters);
    };
    prototype.onSocket = function takeSocket(...parameters) {
        this[isServed] = true;
        served(this);
        return apply(onSocket, this, parameters);
    };
    prototype.destroy = function destroyRequest(...parameters) {
        served(this);
        return apply(destroy, this, parameters);
    };
    prototype.abort = function abortRequest() {
        apply(abort, this, []);
        // Some set `destroyed` before, and leave the socket waiting for an answer that nobody reads.
        if (this.socket instanceof HostSocket && this.socket._httpMessage === this) this.socket.destroy();
    };
}

/** The same for undici, which tells on these channels what it does. It may write one request while it works for another. */
function countWaitingInUndici() {
    channel('undici:request:create').subscribe(({ request }) => wait(request));
    channel('undici:client:sendHeaders').subscribe(({ request, socket }) => {
        if (socket instanceof HostSocket) hostEnd(socket).nextRun = reveal(waiting.of(request));
        served(request);
    });
    channel('undici:request:error').subscribe(({ request }) => served(request));
}

/** Replaces what opens connections. */
function install() {
    net.connect = connect;
    net.createConnection = connect;
    net.Socket.prototype.connect = connectExisting;
    tls.connect = connectSecurely;
    shortWay.install();
    countWaiting();
    countWaitingInUndici();
    if ('WebSocket' in globalThis) {
        // Node's own would only tell of an error without a message.
        const value = function WebSocket() {
            throw refusal(`rules cannot use WebSockets (${onlyHTTP}): call an HTTP API of that service`);
        };
        Object.defineProperty(globalThis, 'WebSocket', { value, configurable: true, writable: true });
    }
}

module.exports = { install };
