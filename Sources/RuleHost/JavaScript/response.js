'use strict';

// The `Response` of the host's `fetch`. It is an instance of Node's own `Response` to whoever asks, but holds a body that
// is here already; Node's own is made only for what needs its streams. (Node's costs 18 µs, most of a request.)

const { inspect } = require('node:util');
const { parse, hide, reveal } = require('./intrinsics');
const { text, copyOf } = require('./bytes');

// Node's own are loaded when they are first asked for: many rules never fetch.
let NativeResponse = null;
let NativeHeaders = null;
const state = Symbol('state');

/** What a response holds. */
class ResponseState {
    constructor(head, body, url, isRedirected) {
        this.head = head;
        this.body = body;
        this.url = url;
        this.isRedirected = isRedirected;
        this.isUsed = false;
        this.headers = null;
        /** Node's own, once somebody needs it; it then has the body. */
        this.native = null;
    }

    hasNoBody() {
        const { status } = this.head;
        return this.body === null || status === 204 || status === 205 || status === 304;
    }

    makeNative() {
        if (this.native !== null) return this.native;
        const body = this.hasNoBody() ? null : copyOf(this.body);
        this.native = new NativeResponse(body, { headers: this.makeHeaders() });
        return this.native;
    }

    makeHeaders() {
        if (this.headers !== null) return this.headers;
        this.headers = new NativeHeaders();
        for (const [name, value] of this.head.headers) this.headers.append(name, value);
        return this.headers;
    }

    /** Takes the body, which can be taken once; where there is none there is nothing to take. */
    take() {
        if (this.hasNoBody()) return new Uint8Array(0);
        if (this.isUsed) throw new TypeError('Body is unusable: Body has already been read');
        this.isUsed = true;
        return this.body;
    }

    takeText() {
        const body = this.take();
        const read = text(body, 0, body.length);
        return read.charCodeAt(0) === 0xfeff ? read.slice(1) : read;
    }
}

/** @constructor */
function HostResponse(head, body, url, isRedirected) {
    // A property that is not enumerable costs more than the request's JSON.
    this[state] = hide(new ResponseState(head, body, url, isRedirected));
}

/** Methods and accessors that take the place of those of `Response`. */
class Members {
    get status() {
        return reveal(this[state]).head.status;
    }

    get ok() {
        const { status } = reveal(this[state]).head;
        return status >= 200 && status < 300;
    }

    get statusText() {
        return reveal(this[state]).head.reason ?? '';
    }

    get headers() {
        return reveal(this[state]).makeHeaders();
    }

    get url() {
        return reveal(this[state]).url;
    }

    get redirected() {
        return reveal(this[state]).isRedirected;
    }

    get type() {
        return 'basic';
    }

    get bodyUsed() {
        const { native, isUsed } = reveal(this[state]);
        return native === null ? isUsed : native.bodyUsed;
    }

    get body() {
        const own = reveal(this[state]);
        // What was read is gone; the stream that says so is one that has been read too.
        const native = own.makeNative();
        if (own.isUsed && native.body !== null && !native.bodyUsed) native.body.cancel();
        return native.body;
    }

    async json() {
        const own = reveal(this[state]);
        return own.native === null ? parse(own.takeText()) : own.native.json();
    }

    async text() {
        const own = reveal(this[state]);
        return own.native === null ? own.takeText() : own.native.text();
    }

    async arrayBuffer() {
        const own = reveal(this[state]);
        if (own.native !== null) return own.native.arrayBuffer();
        return new Uint8Array(own.take()).buffer;
    }

    async bytes() {
        return new Uint8Array(await this.arrayBuffer());
    }

    async blob() {
        const own = reveal(this[state]);
        if (own.isUsed) own.take();
        return own.makeNative().blob();
    }

    async formData() {
        const own = reveal(this[state]);
        if (own.isUsed) own.take();
        return own.makeNative().formData();
    }

    clone() {
        const own = reveal(this[state]);
        if (this.bodyUsed) throw new TypeError('Response.clone: Body has already been consumed.');
        if (own.native !== null && own.native.body?.locked) throw new TypeError('Response.clone: Body is locked.');
        return new HostResponse(own.head, own.body, own.url, own.isRedirected);
    }

    [inspect.custom](depth, options) {
        const { status, statusText, headers, url } = this;
        return `Response ${inspect({ status, statusText, headers, url }, options)}`;
    }
}

/** @returns {typeof HostResponse} */
function hostResponse() {
    if (NativeResponse !== null) return HostResponse;
    NativeResponse = globalThis.Response;
    NativeHeaders = globalThis.Headers;
    HostResponse.prototype = Object.create(NativeResponse.prototype);
    for (const name of Reflect.ownKeys(Members.prototype)) {
        if (name === 'constructor') continue;
        Object.defineProperty(HostResponse.prototype, name, Object.getOwnPropertyDescriptor(Members.prototype, name));
    }
    return HostResponse;
}

module.exports = { hostResponse };
