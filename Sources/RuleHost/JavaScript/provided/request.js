'use strict';

// `request`, which a third of all public rules use and which is deprecated: its callback interface over `http` and `https`.

const http = require('node:http');
const https = require('node:https');
const zlib = require('node:zlib');
const { EventEmitter } = require('node:events');
const { randomBytes } = require('node:crypto');
const querystring = require('node:querystring');
const { parse: parseURL } = require('node:url');

const methods = ['get', 'head', 'options', 'post', 'put', 'patch', 'delete'];
const maxRedirects = 10;
/** What is left to the package; silently left out it would be a request that the rule did not mean. */
const unsupported = ['oauth', 'aws', 'hawk', 'httpSignature', 'multipart', 'har', 'proxy'];

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
        const query = { ...querystring.parse(url.search.slice(1)), ...options.qs };
        url.search = options.useQuerystring ? querystring.stringify(query) : formText(query);
    }
    // As the address parser of the real one has it.
    if (url.href.includes('|')) url.href = url.href.replace(/\|/g, '%7C');
    return url;
}

const escaped = (text) => text.replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);

/** `a=1&b[c]=2`, as `qs` writes it. */
function formText(value) {
    if (typeof value === 'string') return escaped(value);
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
    return escaped(parts.join('&'));
}

/**
 * A form with files.
 * @returns {{type: string, body: Buffer}}
 */
function multipart(form) {
    const boundary = `--------------------------${randomBytes(12).toString('hex')}`;
    const chunks = [];
    const add = (name, item) => {
        if (Array.isArray(item)) {
            for (const one of item) add(name, one);
            return;
        }
        const isFile = item !== null && typeof item === 'object' && 'value' in item;
        const value = isFile ? item.value : item;
        const isText = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
        if (!isText && !ArrayBuffer.isView(value)) throw new Error(`formData.${name} is neither text nor a buffer`);
        const { filename, contentType } = (isFile ? item.options : undefined) ?? {};
        const type = contentType ?? (filename || !isText ? 'application/octet-stream' : undefined);
        chunks.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"`
            + `${filename ? `; filename="${filename}"` : ''}${type ? `\r\nContent-Type: ${type}` : ''}\r\n\r\n`));
        chunks.push(isText ? Buffer.from(String(value)) : Buffer.from(value), Buffer.from('\r\n'));
    };
    for (const name of Object.keys(form)) add(name, form[name]);
    chunks.push(Buffer.from(`--${boundary}--\r\n`));
    return { type: `multipart/form-data; boundary=${boundary}`, body: Buffer.concat(chunks) };
}

/** Cookies by host: what rules need of a jar. */
class Jar {
    constructor() {
        this.hosts = new Map();
    }

    ofHost(address) {
        const { hostname } = new URL(address);
        if (!this.hosts.has(hostname)) this.hosts.set(hostname, new Map());
        return this.hosts.get(hostname);
    }

    setCookie(cookie, address) {
        const [pair] = String(cookie).split(';');
        const at = pair.indexOf('=');
        if (at > 0) this.ofHost(address).set(pair.slice(0, at).trim(), pair.slice(at + 1).trim());
    }

    getCookieString(address) {
        return [...this.ofHost(address)].map(([name, value]) => `${name}=${value}`).join('; ');
    }

    getCookies(address) {
        return [...this.ofHost(address)].map(([key, value]) => ({ key, value }));
    }
}

const commonJar = new Jar();

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
        this.readable = true;
        this.writable = true;
        /** What was written or piped into it, instead of an option. */
        this.written = null;
        this.isWritten = false;
        this.isStarted = false;
        this.on('pipe', () => { this.written ??= []; });
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

    /** Its address, as the real one keeps it. */
    get uri() {
        return parseURL(this.url.href);
    }

    get href() {
        return this.url.href;
    }

    get jar() {
        const { jar } = this.options;
        return jar === true ? commonJar : jar || undefined;
    }

    form(form) {
        this.options.form = form ?? {};
        return this;
    }

    json(value) {
        this.options.json = value;
        return this;
    }

    qs(query) {
        this.options.qs = { ...this.options.qs, ...query };
        return this;
    }

    auth(user, pass, sendImmediately, bearer) {
        this.options.auth = bearer === undefined ? { user, pass } : { bearer };
        return this;
    }

    write(chunk, encoding) {
        this.written ??= [];
        this.written.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
        return true;
    }

    end(chunk) {
        if (chunk !== undefined && chunk !== null) this.write(chunk);
        this.isWritten = true;
        if (this.isStarted) this.start();
    }

    toJSON() {
        return { uri: this.uri, method: this.method, headers: this.headers };
    }

    start() {
        this.isStarted = true;
        // It goes on when all has been written.
        if (this.isOver || (this.written !== null && !this.isWritten)) return;
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
        const { json, form, formData, body, auth } = this.options;
        const missing = unsupported.find((name) => this.options[name]);
        if (missing !== undefined) {
            throw new Error(`options.${missing} needs the package request itself: npm install request, beside the rules`);
        }
        if (formData !== undefined && formData !== null) {
            const { type, body: bytes } = multipart(formData);
            this.body = bytes;
            this.setHeader('content-type', type);
        } else if (form !== undefined && form !== null) {
            this.body = formText(form);
            this.setDefault('content-type', 'application/x-www-form-urlencoded');
        } else if (json !== undefined && json !== null && json !== false) {
            const value = json === true ? body : json;
            if (value !== undefined) {
                this.body = JSON.stringify(value);
                this.setDefault('content-type', 'application/json');
            }
        } else if (body !== undefined && body !== null) {
            if (typeof body !== 'string' && !ArrayBuffer.isView(body) && !Array.isArray(body)) {
                throw new Error('Argument error, options.body.');
            }
            this.body = Array.isArray(body) ? body.join('') : body;
        } else if (this.written !== null) {
            this.body = Buffer.concat(this.written);
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
            // As with the real one, whatever the headers say.
            this.setHeader('authorization', value);
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
        const { cert, pfx } = { ...this.options.agentOptions, ...this.options };
        const module = this.url.protocol === 'https:' ? https : http;
        const verifies = rejectUnauthorized ?? strictSSL ?? true;
        const cookies = this.jar?.getCookieString(this.url.href);
        if (cookies) this.setDefault('cookie', cookies);
        let outgoing;
        try {
            outgoing = module.request(this.url, {
                method: this.method,
                headers: this.headers,
                ...(module === https ? { rejectUnauthorized: verifies, cert, pfx } : {}),
            });
        } catch (error) {
            this.fail(error);
            return;
        }
        this.outgoing = outgoing;
        if (timeout > 0) {
            clearTimeout(this.timer);
            this.timer = setTimeout(() => {
                // The worker connects: from here it is always the answer that is late.
                const error = Object.assign(new Error('ESOCKETTIMEDOUT'), { code: 'ESOCKETTIMEDOUT', connect: false });
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
        for (const cookie of response.headers['set-cookie'] ?? []) this.jar?.setCookie(cookie, this.url.href);
        if (this.redirect(response)) return;
        this.response = response;
        response.request = this;
        response.toJSON = () => ({
            statusCode: response.statusCode, body: response.body, headers: response.headers, request: this.toJSON(),
        });
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
        // Credentials belong to the host that they were given for; the cookies of a jar are looked up again.
        const sensitive = next.host !== this.url.host ? ['authorization', 'cookie', 'host'] : ['host'];
        if (this.jar !== undefined) sensitive.push('cookie');
        if (!this.options.removeRefererHeader) this.setDefault('referer', this.url.href);
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
    request.jar = () => new Jar();
    request.cookie = (text) => text;
    request.Request = Request;
    return request;
}

module.exports = withDefaults({});
