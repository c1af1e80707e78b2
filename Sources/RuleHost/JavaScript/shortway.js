'use strict';

// Where Node's agents have their sockets from.
//
// A request of a global agent has a socket to itself, which is not pooled: it connects to nothing, so another one costs less than the
// agent's book-keeping, and a pool that all logins share would lead every rule to the requests of the others. Any other agent has its pool
// as ever, which is seen by those who were given the agent.

const http = require('node:http');
const https = require('node:https');
const { EventEmitter } = require('node:events');
const { apply, PrivateSet } = require('./intrinsics');
const { HostSocket, HostTLSSocket } = require('./sockets');
const { LightSocket, LightTLSSocket } = require('./lightsocket');
const lazyParser = require('./lazyparser');

const { getPrototypeOf } = Reflect;
const { listenerCount } = EventEmitter.prototype;
/** What an agent does for a request that was added to it, and a package may have it do otherwise. */
const steps = ['createConnection', 'createSocket', 'getName', 'keepSocketAlive', 'reuseSocket', 'removeSocket'];

/** Whether all sockets have streams from the beginning, and all agents pool them. */
let isOff = false;
/** Global agents without a pool. */
const unpooled = new PrivateSet();
/** The steps of each class of Node's. */
const usualSteps = new Map();

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

/** The request of this socket is over, and no agent keeps it for another. */
function retire() {
    this.setTimeout(0);
    this._httpMessage = null;
    // Whoever waits for its end is told, as by a server that closes what is idle.
    if (apply(listenerCount, this, ['close']) > 0) this.destroySoon();
}

/** Makes the agents of a class give each request a socket of its own, where they have no pool. */
function unpool({ Agent }, Light, Full) {
    const { prototype } = Agent;
    const { addRequest } = prototype;
    prototype.addRequest = function addUnpooledRequest(request, target, ...others) {
        if (!unpooled.has(this)) return apply(addRequest, this, [request, target, ...others]);
        const { options: own } = this;
        // Old packages name host and port one by one.
        const options = typeof target === 'string' ? { host: target, port: others[0] } : target;
        const socket = isLight(options) && isLight(own) ? new Light(optionsOf(options, own)) : new Full(withoutRequestPath({ ...options, ...own }));
        socket.on('free', retire);
        request.onSocket(socket);
        const { timeout } = request;
        if (timeout !== undefined && timeout !== socket.timeout) socket.setTimeout(timeout);
    };
    usualSteps.set(Agent, steps.map((name) => prototype[name]));
}

/** Gives Node's agents sockets of ours. */
function install() {
    // An agent learns of its socket by the return value; the second argument is not a listener.
    http.Agent.prototype.createConnection = (options) => makeSocket(LightSocket, HostSocket, options);
    https.Agent.prototype.createConnection = (options) => makeSocket(LightTLSSocket, HostTLSSocket, options);
    lazyParser.install();
    unpool(http, LightSocket, HostSocket);
    unpool(https, LightTLSSocket, HostTLSSocket);
}

/** The rules are loaded: the agents that are global by now have no pool, unless packages had them do something of their own. */
function loaded() {
    if (isOff) return;
    for (const { Agent, globalAgent } of [http, https]) {
        if (getPrototypeOf(globalAgent) !== Agent.prototype) continue;
        if (usualSteps.get(Agent).every((step, index) => globalAgent[steps[index]] === step)) unpooled.add(globalAgent);
    }
}

module.exports = {
    install,
    loaded,
    /** Tests compare with this. */
    turnOff() {
        isOff = true;
    },
};
