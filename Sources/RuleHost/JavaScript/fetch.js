'use strict';

// `globalThis.fetch`: the short way from a rule to the worker, without sockets and without Node's own `fetch`, which costs
// five times as much. What it does not know (other schemes, a dispatcher of the rule's own) goes to Node's.

const zlib = require('node:zlib');
const { Promise } = require('./intrinsics');
const { copyOf } = require('./bytes');
const { current, within } = require('./attribution');
const { networkError, refusal } = require('./errors');
const { readRequest } = require('./fetchrequest');
const { hostResponse } = require('./response');
const { activities } = require('./rulework');
const exchanges = require('./exchanges');

const maxRedirects = 20;
const maxDecodedBytes = 64 << 20;
/** Node's decoders by the name of the content encoding. */
const decoders = {
    gzip: zlib.gunzip, 'x-gzip': zlib.gunzip, deflate: inflate, br: zlib.brotliDecompress,
};

/** Some servers leave out the header that zlib expects. */
function inflate(body, options, callback) {
    const decoder = (body[0] & 0x0f) === 0x08 ? zlib.inflate : zlib.inflateRaw;
    decoder(body, options, callback);
}

let nativeFetch = null;
let HostResponse = null;

/** One call of `fetch`, over its redirects. */
class FetchCall {
    constructor(run, request, resolve, reject) {
        this.run = run;
        this.request = request;
        this.resolve = resolve;
        this.reject = reject;
        this.redirects = 0;
        this.exchange = null;
        this.onAbort = null;
        if (request.signal !== null) this.listen(request.signal);
    }

    listen(signal) {
        this.onAbort = () => {
            if (this.exchange !== null) this.exchange.cancel();
            this.reject(signal.reason);
        };
        signal.addEventListener('abort', this.onAbort, { once: true });
    }

    send() {
        const { request } = this;
        const { url } = request;
        let href = url.href;
        const fragment = href.indexOf('#');
        if (fragment !== -1) href = href.slice(0, fragment);
        this.href = href;
        if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === '0' && url.protocol === 'https:') this.run?.trustsAll();
        const exchange = exchanges.send(
            this.run,
            request.method,
            href,
            request.headers,
            request.body,
            (head, body) => this.answered(head, body),
            (failure) => this.failed(failure instanceof Error ? failure : networkError(failure, url.hostname)),
        );
        if (exchange instanceof Error) this.failed(exchange);
        else this.exchange = exchange;
    }

    ended() {
        this.exchange = null;
        if (this.onAbort !== null) this.request.signal.removeEventListener('abort', this.onAbort);
    }

    failed(cause) {
        this.ended();
        this.reject(new TypeError('fetch failed', { cause }));
    }

    answered(head, body) {
        const { status } = head;
        if (status > 300 && status < 309 && this.request.redirect !== 'manual' && this.redirected(head)) return;
        const decoder = headerOf(head, 'content-encoding');
        if (decoder !== undefined && body.length > 0) {
            this.decode(head, copyOf(body), decoder.toLowerCase().split(',').map((name) => name.trim()));
            return;
        }
        this.finish(head, body);
    }

    finish(head, body) {
        this.ended();
        const isBodyless = this.request.method === 'HEAD' || head.status === 204 || head.status === 304;
        this.resolve(new HostResponse(head, isBodyless ? null : body, this.href, this.redirects > 0));
    }

    decode(head, body, names) {
        const name = names.pop();
        const decoder = decoders[name];
        if (decoder === undefined) {
            this.finish(head, body);
            return;
        }
        within(this.run, decoder, body, { maxOutputLength: maxDecodedBytes }, (error, decoded) => {
            if (error) this.failed(error);
            else if (names.length > 0) this.decode(head, decoded, names);
            else this.finish(head, decoded);
        });
    }

    /** Follows a redirect; false where the response is not one. */
    redirected(head) {
        const { request } = this;
        const { status } = head;
        const location = headerOf(head, 'location');
        if (location === undefined || status === 304 || status === 305 || status === 306) return false;
        if (request.redirect === 'error') {
            this.failed(refusal('unexpected redirect'));
            return true;
        }
        let url;
        try {
            url = new URL(location, request.url);
        } catch (error) {
            this.failed(error);
            return true;
        }
        if (this.redirects === maxRedirects || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
            this.failed(refusal(this.redirects === maxRedirects ? 'redirect count exceeded' : 'URL scheme must be a HTTP(S) scheme'));
            return true;
        }
        this.redirects += 1;
        if ((status === 303 && request.method !== 'HEAD') || (status < 303 && request.method === 'POST')) {
            request.method = 'GET';
            request.body = null;
            request.removeHeaders(['content-type', 'content-length', 'content-encoding', 'content-language', 'content-location']);
        }
        if (url.origin !== request.url.origin) {
            request.removeHeaders(['authorization', 'proxy-authorization', 'cookie', 'host']);
        }
        if (url.hash === '') url.hash = request.url.hash;
        request.url = url;
        this.send();
        return true;
    }
}

function headerOf(head, name) {
    const { headers } = head;
    for (let index = 0; index < headers.length; index += 1) {
        const header = headers[index][0];
        if (header.length === name.length && header.toLowerCase() === name) return headers[index][1];
    }
    return undefined;
}

function begin(run, request, resolve, reject) {
    if (request.signal !== null && request.signal.aborted) {
        reject(request.signal.reason);
        return;
    }
    if (request.host !== '' && request.host !== request.url.host) run?.namesHost(request.host);
    if (!request.hasHeader('accept')) request.headers.push(['accept', '*/*']);
    if (!request.hasHeader('user-agent')) request.headers.push(['user-agent', 'node']);
    const call = new FetchCall(run, request, resolve, reject);
    if (request.unreadBody === null) {
        call.send();
        return;
    }
    run?.workBegan(activities.request);
    const read = (send) => {
        run?.workEnded(activities.request);
        send();
    };
    request.readBody().then(() => read(() => call.send()), (error) => read(() => call.failed(error)));
}

/**
 * Fetches like Node's own `fetch`.
 * @param {string | URL | Request} input
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
function fetch(input, init) {
    return new Promise((resolve, reject) => {
        if (HostResponse === null) HostResponse = hostResponse();
        const request = readRequest(input, init);
        const { protocol } = request.url;
        const isOurs = (protocol === 'https:' || protocol === 'http:') && !init?.dispatcher && !init?.integrity;
        if (isOurs) begin(current(), request, resolve, reject);
        else resolve(nativeFetch(input, init));
    });
}

/** Puts it in the place of Node's own. */
function install() {
    nativeFetch = globalThis.fetch;
    Object.defineProperty(globalThis, 'fetch', { value: fetch, configurable: true, enumerable: true, writable: true });
}

module.exports = { install, fetch };
