'use strict';

// More exchanges (see exchangescenes.js): sockets and agents that rules look at, time-outs, streams of other modules, rare options.

/** Asks for JSON, and ends the scene with its end. */
const get = (options, onRequest = '') => `const request = watch(https.get(base + '/json', ${options}, (response) => text(response, settle)));
    request.on('error', settle); ${onRequest}`;

/** @type {{[name: string]: string}} */
const socketScenes = {
    'setTimeout of the socket, late': `const request = watch(https.get(base + '/held')).on('error', settle);
        request.on('socket', (socket) => { log(socket.setTimeout(15, () => { log('too late'); request.destroy(new Error('mine')); }) === socket); });`,
    'setTimeout of the socket, in time': get('{}', "request.on('socket', (socket) => socket.setTimeout(3000, () => log('too late')));"),
    'the time-out of an agent': `watch(https.get(base + '/held', { agent: new https.Agent({ timeout: 15 }) }))
        .on('timeout', function () { log('too late'); this.destroy(); }).on('error', settle);`,
    'a time-out that cannot be': 'log("begins"); try { https.get(base + "/json", { timeout: "soon" }); } catch (error) { log(told(error)); } settle();',
    'two time-outs': `const request = watch(https.get(base + '/held', { timeout: 2000 })).on('error', settle);
        request.setTimeout(15); request.on('timeout', () => request.destroy());`,
    'a time-out that nobody acts on': `const request = watch(https.get(base + '/late', { timeout: 10 }, (response) => text(response, settle)));
        request.on('timeout', () => log('late'));`,
    'addresses of the socket': `watch(https.get(base + '/json', (response) => {
        const { socket } = response;
        log(socket.remoteAddress, socket.remoteFamily, socket.remotePort, socket.localAddress, socket.localPort, socket.address(),
            socket.getPeerCertificate(), socket.getProtocol(), socket.getCipher().name, socket.alpnProtocol, socket.authorizationError,
            socket.isSessionReused(), socket.bufferSize, socket.connecting);
        text(response, settle);
    }));`,
    'the close of the socket, without an agent': `const request = watch(https.get(base + '/json', { agent: false }, (response) => text(response)));
        request.on('socket', (socket) => socket.on('close', (failed) => { log('closed', failed === true); settle(); }));`,
    'the close of the socket of a request that is destroyed': `const request = watch(https.get(base + '/held')).on('error', () => {});
        request.on('socket', (socket) => { socket.on('close', (failed) => { log('closed', failed === true); settle(); }); setImmediate(() => request.destroy()); });`,
    'other names of the socket': get('{}', `log(request.connection === request.socket);
        request.on('response', (response) => log(response.connection === request.connection, request.connection === request.socket));`),
    'what is set on the socket': get('{}', `request.setNoDelay(true); request.setSocketKeepAlive(true, 1000);
        request.on('socket', (socket) => { socket.own = { a: 1 }; log(Object.keys(socket).includes('own')); });
        request.on('response', ({ socket }) => log(socket.own));`),
    'a listener of the socket that is taken off': get('{}', `request.on('socket', (socket) => {
        const listener = () => log('closed');
        socket.on('close', listener).once('timeout', listener).prependListener('end', listener);
        const has = () => log(...['close', 'timeout', 'end'].map((event) => socket.listeners(event).includes(listener)));
        has();
        socket.off('close', listener).removeListener('timeout', listener).removeListener('end', listener);
        has();
    });`),
    'many listeners of the socket': get('{}', `request.on('socket', (socket) => {
        socket.setMaxListeners(3); log(socket.getMaxListeners(), socket.eventNames().filter((name) => typeof name === 'string').length > 0);
    });`),
    'a socket that is paused': `const request = watch(https.get(base + '/large', (response) => text(response, settle)));
        request.on('socket', (socket) => { log(socket.pause() === socket, socket.resume() === socket); });`,
    'a socket that is written to': `const request = watch(https.get(base + '/json', (response) => text(response, settle)));
        request.on('socket', (socket) => log(socket.write('', () => log('written'))));`,
    'a socket that is corked': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        request.on('socket', (socket) => { socket.cork(); request.write('a'); request.end('b'); log(socket.writableCorked > 0); socket.uncork(); });`,
    'a request that is corked': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        request.cork(); request.write('a'); request.write('b'); request.uncork(); request.end('c');`,
    'a socket that is piped': `const { PassThrough } = require('stream');
        const request = watch(https.get(base + '/json', (response) => text(response, settle)));
        request.on('socket', (socket) => { const copy = socket.pipe(new PassThrough()); copy.on('data', (part) => log(String(part).length > 10)); });`,
    'a socket that is iterated': `const request = watch(https.get(base + '/json', { agent: false }, (response) => text(response, settle)));
        request.on('socket', async (socket) => { try { for await (const part of socket) log(part.length > 10); } catch (error) { log(told(error)); } });`,
    'resetAndDestroy': `const request = watch(https.get(base + '/held')).on('error', settle);
        request.on('socket', (socket) => setImmediate(() => socket.resetAndDestroy()));`,
    'an agent of the rule\'s own': `const agent = new https.Agent();
        const count = () => log(Object.values(agent.sockets).flat().length, Object.values(agent.freeSockets).flat().length, agent.totalSocketCount,
            Object.keys(agent.sockets));
        watch(https.get(base + '/json', { agent }, (response) => { count(); text(response, settle); })); count();`,
    'an agent of the rule\'s own, as it lets sockets go': `const agent = new https.Agent({ keepAlive: true });
        agent.on('free', (socket, options) => { log('free', options.host, options.port, socket.destroyed); });
        watch(https.get(base + '/json', { agent }, (response) => text(response, settle)));`,
    'an agent that is destroyed': `const agent = new https.Agent();
        watch(https.get(base + '/held', { agent })).on('error', settle); setTimeout(() => agent.destroy(), 10);`,
    'an agent that keeps sockets and is destroyed': `const agent = new https.Agent({ keepAlive: true });
        watch(https.get(base + '/held', { agent })).on('error', settle); setTimeout(() => agent.destroy(), 10);`,
    'a socket that serves two requests': `const agent = new https.Agent({ keepAlive: true });
        const post = (body, then) => { const request = watch(https.request(base + '/json', { agent, method: 'POST' }, (response) => text(response, () => setImmediate(then))));
            request.on('socket', (socket) => { socket.served = (socket.served || 0) + 1; log('serves', socket.served); }); request.end(body); };
        post('one', () => post('two', () => { agent.destroy(); settle(); }));`,
    'an agent with few sockets in all': `const agent = new https.Agent({ maxTotalSockets: 1 });
        let left = 3; const ended = () => { left -= 1; if (left === 0) settle(); };
        for (const path of ['/json', '/empty', '/none']) watch(https.get(base + path, { agent }, (response) => text(response, ended)));
        log(Object.values(agent.requests).flat().length);`,
    'an agent of http for https': 'log("begins"); try { https.get(base + "/json", { agent: new http.Agent() }); } catch (error) { log(told(error)); } settle();',
    'an agent that is none': 'log("begins"); try { https.get(base + "/json", { agent: 5 }); } catch (error) { log(told(error)); } settle();',
    'a request that is constructed': `const { hostname } = new URL(base);
        const request = watch(new http.ClientRequest({ host: hostname, path: '/json', headers: { a: 'b' } }, (response) => text(response, settle)));
        request.end();`,
    'options of a request': get('{ setHost: false, localAddress: "127.0.0.1", family: 4, servername: "other.example", rejectUnauthorized: true, defaultPort: 443 }',
        'log(request.host, request.path, request.method, request.protocol, request.maxHeadersCount, request.getHeaders());'),
    'a lenient parser': get('{ insecureHTTPParser: true }'),
    'a signal that was aborted': `const control = new AbortController(); control.abort();
        watch(https.get(base + '/json', { signal: control.signal })).on('error', () => {}).on('close', settle);`,
    'a signal of a time': `const request = watch(https.get(base + '/held', { signal: AbortSignal.timeout(15) })).on('error', () => {}).on('close', settle);`,
    'a signal after the end': `const control = new AbortController();
        watch(https.get(base + '/json', { signal: control.signal }, (response) => text(response, () => { control.abort(); settle(); }))).on('error', (error) => log(told(error)));`,
    'finished of a request': `const { finished } = require('stream');
        const request = watch(https.get(base + '/json', (response) => text(response, settle)));
        finished(request, (error) => log('request over', told(error)));`,
    'finished of a request that is destroyed': `const { finished } = require('stream');
        const request = watch(https.get(base + '/held')).on('error', () => {});
        finished(request, (error) => { log('request over', told(error)); settle(); }); setImmediate(() => request.destroy());`,
    'a pipeline to a request': `const { pipeline, Readable } = require('stream');
        const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        pipeline(Readable.from(['a', 'b'.repeat(70000), 'c']), request, (error) => log('piped', told(error)));`,
    'a pipeline through gzip': `const { pipeline, Readable } = require('stream');
        const request = watch(https.request(base + '/empty', { method: 'POST', headers: { 'content-encoding': 'gzip' } }, (response) => text(response, settle)));
        pipeline(Readable.from(['a'.repeat(1000)]), require('zlib').createGzip(), request, (error) => log('piped', told(error)));`,
    'a pipeline of promises': `(async () => { const { pipeline } = require('stream/promises');
        const request = watch(https.get(base + '/gzip'));
        const [response] = await require('events').once(request, 'response');
        let body = '';
        await pipeline(response, require('zlib').createGunzip(), async (source) => { for await (const part of source) body += part; });
        log(body); settle(); })();`,
    'once, for an error': `(async () => { try { await require('events').once(watch(https.get(base + '/refused')), 'response'); } catch (error) { log(told(error)); } settle(); })();`,
    'large bodies both ways': `const request = watch(https.request(base + '/large', { method: 'POST' }, (response) => text(response, settle)));
        const part = Buffer.alloc(60000, 'a'); let left = 10;
        const write = () => { while (left > 0) { left -= 1; if (!request.write(part)) { log('waits'); request.once('drain', write); return; } } request.end(); };
        write();`,
    'many writes': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        for (let index = 0; index < 200; index += 1) request.write(String(index)); request.end(() => log('ended'));`,
    'writes over time': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        let left = 5; const write = () => { left -= 1; request.write('part ' + left); if (left > 0) setTimeout(write, 2); else request.end(); }; write();`,
    'a write of nothing': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        log(request.write('')); try { request.write(null); } catch (error) { log(told(error)); } try { request.write(5); } catch (error) { log(told(error)); } request.end();`,
    'a body of a GET that is announced': `const request = watch(https.request(base + '/json', { headers: { 'content-length': 3 } }, (response) => text(response, settle))); request.end('abc');`,
    'an empty POST': `watch(https.request(base + '/json', { method: 'POST', headers: { 'content-length': 0 } }, (response) => text(response, settle))).end();`,
    'a response that is listened to later': `watch(https.get(base + '/large', (response) => { setTimeout(() => text(response, settle), 15); }));`,
    'a response with two listeners': `watch(https.get(base + '/json', (response) => {
        const first = (part) => log('first', part.length); response.on('data', first).on('data', (part) => { log('second', part.length); response.off('data', first); });
        response.on('end', settle);
    }));`,
    'a response in other encodings': `watch(https.get(base + '/json', (response) => {
        response.setEncoding('base64'); response.on('data', (part) => log(part)).on('end', settle);
    }));`,
    'a response as a stream of the web': `watch(https.get(base + '/large', async (response) => {
        let length = 0; for await (const part of require('stream').Readable.toWeb(response)) length += part.length; log(length); settle();
    }));`,
    'a response that goes to two': `const { PassThrough } = require('stream');
        watch(https.get(base + '/json', (response) => {
            let left = 2; const end = () => { left -= 1; if (left === 0) settle(); };
            for (const name of ['a', 'b']) response.pipe(new PassThrough()).on('data', (part) => log(name, String(part))).on('end', end);
        }));`,
    'versions and trailers': `watch(https.get(base + '/json', (response) => {
        log(response.httpVersion, response.httpVersionMajor, response.httpVersionMinor, response.trailers, response.rawTrailers, response.complete);
        text(response, () => { log(response.trailers, response.complete); settle(); });
    }));`,
    'no listener of the response': 'follow("request", https.get(base + "/large"), ofRequest).on("close", settle);',
    'an upgrade that is listened for': `const request = watch(https.get(base + '/json', { headers: { connection: 'Upgrade', upgrade: 'x' } }));
        request.on('upgrade', () => log('upgraded')).on('error', settle).on('response', (response) => text(response, settle));`,
    'expect, without a listener': `const request = watch(https.request(base + '/json', { method: 'POST', headers: { expect: '100-continue' } }, (response) => text(response, settle)));
        request.end('body');`,
    'headers of any case': get("{ headers: { 'X-UPPER': 'A', 'x-lower': 'b', Accept: '*/*', connection: 'close' } }",
        'log(request.getHeaderNames(), request.getRawHeaderNames?.() ?? 0, request.getHeader("x-upper"), request.shouldKeepAlive);'),
    'a header that is taken off': `const request = watch(https.request(base + '/json', { method: 'POST' }, (response) => text(response, settle)));
        request.setHeader('x-a', 'b'); request.removeHeader('x-a'); request.removeHeader('host'); request.setHeader('x-list', ['a', 'b']); request.end('c');`,
    'context of events': `const { AsyncLocalStorage, AsyncResource, executionAsyncId } = require('async_hooks');
        const storage = new AsyncLocalStorage();
        storage.run('inside', () => {
            const request = watch(https.request(base + '/late', { method: 'POST' }, (response) => { log('response', storage.getStore()); text(response, settle); }));
            for (const event of ['socket', 'finish', 'close']) request.on(event, () => log(event, storage.getStore(), executionAsyncId() > 0));
            request.setTimeout(5, () => log('timeout', storage.getStore()));
            request.end('a', () => log('ended', storage.getStore()));
        });`,
    'context of two requests': `const { AsyncLocalStorage } = require('async_hooks');
        const storage = new AsyncLocalStorage(); const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
        let left = 2;
        for (const name of ['first', 'second']) storage.run(name, () => watch(https.get(base + '/json', { agent }, (response) => {
            log(name, storage.getStore()); text(response, () => { log(name, storage.getStore()); left -= 1; if (left === 0) { agent.destroy(); settle(); } });
        })));`,
};

module.exports = { socketScenes };
