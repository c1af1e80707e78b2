'use strict';

// The one place where rules and their packages are cut off from the network: everything that would open a connection
// returns a socket of ours instead.

const net = require('node:net');
const tls = require('node:tls');
const http = require('node:http');
const https = require('node:https');
const { HostSocket, HostTLSSocket } = require('./sockets');

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

function connect(...parameters) {
    const { options, listener } = normalize(parameters);
    const socket = new HostSocket(options);
    if (listener !== undefined) socket.once('connect', listener);
    return socket;
}

function connectExisting(...parameters) {
    const { options, listener } = normalize(parameters);
    if (listener !== undefined) this.once('connect', listener);
    // It was made without knowing where to: it becomes one of ours on the spot.
    Object.setPrototypeOf(this, HostSocket.prototype);
    this.openHost(options);
    return this;
}

function connectSecurely(...parameters) {
    const { options, listener } = normalize(parameters);
    if (options.socket instanceof HostSocket) {
        const { target } = options.socket.hostEnd;
        options.host = options.host || target.host;
        options.port = options.port || target.port;
    }
    const socket = new HostTLSSocket(options);
    if (listener !== undefined) socket.once('secureConnect', listener);
    return socket;
}

/** An agent's options have the path of the request, where a socket's options have that of a local socket. */
function withoutRequestPath(options) {
    return options.path === undefined || options.path === null || options.socketPath ? options : { ...options, path: null };
}

/** Replaces what opens connections. */
function install() {
    net.connect = connect;
    net.createConnection = connect;
    net.Socket.prototype.connect = connectExisting;
    tls.connect = connectSecurely;
    // An agent learns of its socket by the return value; the second argument is no listener.
    http.Agent.prototype.createConnection = (options) => new HostSocket(withoutRequestPath(options));
    https.Agent.prototype.createConnection = (options) => new HostTLSSocket(withoutRequestPath(options));
}

module.exports = { install };
