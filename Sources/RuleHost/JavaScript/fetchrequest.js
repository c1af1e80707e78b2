'use strict';

// What a rule passes to `fetch`, read into a method, an address, headers and bytes.

const { copyOf, plain } = require('./bytes');

const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const outsideOfHeaders = /[\0\r\n]|[^\0-\xff]/;
const normalizedMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']);
const forbiddenMethods = new Set(['CONNECT', 'TRACE', 'TRACK']);
const { from } = Buffer;

/** A request, ready to be sent. */
class FetchRequest {
    constructor(url, method) {
        this.url = url;
        this.method = method;
        /** @type {[string, string][]} names in small letters */
        this.headers = [];
        /** What it names as its host, if anything. */
        this.host = '';
        /** @type {Uint8Array | null} */
        this.body = null;
        /** A body that is yet to be read: a stream, a form, a blob. */
        this.unreadBody = null;
        this.redirect = 'follow';
        this.signal = null;
    }

    hasHeader(name) {
        for (let index = 0; index < this.headers.length; index += 1) if (this.headers[index][0] === name) return true;
        return false;
    }

    removeHeaders(names) {
        this.headers = this.headers.filter(([name]) => !names.includes(name));
    }

    addHeader(name, value) {
        const text = typeof value === 'string' ? value.trim() : String(value).trim();
        if (!tokenPattern.test(name)) throw new TypeError(`Headers.append: ${name} is an invalid header name.`);
        if (outsideOfHeaders.test(text)) throw new TypeError(`Headers.append: the value of ${name} is an invalid header value.`);
        const lower = name.toLowerCase();
        // It is the address's, whatever a rule says.
        if (lower === 'host') this.host = text;
        else this.headers[this.headers.length] = [lower, text];
    }

    addHeaders(headers) {
        if (typeof headers !== 'object' || headers === null) throw new TypeError('fetch: headers must be an object');
        if (typeof headers[Symbol.iterator] === 'function') {
            for (const [name, value] of headers) this.addHeader(String(name), value);
            return;
        }
        for (const name of Object.keys(headers)) this.addHeader(name, headers[name]);
    }

    /** @returns {Promise<void>} when a body that had to be read is there */
    async readBody() {
        const { unreadBody } = this;
        this.unreadBody = null;
        // Node's own knows every kind of body, and its type.
        const carrier = new globalThis.Response(unreadBody);
        const type = carrier.headers.get('content-type');
        if (type !== null && !this.hasHeader('content-type')) this.headers.push(['content-type', type]);
        this.body = new Uint8Array(await carrier.arrayBuffer());
    }

    setBody(body) {
        if (this.method === 'GET' || this.method === 'HEAD') {
            throw new TypeError('Request with GET/HEAD method cannot have body.');
        }
        let type = null;
        if (typeof body === 'string') {
            this.body = from(body, 'utf8');
            type = 'text/plain;charset=UTF-8';
        } else if (body instanceof URLSearchParams) {
            this.body = from(body.toString(), 'utf8');
            type = 'application/x-www-form-urlencoded;charset=UTF-8';
        } else if (ArrayBuffer.isView(body)) {
            this.body = copyOf(plain(body));
        } else {
            this.unreadBody = body;
        }
        if (type !== null && !this.hasHeader('content-type')) this.headers.push(['content-type', type]);
    }
}

function normalizedMethod(method) {
    const text = String(method);
    const upper = text.toUpperCase();
    if (forbiddenMethods.has(upper) || !tokenPattern.test(text)) {
        throw new TypeError(`'${text}' is not a valid HTTP method.`);
    }
    return normalizedMethods.has(upper) ? upper : text;
}

/** @returns {URL} */
function parseURL(text) {
    let url;
    try {
        url = new URL(text);
    } catch (cause) {
        throw new TypeError(`Failed to parse URL from ${text}`, { cause });
    }
    if (url.username !== '' || url.password !== '') {
        throw new TypeError(`Request cannot be constructed from a URL that includes credentials: ${url.origin}${url.pathname}`);
    }
    return url;
}

function readSignal(signal) {
    if (signal === undefined || signal === null) return null;
    if (typeof signal.aborted !== 'boolean' || typeof signal.addEventListener !== 'function') {
        throw new TypeError('fetch: signal is not an AbortSignal.');
    }
    return signal;
}

/**
 * Reads the arguments of `fetch`.
 * @returns {FetchRequest}
 * @throws {TypeError} as `fetch` would reject
 */
function readRequest(input, init) {
    const isRequest = typeof input === 'object' && input !== null && input instanceof globalThis.Request;
    const request = new FetchRequest(
        parseURL(isRequest ? input.url : String(input)),
        init?.method === undefined ? (isRequest ? input.method : 'GET') : normalizedMethod(init.method),
    );
    if (isRequest) {
        request.redirect = input.redirect;
        request.signal = input.signal;
    }
    if (init === undefined || init === null) {
        if (isRequest) readRequestObject(request, input);
        return request;
    }
    if (typeof init !== 'object') throw new TypeError('fetch: the second argument is not an object');
    if (init.headers !== undefined) request.addHeaders(init.headers);
    else if (isRequest) request.addHeaders(input.headers);
    if (init.body !== undefined && init.body !== null) {
        if (init.body instanceof globalThis.ReadableStream && init.duplex === undefined) {
            throw new TypeError('RequestInit: duplex option is required when sending a body.');
        }
        request.setBody(init.body);
    } else if (isRequest && input.body !== null) {
        request.unreadBody = input.body;
    }
    if (init.redirect !== undefined) request.redirect = readRedirect(init.redirect);
    if (init.signal !== undefined) request.signal = readSignal(init.signal);
    return request;
}

function readRequestObject(request, input) {
    request.addHeaders(input.headers);
    if (input.body !== null) request.unreadBody = input.body;
}

function readRedirect(redirect) {
    if (redirect === 'follow' || redirect === 'manual' || redirect === 'error') return redirect;
    throw new TypeError(`fetch: ${String(redirect)} is not an accepted type. Expected one of follow, manual, error.`);
}

module.exports = { readRequest, parseURL };
