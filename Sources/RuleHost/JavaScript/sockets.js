'use strict';

// Sockets of rules. They connect to nothing: the far end is in this process, see farend.js.

const net = require('node:net');
const { nextTick, hide, reveal } = require('./intrinsics');
const { networkError, refusal } = require('./errors');
const { FarEnd, stages } = require('./farend');
const { isRefused } = require('./reach');

/** Where a socket has its far end. */
const end = Symbol('end');

/** The far end of a socket: rules don't see it. */
function hostEnd(socket) {
    return reveal(socket[end]);
}

/** The socket that a rule's HTTP client holds. HTTP libraries keep fields of their own on it: ours is one. */
class HostSocket extends net.Socket {
    /**
     * @param {object} options as of `net.connect`
     * @param {boolean} isBare whether nobody is about to write a request to it, which is refused as what it is
     */
    constructor(options, isBare = false) {
        super({ highWaterMark: options.highWaterMark, signal: options.signal });
        this.openHost(options, isBare);
    }

    /** Begins as a socket to a host that is known by now. */
    openHost(options, isBare) {
        this.attachFarEnd(options, stages.full);
        this.connecting = true;
        const local = options.path ?? options.socketPath;
        if (local !== undefined && local !== null) {
            nextTick(refused, this, networkError({ code: 'EACCES', syscall: 'connect', address: String(local) }, ''));
        } else if (options.cert || options.pfx) {
            nextTick(refused, this, refusal('client certificates of rules are not supported, as the worker does the TLS: call an address that takes a token'));
        } else if (isBare && isRefused(hostEnd(this).target.host, hostEnd(this).target.port)) {
            hostEnd(this).ask();
        } else {
            // The request that it is for says first that it has a socket.
            nextTick(nextTick, connected, this);
        }
    }

    /** @param {number} stage of `stages` */
    attachFarEnd(options, stage) {
        this[end] = hide(new FarEnd(this, this.targetOf(options), stage));
        if (options.timeout > 0) this.setTimeout(options.timeout);
    }

    targetOf(options) {
        return {
            host: options.host || options.hostname || 'localhost',
            port: Number(options.port) || 0,
            isSecure: false,
            rejectUnauthorized: true,
        };
    }

    get pending() {
        return this.connecting;
    }

    get readyState() {
        if (this.connecting) return 'opening';
        if (this.readable) return this.writable ? 'open' : 'readOnly';
        return this.writable ? 'writeOnly' : 'closed';
    }

    // Which address the worker connects to is not known here, and no HTTP client needs it.
    get remoteAddress() {
        return this.destroyed ? undefined : '0.0.0.0';
    }

    get remoteFamily() {
        return 'IPv4';
    }

    get remotePort() {
        return hostEnd(this).target.port;
    }

    get localAddress() {
        return '0.0.0.0';
    }

    get localPort() {
        return 0;
    }

    address() {
        return { address: '0.0.0.0', family: 'IPv4', port: 0 };
    }

    ref() {
        return this;
    }

    unref() {
        return this;
    }

    setNoDelay() {
        return this;
    }

    setKeepAlive() {
        return this;
    }

    resetAndDestroy() {
        return this.destroy(networkError({ code: 'ECONNRESET', syscall: 'read' }, ''));
    }

    _read() {
        // Answers are pushed when they arrive.
    }

    _write(chunk, encoding, callback) {
        hostEnd(this).write(chunk, encoding);
        callback();
    }

    _writev(chunks, callback) {
        for (let index = 0; index < chunks.length; index += 1) {
            hostEnd(this).write(chunks[index].chunk, chunks[index].encoding);
        }
        callback();
    }

    _final(callback) {
        hostEnd(this).end();
        callback();
    }

    _destroy(error, callback) {
        hostEnd(this)?.cancel();
        // Without a handle it stops the socket's timer, and emits `close`.
        super._destroy(error, callback);
    }
}

/** A socket that looks like one with TLS on it. The worker does the TLS, and verifies the other side. */
class HostTLSSocket extends HostSocket {
    attachFarEnd(options, stage) {
        super.attachFarEnd(options, stage);
        this.encrypted = true;
        this.authorized = true;
        this.authorizationError = null;
        this.alpnProtocol = false;
        this.servername = options.servername || hostEnd(this).target.host;
    }

    targetOf(options) {
        const target = super.targetOf(options);
        target.isSecure = true;
        // It has no effect, and is reported.
        target.rejectUnauthorized = options.rejectUnauthorized !== false
            && process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0';
        return target;
    }

    getPeerCertificate() {
        return {};
    }

    getPeerX509Certificate() {
        return undefined;
    }

    getCertificate() {
        return {};
    }

    getProtocol() {
        return 'TLSv1.3';
    }

    getCipher() {
        return { name: 'TLS_AES_256_GCM_SHA384', standardName: 'TLS_AES_256_GCM_SHA384', version: 'TLSv1.3' };
    }

    getSession() {
        return undefined;
    }

    isSessionReused() {
        return false;
    }

    getTLSTicket() {
        return undefined;
    }

    setServername() {
        // The worker names the server that it connects to.
    }

    setMaxSendFragment() {
        return true;
    }

    disableRenegotiation() {
        // There is none.
    }
}

/** @param {HostSocket} socket that is about to be used */
function connected(socket) {
    if (socket.destroyed) return;
    socket.connecting = false;
    socket.emit('connect');
    if (socket.encrypted) socket.emit('secureConnect');
    socket.emit('ready');
}

function refused(socket, error) {
    socket.destroy(error);
}

module.exports = { HostSocket, HostTLSSocket, hostEnd, connected };
