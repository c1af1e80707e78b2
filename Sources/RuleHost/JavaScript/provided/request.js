'use strict';

// `request`, which a third of all public rules use and which is deprecated: its callback interface over `http` and `https`.

const http = require('node:http');
const https = require('node:https');
const zlib = require('node:zlib');
const { EventEmitter } = require('node:events');
const querystring = require('node:querystring');

const methods = ['get', 'head', 'options', 'post', 'put', 'patch', 'delete'];
const maxRedirects = 10;

/**
 * The arguments of `request(url|options[, options][, callback])` as one object.
 * @returns {{options: object, callback: Function | undefined}}
 */
function normalized(first, second, third) {
    let options = {};
    if (typeof first === 'string' || first instanceof URL) options.uri = String(first);
    else if (first !== null && typeof first === 'object') options = { ...first };
    let callback = third;
    if (typeof second === 'function') callback = second;
    else if (second !== null && typeof second === 'object') options = { ...options, ...second };
    if (typeof options.callback === 'function' && callback === undefined) callback = options.callback;
    return { options, callback };
}

function merged(defaults, options) {
    const result = { ...defaults, ...options };
    if (defaults.headers && options.headers) result.headers = { ...defaults.headers, ...options.headers };
    return result;
}

/** The address with base, query string and credentials put together. */
function addressOf(options) {
    let text = options.uri ?? options.url;
    if (text !== null && typeof text === 'object') text = text.href ?? String(text);
    if (typeof text !== 'string' || text === '') throw new Error('options.uri is a required argument');
    if (options.baseUrl) text = `${options.baseUrl.replace(/\/$/, '')}/${text.replace(/^\//, '')}`;
    let url;
    try {
        url = new URL(text);
    } catch {
        throw new Error(`Invalid URI "${text}"`);
    }
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error(`Invalid protocol: ${url.protocol}`);
    if (options.qs !== undefined && options.qs !== null) {
        const present = querystring.parse(url.search.slice(1));
        url.search = formText({ ...present, ...options.qs });
    }
    return url;
}

/** `a=1&b[c]=2`, as `qs` writes it. */
function formText(value) {
    if (typeof value === 'string') return value;
    const parts = [];
    const add = (name, item) => {
        if (item === undefined) return;
        if (item !== null && typeof item === 'object' && !(item instanceof Date)) {
            for (const key of Object.keys(item)) add(`${name}[${key}]`, item[key]);
            return;
        }
        const text = item === null ? '' : item instanceof Date ? item.toISOString() : String(item);
        parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(text)}`);
    };
    for (const key of Object.keys(value)) add(key, value[key]);
    return parts.join('&').replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** One request, from its first address to the last redirect. */
class Request extends EventEmitter {
    constructor(options, callback) {
        super();
        this.options = options;
        this.callback = callback;
        this.method = (options.method ?? 'GET').toUpperCase();
        this.redirects = 0;
        this.isOver = false;
        this.timer = null;
        this.body = null;
        this.headers = {};
        for (const name of Object.keys(options.headers ?? {})) {
            if (options.headers[name] !== undefined) this.setHeader(name, options.headers[name]);
        }
        if (callback !== undefined) {
            this.on('error', () => {});
        }
        // As with the real one, listeners may be added before anything happens.
        setImmediate(() => this.start());
    }

    header(name) {
        return Object.keys(this.headers).find((known) => known.toLowerCase() === name.toLowerCase());
    }

    setHeader(name, value) {
        const known = this.header(name);
        if (known !== undefined) delete this.headers[known];
        this.headers[name] = value;
        return this;
    }

    setDefault(name, value) {
        if (this.header(name) === undefined) this.headers[name] = value;
    }

    start() {
        if (this.isOver) return;
        try {
            this.url = addressOf(this.options);
            this.prepare();
        } catch (error) {
            this.fail(error);
            return;
        }
        this.send();
    }

    prepare() {
        const { json, form, body, auth } = this.options;
        if (form !== undefined && form !== null) {
            this.body = formText(form);
            this.setDefault('content-type', 'application/x-www-form-urlencoded');
        } else if (json !== undefined && json !== null && json !== false) {
            const value = json === true ? body : json;
            if (value !== undefined) {
                this.body = json === true && typeof value === 'string' ? value : JSON.stringify(value);
                this.setDefault('content-type', 'application/json');
            }
        } else if (body !== undefined && body !== null) {
            if (typeof body !== 'string' && !ArrayBuffer.isView(body) && !Array.isArray(body)) {
                throw new Error('Argument error, options.body.');
            }
            this.body = Array.isArray(body) ? body.join('') : body;
        }
        if (json !== undefined && json !== null && json !== false) this.setDefault('accept', 'application/json');
        if (this.options.gzip) this.setDefault('accept-encoding', 'gzip, deflate');
        const { username, password } = this.url;
        if (auth) {
            const bearer = typeof auth.bearer === 'function' ? auth.bearer() : auth.bearer;
            const user = auth.user ?? auth.username ?? '';
            const secret = auth.pass ?? auth.password ?? '';
            const value = bearer !== undefined
                ? `Bearer ${bearer}` : `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`;
            this.setDefault('authorization', value);
        } else if (username !== '') {
            const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
            this.setDefault('authorization', `Basic ${Buffer.from(text).toString('base64')}`);
        }
        this.url.username = '';
        this.url.password = '';
        if (this.body !== null) this.setDefault('content-length', Buffer.byteLength(this.body));
        else if (['POST', 'PUT', 'PATCH'].includes(this.method)) this.setDefault('content-length', 0);
    }

    send() {
        const { timeout, strictSSL, rejectUnauthorized } = this.options;
        const module = this.url.protocol === 'https:' ? https : http;
        const verifies = rejectUnauthorized ?? strictSSL ?? true;
        let outgoing;
        try {
            outgoing = module.request(this.url, {
                method: this.method,
                headers: this.headers,
                ...(module === https ? { rejectUnauthorized: verifies } : {}),
            });
        } catch (error) {
            this.fail(error);
            return;
        }
        this.outgoing = outgoing;
        if (timeout > 0) {
            clearTimeout(this.timer);
            this.timer = setTimeout(() => {
                const error = new Error(this.response === undefined ? 'ETIMEDOUT' : 'ESOCKETTIMEDOUT');
                error.code = error.message;
                error.connect = this.response === undefined;
                this.fail(error);
                outgoing.destroy();
            }, timeout);
        }
        outgoing.on('error', (error) => this.fail(error));
        outgoing.on('response', (response) => this.answered(response));
        this.emit('request', outgoing);
        if (this.body !== null) outgoing.write(this.body);
        outgoing.end();
    }

    answered(response) {
        if (this.isOver) return;
        if (this.redirect(response)) return;
        this.response = response;
        response.request = this;
        response.toJSON = () => ({ statusCode: response.statusCode, body: response.body, headers: response.headers });
        this.emit('response', response);
        let stream = response;
        const encoding = String(response.headers['content-encoding'] ?? '').toLowerCase();
        if (this.options.gzip && this.method !== 'HEAD') {
            if (encoding === 'gzip' || encoding === 'x-gzip') stream = response.pipe(zlib.createGunzip());
            else if (encoding === 'deflate') stream = response.pipe(zlib.createInflate());
        }
        const chunks = [];
        stream.on('data', (chunk) => {
            chunks.push(chunk);
            this.emit('data', chunk);
        });
        stream.on('error', (error) => this.fail(error));
        response.on('aborted', () => {
            const error = new Error('aborted');
            error.code = 'ECONNRESET';
            this.fail(error);
        });
        stream.on('end', () => this.complete(response, Buffer.concat(chunks)));
    }

    /** Whether the response leads elsewhere: GET and HEAD by themselves, all others only when asked to. */
    redirect(response) {
        const { followRedirect = true, followAllRedirects = false, followOriginalHttpMethod = false } = this.options;
        const { location } = response.headers;
        if (response.statusCode < 300 || response.statusCode > 399 || location === undefined) return false;
        const isSafe = this.method === 'GET' || this.method === 'HEAD' || this.method === 'OPTIONS';
        const follows = typeof followRedirect === 'function' ? followRedirect(response) : followRedirect;
        if (!(followAllRedirects || (follows && isSafe))) return false;
        if (this.redirects >= (this.options.maxRedirects ?? maxRedirects)) {
            this.fail(new Error(`Exceeded maxRedirects. Probably stuck in a redirect loop ${this.url.href}`));
            response.resume();
            return true;
        }
        this.redirects += 1;
        response.resume();
        let next;
        try {
            next = new URL(location, this.url);
        } catch (error) {
            this.fail(error);
            return true;
        }
        // Credentials belong to the host that they were given for.
        const sensitive = next.host !== this.url.host ? ['authorization', 'cookie', 'host'] : ['host'];
        for (const name of sensitive) {
            const known = this.header(name);
            if (known !== undefined) delete this.headers[known];
        }
        if (!followOriginalHttpMethod && response.statusCode !== 307 && response.statusCode !== 308 && !isSafe) {
            this.method = 'GET';
            this.body = null;
            for (const name of ['content-type', 'content-length']) {
                const known = this.header(name);
                if (known !== undefined) delete this.headers[known];
            }
        }
        this.url = next;
        this.emit('redirect');
        this.send();
        return true;
    }

    complete(response, bytes) {
        if (this.isOver) return;
        this.isOver = true;
        clearTimeout(this.timer);
        const { encoding, json, jsonReviver } = this.options;
        let body = encoding === null ? bytes : bytes.toString(encoding ?? 'utf8');
        if (json && encoding !== null) {
            if (body.charCodeAt(0) === 0xfeff) body = body.slice(1);
            try {
                body = JSON.parse(body, jsonReviver);
            } catch {
                // Left as text, as the real one does.
            }
            if (body === '') body = undefined;
        }
        response.body = body;
        this.emit('end');
        this.emit('complete', response, body);
        if (this.callback !== undefined) this.callback(null, response, body);
    }

    fail(error) {
        if (this.isOver) return;
        this.isOver = true;
        clearTimeout(this.timer);
        if (this.callback !== undefined) this.callback(error);
        // Without a callback and a listener this is an error that nobody caught, as with the real one.
        this.emit('error', error);
    }

    abort() {
        if (this.isOver) return;
        this.isOver = true;
        clearTimeout(this.timer);
        if (this.outgoing !== undefined) this.outgoing.destroy();
        this.emit('abort');
    }

    pipe(target) {
        this.on('data', (chunk) => target.write(chunk));
        this.on('end', () => target.end?.());
        return target;
    }
}

/** A `request` function with options of its own. */
function withDefaults(defaults) {
    const request = (first, second, third) => {
        const { options, callback } = normalized(first, second, third);
        return new Request(merged(defaults, options), callback);
    };
    const verb = (method) => (first, second, third) => {
        const { options, callback } = normalized(first, second, third);
        return new Request({ ...merged(defaults, options), method }, callback);
    };
    for (const method of methods) request[method] = verb(method.toUpperCase());
    request.del = request.delete;
    request.defaults = (more) => withDefaults(merged(defaults, more ?? {}));
    request.jar = () => ({ setCookie() {}, getCookieString: () => '', getCookies: () => [] });
    request.cookie = (text) => text;
    request.Request = Request;
    return request;
}

module.exports = withDefaults({});
