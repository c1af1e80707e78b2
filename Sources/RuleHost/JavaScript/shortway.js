'use strict';

// Where Node's agents have their sockets from.
//
// A request of a global agent has a socket to itself, which nobody keeps: nothing is saved by keeping one, the agent's book-keeping costs
// more than to make another, and its books would show every rule the requests of all logins. Any other agent keeps books as ever: it is
// seen by those who were given it.

const http = require('node:http');
const https = require('node:https');
const { EventEmitter } = require('node:events');
const { apply, PrivateSet } = require('./intrinsics');
const { HostSocket, HostTLSSocket } = require('./sockets');
const { LightSocket, LightTLSSocket } = require('./lightsocket');
const lazyParser = require('./lazyparser');

const { getPrototypeOf } = Reflect;
const { listenerCount } = EventEmitter.prototype;
/** What an agent does for a request, and a package may have it do otherwise. */
const steps = ['addRequest', 'createConnection', 'createSocket', 'getName', 'keepSocketAlive', 'reuseSocket', 'removeSocket'];

/** Whether all sockets have streams from the beginning, and all agents keep books. */
let isOff = false;
/** Global agents that keep no books. */
const bookless = new PrivateSet();
/** Their steps. */
const usual = new Map();

/** An agent's options have the path of the request, where a socket's options have that of a local socket. */
function withoutRequestPath(options) {
    return options.path === undefined || options.path === null || options.socketPath ? options : { ...options, path: null };
}

/** Whether a socket of these options can be light. */
function isLight(options) {
    return !isOff && !options.socketPath && !options.cert && !options.pfx && options.highWaterMark === undefined && !options.signal;
}

function makeSocket(Light, Full, options) {
    const own = withoutRequestPath(options);
    return isLight(own) ? new Light(own) : new Full(own);
}

/** What a light socket looks at; an agent's own options come first. A copy of them all costs as much as the socket. */
function optionsOf(options, own) {
    return {
        host: own.host ?? options.host,
        port: own.port ?? options.port,
        servername: own.servername ?? options.servername,
        timeout: own.timeout ?? options.timeout,
        rejectUnauthorized: own.rejectUnauthorized ?? options.rejectUnauthorized,
    };
}

/** A socket of a request of its own is done with it: no agent keeps it. */
function retire() {
    this.setTimeout(0);
    this._httpMessage = null;
    // Whoever waits for its end is told, as by a server that closes what is idle.
    if (apply(listenerCount, this, ['close']) > 0) this.destroySoon();
}

/** Makes a global agent give each request a socket of its own. */
function shorten({ Agent }, Light, Full) {
    const { prototype } = Agent;
    const { addRequest } = prototype;
    prototype.addRequest = function addShortRequest(request, target, ...others) {
        if (!bookless.has(this)) return apply(addRequest, this, [request, target, ...others]);
        const { options: own } = this;
        // Old packages name host and port one by one.
        const options = typeof target === 'string' ? { host: target, port: others[0] } : target;
        const socket = isLight(options) && isLight(own) ? new Light(optionsOf(options, own)) : new Full(withoutRequestPath({ ...options, ...own }));
        socket.on('free', retire);
        request.onSocket(socket);
        const { timeout } = request;
        if (timeout !== undefined && timeout !== socket.timeout) socket.setTimeout(timeout);
    };
    usual.set(Agent, steps.map((name) => prototype[name]));
}

/** Gives Node's agents sockets of ours. */
function install() {
    // An agent learns of its socket by the return value; the second argument is not a listener.
    http.Agent.prototype.createConnection = (options) => makeSocket(LightSocket, HostSocket, options);
    https.Agent.prototype.createConnection = (options) => makeSocket(LightTLSSocket, HostTLSSocket, options);
    lazyParser.install();
    shorten(http, LightSocket, HostSocket);
    shorten(https, LightTLSSocket, HostTLSSocket);
}

/** The rules are loaded: the agents that are global by now keep no books, unless packages had them do something of their own. */
function settle() {
    if (isOff) return;
    for (const { Agent, globalAgent } of [http, https]) {
        if (getPrototypeOf(globalAgent) !== Agent.prototype) continue;
        if (usual.get(Agent).every((step, index) => globalAgent[steps[index]] === step)) bookless.add(globalAgent);
    }
}

module.exports = {
    install,
    settle,
    /** Tests compare with this. */
    turnOff() {
        isOff = true;
    },
};
