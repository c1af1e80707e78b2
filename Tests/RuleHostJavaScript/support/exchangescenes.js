'use strict';

// Exchanges of Node's HTTP client, each with all that its rule can see of it: in which order events come, what properties say, which
// errors there are. A scene is the body of a function with `base` (an address of its own), `http`, `https`, `log`, `watch` and `done`.

const zlib = require('node:zlib');

/** What rules have around a scene. */
const prologue = `
    const http = require('http');
    const https = require('https');
    const lines = [];
    const log = (...values) => lines.push(values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '));
    const told = (error) => error === undefined || error === null ? '' : [error.name, error.message, error.code, error.errno, error.syscall, error.address, error.port];
    const silent = new Set(['data', 'newListener', 'removeListener', 'pause', 'resume', 'readable', 'prefinish', 'agentRemove',
        // A light socket emits these for those who listen.
        'connect', 'secureConnect', 'ready']);
    const follow = (name, emitter, describe) => {
        const { emit } = emitter;
        emitter.emit = function (event, ...values) {
            if (!silent.has(event)) log(name, event, values[0] instanceof Error ? told(values[0]) : '', describe(emitter));
            return emit.call(this, event, ...values);
        };
        return emitter;
    };
    const ofRequest = (request) => [request.destroyed, request.aborted, request.finished, request.writableEnded, request.writableFinished,
        request.headersSent, request.socket === null, request.res === null, request.reusedSocket, request.shouldKeepAlive, request.closed];
    const ofResponse = (response) => [response.complete, response.aborted, response.destroyed, response.readableEnded, response.statusCode,
        response.socket === null, response.readableFlowing];
    const ofSocket = (socket) => [socket.connecting, socket.destroyed, socket.encrypted === true, socket.timeout === undefined ? 0 : socket.timeout];
    const watch = (request) => {
        follow('request', request, ofRequest);
        request.once('socket', (socket) => { if (socket.emit === Object.getPrototypeOf(socket).emit) follow('socket', socket, ofSocket); });
        request.prependListener('response', (response) => follow('response', response, ofResponse));
        return request;
    };
    const text = (response, then) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (part) => { body += part; });
        response.on('end', () => { log('body', body.length, body.slice(0, 60)); then?.(); });
    };
    /** Ends the scene when what is to come after its end has come. */
    const settle = () => { let left = 8; const next = () => { left -= 1; if (left === 0) done(); else setImmediate(next); }; setImmediate(next); };
`;

/** The answer of the worker. */
function answer({ url, body }) {
    const name = new URL(url).pathname.split('/').pop();
    switch (name) {
    case 'gzip': return { headers: [['content-encoding', 'gzip'], ['content-type', 'text/plain']], body: zlib.gzipSync('unpacked') };
    case 'none': return { status: 204, reason: 'No Content', headers: [['x-a', '1']] };
    case 'unchanged': return { status: 304, reason: 'Not Modified', headers: [['etag', '"a"'], ['content-length', '7']] };
    case 'many': return { headers: Array.from({ length: 100 }, (_, index) => [`x-header-${index}`, `${index}`.repeat(20)]), body: 'many' };
    case 'huge': return { headers: [['x-long', 'a'.repeat(20_000)]], body: 'huge' };
    case 'repeated': return {
        headers: [['Set-Cookie', 'a=1'], ['set-cookie', 'b=2'], ['X-Twice', '1'], ['x-twice', '2'], ['Content-Type', 'text/plain'], ['content-type', 'other']],
        body: 'repeated',
    };
    case 'odd': return { status: 299, reason: 'Très bien', headers: [['x-name', 'Zoë €'], ['x-space', '  padded  '], ['x-empty', ''], ['x-tab', 'a\tb']], body: 'odd' };
    case 'bad': return { headers: [['x name', 'a']], body: 'bad' };
    case 'split': return { headers: [['x-a', 'b\r\nx-injected: c']], body: 'split' };
    case 'framed': return { headers: [['transfer-encoding', 'chunked'], ['content-length', '99'], ['connection', 'close'], ['keep-alive', 'timeout=1']], body: 'framed' };
    case 'large': return { headers: [], body: 'b'.repeat(300_000) };
    case 'empty': return { headers: [], body: '' };
    case 'refused': return { code: 'ECONNREFUSED', syscall: 'connect', address: '192.0.2.1', port: 443 };
    case 'unknown': return { code: 'ENOTFOUND', syscall: 'getaddrinfo' };
    case 'reset': return { code: 'ECONNRESET', syscall: 'read' };
    case 'redirect': return { status: 302, reason: 'Found', headers: [['location', '/json']], body: 'moved' };
    case 'failing': return { status: 500, reason: 'Internal Server Error', body: '{"error":"x"}' };
    case 'held': return null;
    case 'late': return new Promise((resolve) => { setTimeout(resolve, 40, { body: '"late"' }); });
    default: return { body: JSON.stringify({ echo: body, name }) };
    }
}

const plain = (name, method = 'GET') => `
    watch(https.request(base + '/${name}', { method: '${method}' }, (response) => {
        log(response.statusCode, response.statusMessage, response.httpVersion, response.headers, response.rawHeaders, response.headersDistinct ?? 0);
        text(response, settle);
    }).on('error', settle)).end();`;

/** @type {{[name: string]: string}} */
const scenes = {
    'GET': plain('json'),
    'HEAD': plain('json', 'HEAD'),
    'DELETE without a body': plain('empty', 'DELETE'),
    'no content': plain('none'),
    'not modified': plain('unchanged'),
    'many headers': plain('many'),
    'headers larger than a client takes': plain('huge'),
    'repeated headers': plain('repeated'),
    'headers that are not plain': plain('odd'),
    'a header that is not one': plain('bad'),
    'a header with a line break': plain('split'),
    'headers of the connection': plain('framed'),
    'a large body': plain('large'),
    'an empty body': plain('empty'),
    'a server error': plain('failing'),
    'refused': plain('refused'),
    'unknown host': plain('unknown'),
    'reset': plain('reset'),
    'http, with a port': `watch(http.get(base.replace('https', 'http') + ':8080/json?a=1', (response) => {
        log(response.headers); text(response, settle);
    })).on('error', settle);`,
    'GET with a body': 'watch(https.request(base + "/json", (response) => text(response, settle))).end("unannounced");',
    'POST of JSON': `const body = JSON.stringify({ a: 'ä€' });
        const request = watch(https.request(base + '/json', { method: 'POST', headers: {
            'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), 'X-Several': ['1', '2'],
        } }, (response) => text(response, settle)));
        request.write(body);
        request.end();
        log(request.getHeaders(), request.getHeader('content-type'), request.hasHeader('x-several'), request.getHeaderNames(), request.path,
            request.method, request.host, request.protocol, request._header.split('\\r\\n').sort());`,
    'chunks': `const request = watch(https.request(base + '/json', { method: 'PUT' }, (response) => text(response, settle)));
        request.write('one ', () => log('written one'));
        setImmediate(() => {
            log(request.write(Buffer.from('two ')), request.writableLength);
            setImmediate(() => request.end('three', () => log('ended')));
        });`,
    'an end that comes after the socket': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        request.write('{"a":', () => { request.end('1}', () => log('ended', request.writableCorked)); });`,
    'bytes in several encodings': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        request.write('4142', 'hex'); request.write('Qw==', 'base64'); request.write(new Uint8Array([68])); request.end('\\u00e9', 'latin1');`,
    'a stream that is piped in': `const { Readable } = require('stream');
        Readable.from(['a', 'b', 'c'.repeat(40000)]).pipe(watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle))));`,
    'a large body that is written': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        log(request.write('x'.repeat(200000)));
        request.once('drain', () => { log('drained'); request.end(); });`,
    'gzip': `watch(https.get(base + '/gzip', (response) => {
        const out = response.pipe(require('zlib').createGunzip());
        let body = ''; out.on('data', (part) => { body += part; }).on('end', () => { log(body); settle(); });
    }));`,
    'a response that is piped': `const { PassThrough } = require('stream');
        watch(https.get(base + '/large', (response) => {
            let length = 0; response.pipe(new PassThrough()).on('data', (part) => { length += part.length; }).on('end', () => { log(length); settle(); });
        }));`,
    'a response that is iterated': `watch(https.get(base + '/large', async (response) => {
        let length = 0; for await (const part of response) length += part.length; log(length); settle();
    }));`,
    'an iteration that is left': `watch(https.get(base + '/large', async (response) => {
        for await (const part of response) { log(part.length); break; } settle();
    })).on('error', () => {});`,
    'a response that is read': `watch(https.get(base + '/json', (response) => {
        response.on('readable', () => { let part; while ((part = response.read()) !== null) log(String(part)); }).on('end', settle);
    }));`,
    'a response that is paused': `watch(https.get(base + '/json', (response) => {
        response.on('data', (part) => { log(String(part)); response.pause(); setTimeout(() => response.resume(), 5); }).on('end', settle);
    }));`,
    'a response that nobody listens for': 'follow("request", https.get(base + "/json"), ofRequest).on("close", settle);',
    'a response that nobody reads': 'watch(https.get(base + "/json", (response) => { settle(); }));',
    'a body that is set back': `watch(https.get(base + '/json', (response) => {
        response.once('data', (part) => { response.unshift(part); response.on('data', (again) => log(String(again))); }).on('end', settle);
    }));`,
    'the option timeout, late': 'watch(https.get(base + "/held", { timeout: 15 }).on("timeout", function () { this.destroy(); }).on("error", settle));',
    'the option timeout, in time': 'watch(https.get(base + "/json", { timeout: 5000 }, (response) => text(response, settle)));',
    'setTimeout, late': `const request = watch(https.get(base + '/held')).on('error', settle);
        request.setTimeout(15, () => { log('too late'); request.abort(); });`,
    'setTimeout, in time': 'watch(https.get(base + "/json", (response) => text(response, settle))).setTimeout(3000, () => log("too late"));',
    'setTimeout that is cleared': `const request = watch(https.get(base + '/late', (response) => text(response, settle)));
        request.setTimeout(2000, () => log('too late')); setImmediate(() => request.setTimeout(0));`,
    'setTimeout of a response': `watch(https.get(base + '/large', (response) => {
        response.setTimeout(10, () => { log('too slow'); response.destroy(); }); setTimeout(settle, 50);
    })).on('error', () => {});`,
    'destroy at once': 'const request = watch(https.get(base + "/json")).on("error", () => {}).on("close", settle); request.destroy();',
    'destroy with an error': 'watch(https.get(base + "/held")).on("error", () => {}).on("close", settle).on("socket", function () { this.destroy(new Error("mine")); });',
    'destroy while waiting': 'const request = watch(https.get(base + "/held")).on("error", () => {}).on("close", settle); setTimeout(() => request.destroy(), 10);',
    'abort before the answer': 'const request = watch(https.get(base + "/held")).on("error", () => {}).on("close", settle); setTimeout(() => request.abort(), 10);',
    'abort at once': 'const request = watch(https.get(base + "/held")).on("error", () => {}).on("close", settle); request.abort();',
    'abort in the answer': `const request = watch(https.get(base + '/large', (response) => { response.resume(); request.abort(); }))
        .on('error', () => {}).on('close', settle);`,
    'abort in the body': `const request = watch(https.get(base + '/large', (response) => {
        response.on('error', () => {}).on('data', () => request.abort());
    })).on('error', () => {}).on('close', settle);`,
    'abort after the end': `const request = watch(https.get(base + '/json', (response) => {
        response.resume().on('end', () => { request.abort(); settle(); });
    }));`,
    'destroy of the response': `watch(https.get(base + '/large', (response) => {
        response.on('error', () => {}).on('close', settle); response.destroy(new Error('enough'));
    })).on('error', () => {});`,
    'abort in a small answer': `const request = watch(https.get(base + '/json', (response) => { response.resume(); request.abort(); }))
        .on('error', () => {}).on('close', settle);`,
    'destroy of a small response': `watch(https.get(base + '/json', (response) => {
        response.on('error', () => {}).on('close', settle); response.destroy(new Error('enough'));
    })).on('error', () => {});`,
    'the socket is destroyed in a small answer': `watch(https.get(base + '/json', (response) => {
        response.on('error', () => {}).on('aborted', () => log('aborted')); response.socket.destroy(); setTimeout(settle, 20);
    })).on('error', () => {});`,
    'a signal': `const control = new AbortController();
        watch(https.get(base + '/held', { signal: control.signal })).on('error', () => {}).on('close', settle); setTimeout(() => control.abort(), 10);`,
    'no agent': 'watch(https.get(base + "/json", { agent: false }, (response) => { log(response.headers); text(response, settle); }));',
    'an agent that keeps sockets': `const agent = new https.Agent({ keepAlive: true });
        const get = (then) => watch(https.get(base + '/json', { agent }, (response) => text(response, () => setImmediate(then))));
        const count = () => log(Object.values(agent.sockets).flat().length, Object.values(agent.freeSockets).flat().length, agent.totalSocketCount);
        get(() => { count(); get(() => { count(); agent.destroy(); settle(); }); }); count();`,
    'an agent with one socket': `const agent = new https.Agent({ maxSockets: 1 });
        let left = 3;
        for (let index = 0; index < 3; index += 1) watch(https.get(base + '/json', { agent }, (response) => text(response, () => { left -= 1; if (left === 0) settle(); })));`,
    'an agent with one socket that is kept': `const agent = new https.Agent({ maxSockets: 1, keepAlive: true });
        let left = 3;
        for (let index = 0; index < 3; index += 1) watch(https.get(base + '/json', { agent }, (response) => text(response, () => { left -= 1; if (left === 0) settle(); })));`,
    'an agent of a class of its own': `class Own extends https.Agent { addRequest(...parameters) { log('added'); return super.addRequest(...parameters); } }
        watch(https.get(base + '/json', { agent: new Own() }, (response) => text(response, settle)));`,
    'an agent that makes its own connections': `class Own extends https.Agent { createConnection(options, then) {
            log('connects', options.host, options.port); return require('tls').connect(options);
        } }
        watch(https.get(base + '/json', { agent: new Own() }, (response) => text(response, settle)));`,
    'a connection of the request\'s own': `watch(https.get(base + '/json', { createConnection: ({ host, port }) => require('tls').connect({ host, port }) },
        (response) => text(response, settle))).on('error', settle);`,
    'the socket': `const request = watch(https.get(base + '/json', (response) => {
            const { socket } = response;
            log(socket === request.socket, socket.writable, socket.readable, socket.destroyed, socket instanceof require('net').Socket,
                socket.encrypted, socket.authorized, socket.servername, socket.remotePort, socket.readyState, socket.pending,
                typeof socket.getPeerCertificate(), socket.bytesWritten === undefined);
            text(response, settle);
        }));
        request.on('socket', (socket) => {
            log(socket.setNoDelay() === socket, socket.setKeepAlive() === socket, socket.ref() === socket, socket.unref() === socket);
            socket.on('lookup', () => log('lookup')).on('connect', () => log('connect')).once('secureConnect', () => log('secure'));
        });`,
    'the state of the socket\'s streams': `const request = watch(https.get(base + '/json', (response) => {
            log(response.socket.readableLength, response.socket.writableEnded, response.socket.writableFinished, response.socket.isPaused());
            text(response, settle);
        }));`,
    'the socket\'s streams, before': `const request = watch(https.get(base + '/json', (response) => text(response, settle)));
        request.on('socket', (socket) => log(socket._writableState.length, socket.readableFlowing));`,
    'bytes of the socket': `const request = watch(https.get(base + '/json', (response) => text(response, settle)));
        request.on('socket', (socket) => { socket.on('data', (bytes) => log(String(bytes).split('\\r\\n'))); });`,
    'the socket is destroyed': `watch(https.get(base + '/held')).on('socket', (socket) => setImmediate(() => socket.destroy(new Error('mine'))))
        .on('error', () => {}).on('close', settle);`,
    'the socket is destroyed in the answer': `watch(https.get(base + '/large', (response) => {
        response.on('error', () => {}).on('aborted', () => log('aborted')).on('close', settle); response.socket.destroy();
    })).on('error', () => {});`,
    'the socket is ended': 'watch(https.get(base + "/late", (response) => text(response, settle))).on("socket", (socket) => setImmediate(() => socket.end())).on("error", settle);',
    'the end of the socket is awaited': `const { finished } = require('stream');
        watch(https.get(base + '/json', { agent: false }, (response) => { finished(response.socket, (error) => { log('socket over', told(error)); settle(); }); response.resume(); }));`,
    'the end of the response is awaited': `const { finished } = require('stream');
        watch(https.get(base + '/json', (response) => { finished(response, (error) => { log('response over', told(error)); settle(); }); response.resume(); }));`,
    'a pipeline': `const { pipeline, PassThrough } = require('stream');
        watch(https.get(base + '/large', (response) => { const to = new PassThrough(); to.resume(); pipeline(response, to, (error) => { log('over', told(error)); settle(); }); }));`,
    'an answer before the body is written': `const request = watch(https.request(base + '/json', { method: 'POST', headers: { 'content-length': 4 } }, (response) => text(response, settle)));
        request.write('ab'); setTimeout(() => request.end('cd'), 15);`,
    'more than was announced': `const request = watch(https.request(base + '/json', { method: 'POST', headers: { 'content-length': 2 } }, (response) => text(response, settle)));
        request.on('error', settle); request.end('abcd');`,
    'expect': `const request = watch(https.request(base + '/json', { method: 'POST', headers: { expect: '100-continue', 'content-length': 2 } }, (response) => text(response, settle)));
        request.on('continue', () => request.end('ab'));`,
    'upgrade': 'watch(https.get(base + "/json", { headers: { connection: "Upgrade", upgrade: "websocket" } })).on("error", settle);',
    'CONNECT': 'watch(http.request({ method: "CONNECT", host: "proxy.example", path: "a:443" })).on("error", settle).end();',
    'TRACE': 'watch(https.request(base + "/json", { method: "TRACE" })).on("error", settle).end();',
    'a certificate of the client': 'watch(https.get(base + "/json", { cert: "c", key: "k" })).on("error", settle);',
    'a local socket': 'watch(http.get({ socketPath: "/tmp/socket", path: "/json" })).on("error", settle);',
    'credentials': 'watch(https.get(base.replace("://", "://user:pass@") + "/json", (response) => text(response, settle)));',
    'a path that cannot be': 'log("begins"); try { https.get(base + "/json", { path: "/a b" }); } catch (error) { log(told(error)); } settle();',
    'a header that cannot be': 'log("begins"); try { https.get(base + "/json", { headers: { "x-a": "a\\r\\nb" } }); } catch (error) { log(told(error)); } settle();',
    'headers as a list': 'watch(https.get(base + "/json", { headers: ["X-A", "1", "x-a", "2"] }, (response) => text(response, settle)));',
    'headers once they are sent': `const request = watch(https.get(base + '/json', (response) => text(response, settle)));
        try { request.setHeader('x-a', '1'); } catch (error) { log(told(error)); }`,
    'writing once it is ended': `const request = watch(https.get(base + '/json', (response) => text(response, settle))).on('error', () => {});
        request.write('more'); `,
    'flushed headers': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        request.flushHeaders(); setTimeout(() => request.end('body'), 5);`,
    'trailers': `const request = watch(https.request(base + '/json', { method: 'POST', headers: { trailer: 'x-a' } }, (response) => text(response, settle)));
        request.write('a'); request.addTrailers({ 'x-a': 'b' }); request.end();`,
    'a limit of headers': 'watch(https.get(base + "/repeated", (response) => { log(response.rawHeaders); text(response, settle); })).maxHeadersCount = 2;',
    'a small limit of their size': 'watch(https.get(base + "/many", { maxHeaderSize: 300 }, (response) => text(response, settle))).on("error", settle);',
    'joined headers': 'watch(https.get(base + "/repeated", { joinDuplicateHeaders: true }, (response) => { log(response.headers); text(response, settle); }));',
    'async context': `const { AsyncLocalStorage } = require('async_hooks');
        const storage = new AsyncLocalStorage();
        storage.run('inside', () => watch(https.get(base + '/json', (response) => {
            log(storage.getStore());
            response.on('data', () => log(storage.getStore())).on('end', () => { log(storage.getStore()); settle(); });
        })).on('close', () => log(storage.getStore())));`,
    'promises of events': `(async () => {
        const { once } = require('events');
        const request = watch(https.get(base + '/json'));
        const [response] = await once(request, 'response');
        text(response, settle);
    })();`,
    'two at once, and one after': `let left = 2;
        const get = () => watch(https.get(base + '/json', (response) => text(response, () => { left -= 1; if (left === 0) settle(); })));
        get(); get();`,
    'the request of a response': 'const request = watch(https.get(base + "/json", (response) => { log(response.req === request, request.res === response, response.url, response.method); text(response, settle); }));',
};

/** A scene whose requests go over HTTP. */
const overHTTP = (body) => body.replace(/https\.(get|request|Agent|globalAgent)/g, 'http.$1');

module.exports = { scenes, prologue, answer, overHTTP };
