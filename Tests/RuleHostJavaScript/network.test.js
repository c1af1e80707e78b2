'use strict';

// What is special about sockets that end in this process.

const test = require('node:test');
const assert = require('node:assert');
const zlib = require('node:zlib');
const { host, header } = require('./support/worker');

const limit = { timeout: 60_000 };

/** Evaluates a rule whose body has `done(error)`. */
async function run(context, body, answer, reach) {
    const worker = await host(context, [
        `function (user, context, callback) { const done = (error) => callback(error, user, context); ${body} }`,
    ], { answer, load: { reach, limits: { quiet: 3000 } } });
    return { worker, done: await worker.evaluate({ user_id: 'a' }, {}) };
}

test('a protocol whose server speaks first is refused, not waited for', limit, async (context) => {
    const { done } = await run(context, `
        const net = require('net');
        net.connect(3306, 'db.example').on('error', (error) => {
            user.first = error.message;
            new net.Socket().connect(25, 'mail.example').on('error', (error) => { user.second = error.message; done(); });
        });`);
    assert.match(done.user.first, /only speak HTTP/);
    assert.match(done.user.second, /only speak HTTP/);
});

/** As the worker, which allows some names. */
const refuses = ({ method, url }) => (method === 'CONNECT' || url.includes('evil')
    ? { code: 'EACCES', message: `connect EACCES ${new URL(url).host}: the host is not in egress.allow` } : { status: 200, body: '{}' });
const reach = ['api.example:0', '*.wild.example:8443', '192.0.2.1:9000', 'localhost:80'];

test('a connection to a host that is not allowed is refused as it is made', limit, async (context) => {
    const { worker, done } = await run(context, `
        const net = require('net');
        const tls = require('tls');
        const sockets = [
            net.connect(443, 'evil.example'), tls.connect(443, 'evil.example'), new net.Socket().connect(25, 'EVIL.example.'),
            net.connect(444, 'api.example'), net.connect(8443, 'wild.example'), net.connect(443, 'a.wild.example'),
            net.connect(9000, '192.0.2.2'), net.connect(5432, 'localhost'),
        ];
        user.events = [];
        let open = sockets.length;
        sockets.forEach((socket, index) => {
            socket.on('connect', () => user.events.push(index + ' connected'));
            socket.on('error', (error) => { user.events.push(error.code + ' ' + error.message); });
            socket.on('close', () => { open -= 1; if (open === 0) done(); });
        });`, refuses, reach);
    assert.equal(done.user.events.length, 8);
    for (const event of done.user.events) assert.match(event, /^EACCES connect EACCES .*the host is not in egress.allow$/);
    // The worker hears of each, which it counts and logs.
    assert.deepEqual(worker.requests.map(({ method }) => method), new Array(8).fill('CONNECT'));
    assert.ok(worker.requests.some(({ url }) => url === 'http://192.0.2.2:9000/'));
});

test('a connection to where something is allowed, or to where nobody can tell, is made', limit, async (context) => {
    const { worker, done } = await run(context, `
        const net = require('net');
        const tls = require('tls');
        const sockets = [
            net.connect(443, 'api.example'), tls.connect(443, 'API.example.'), net.connect(80, 'api.example'),
            net.connect(8443, 'a.b.wild.example'), net.connect(9000, '192.0.2.1'), net.connect(80, 'localhost'),
            net.connect(1, '0x7f.1'), net.connect(1, '127.1'), net.connect(1, '::1'), net.connect(1, '010.0.0.1'), net.connect(1, 'bücher.example'),
        ];
        user.connected = 0;
        for (const socket of sockets) {
            socket.on('error', (error) => done(error));
            socket.on('connect', () => { socket.destroy(); user.connected += 1; if (user.connected === sockets.length) done(); });
        }`, refuses, reach);
    assert.equal(done.user.connected, 11);
    assert.equal(worker.requests.length, 0);
});

test('a request to a host that is not allowed is refused as the request that it is', limit, async (context) => {
    const { worker, done } = await run(context, `
        require('http').get('http://evil.example/a', { headers: { a: 'b' } }).on('error', (error) => { user.error = error.message; done(); });`,
        refuses, reach);
    assert.match(done.user.error, /evil.example: the host is not in egress.allow/);
    assert.deepEqual(worker.requests.map(({ method, url }) => [method, url]), [['GET', 'http://evil.example/a']]);
});

test('a client certificate is refused, not left out', limit, async (context) => {
    const { worker, done } = await run(context, `
        require('https').get('https://api.example', { cert: 'c', key: 'k' }).on('error', (error) => { user.error = error.message; done(); });`);
    assert.match(done.user.error, /client certificates/);
    assert.equal(worker.requests.length, 0);
});

test('a lookup of an address answers it, names are for the worker', limit, async (context) => {
    const { done } = await run(context, `
        const dns = require('dns');
        dns.lookup('192.0.2.1', (error, address, family) => {
            user.address = [address, family];
            dns.lookup('::1', { all: true }, async (error, all) => {
                user.all = all;
                user.promised = await dns.promises.lookup('192.0.2.1');
                dns.lookup('api.example', (error) => { user.name = error.code; done(); });
            });
        });`);
    assert.deepEqual(done.user.address, ['192.0.2.1', 4]);
    assert.deepEqual(done.user.all, [{ address: '::1', family: 6 }]);
    assert.deepEqual(done.user.promised, { address: '192.0.2.1', family: 4 });
    assert.equal(done.user.name, 'ENOTFOUND');
});

test('a body that was not announced does not become the next request', limit, async (context) => {
    const { worker, done } = await run(context, `
        const http = require('http');
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        const send = (path, body) => new Promise((resolve, reject) => {
            http.request('http://api.example' + path, { agent }, (response) => response.resume().on('end', resolve))
                .on('error', reject).end(body);
        });
        send('/one', '{"a":1}').then(() => send('/two')).then(() => done(), done);`, () => ({ body: '{}' }));
    assert.equal(done.outcome, 'completed');
    assert.deepEqual(worker.requests.map(({ method, url }) => `${method} ${url}`), [
        'GET http://api.example/one', 'GET http://api.example/two',
    ]);
});

test('what a listener throws is its rule\'s, and ends nothing but its socket', limit, async (context) => {
    for (const listener of ['(response) => { throw new TypeError("bad"); }', '(response) => response.on("data", () => { throw new TypeError("bad"); })']) {
        const worker = await host(context, [`function (user, context, callback) {
            const https = require('https');
            const agent = global.agent = global.agent || new https.Agent({ keepAlive: true, maxSockets: 1 });
            if (user.isLate) callback(null, user, context);
            https.get('https://api.example', { agent }, ${listener});
        }`], { answer: () => ({ body: '{}' }) });
        const failed = await worker.evaluate({ user_id: 'a' }, {});
        assert.deepEqual([failed.outcome, failed.error?.name], ['error', 'TypeError'], listener);
        const late = await worker.evaluate({ user_id: 'b', isLate: true }, {});
        assert.deepEqual(late.rules[0].late, ['after its callback: TypeError: bad'], listener);
    }
});

test('a response that nobody reads does not keep its socket', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        const https = require('https');
        const agent = global.agent = global.agent || new https.Agent({ keepAlive: true });
        const count = (sockets) => Object.values(sockets).flat().length;
        user.before = [count(agent.sockets), count(agent.freeSockets)];
        https.get('https://api.example', { agent }, (response) => {
            if (user.reads) response.resume();
            callback(null, user, context);
        });
    }`], { answer: () => ({ body: '{}' }) });
    for (const user_id of ['a', 'b', 'c']) {
        assert.deepEqual((await worker.evaluate({ user_id }, {})).user.before, [0, 0]);
    }
    await worker.evaluate({ user_id: 'd', reads: true }, {});
    assert.deepEqual((await worker.evaluate({ user_id: 'e' }, {})).user.before, [0, 1]);
});

test('a request hears of its socket before that is connected', limit, async (context) => {
    const { done } = await run(context, `
        user.events = [];
        const request = require('https').get('https://api.example', (response) => response.resume().on('end', () => done()));
        request.on('socket', (socket) => {
            user.events.push(socket.connecting);
            for (const event of ['connect', 'secureConnect', 'ready']) socket.once(event, () => user.events.push(event));
        });`);
    assert.deepEqual(done.user.events, [true, 'connect', 'secureConnect', 'ready']);
});

test('a request that is given up is given up, also where a package marked it destroyed', limit, async (context) => {
    const { worker, done } = await run(context, `
        const request = require('https').get('https://api.example').on('error', () => {});
        setTimeout(() => { request.destroyed = true; request.abort(); done(); }, 20);`, () => null);
    assert.deepEqual(done.rules[0].late, []);
    assert.equal(worker.cancelled.length, 1);
});

test('a pooled socket outlives the abort of a request that is over', limit, async (context) => {
    const { done } = await run(context, `
        const https = require('https');
        const agent = new https.Agent({ keepAlive: true });
        const get = (then) => https.get('https://api.example', { agent }, (response) => response.resume().on('end', then));
        const first = get(() => setImmediate(() => {
            const second = get(() => { user.isReused = second.reusedSocket; done(); });
            first.abort();
        }));`);
    assert.equal(done.user.isReused, true);
});

test('a body that cannot be decompressed does not keep its rule open', limit, async (context) => {
    const { done } = await run(context, `
        fetch('https://api.example').catch((error) => {
            user.cause = error.cause.code;
            require('zlib').gunzip('nonsense', (error) => { user.code = error.code; done(); });
        });`, () => ({ headers: [['content-encoding', 'gzip']], body: 'nonsense' }));
    assert.deepEqual([done.user.cause, done.user.code], ['Z_DATA_ERROR', 'Z_DATA_ERROR']);
    assert.deepEqual(done.rules[0].late, []);
});

test('fetch: deflate without its header, and invalid bodies', limit, async (context) => {
    const { done } = await run(context, `(async () => {
        user.raw = await (await fetch('https://api.example/raw')).json();
        const empty = await fetch('https://api.example/empty');
        user.empty = [await empty.text(), empty.bodyUsed, await empty.text()];
        done();
    })();`, ({ url }) => (url.endsWith('/raw')
        ? { headers: [['content-encoding', 'deflate']], body: zlib.deflateRawSync('{"n":1}') } : { status: 204, headers: [] }));
    assert.deepEqual(done.user.raw, { n: 1 });
    assert.deepEqual(done.user.empty, ['', false, '']);
});

test('WebSocket says why it is refused', { ...limit, skip: !('WebSocket' in globalThis) && 'this Node has none' }, async (context) => {
    const { done } = await run(context, 'new WebSocket("wss://api.example");');
    assert.match(done.error.message, /cannot use WebSockets/);
});

test('an error inside of a domain is the domain\'s', limit, async (context) => {
    const { done } = await run(context, `
        const domain = require('domain').create();
        domain.on('error', (error) => { user.error = error.message; done(); });
        domain.run(() => setTimeout(() => { throw new Error('inside'); }, 1));`);
    assert.equal(done.user.error, 'inside');
});

test('a package that tries what it may not have, and goes on, fails nothing', limit, async (context) => {
    const { done } = await run(context, `
        user.refused = [];
        for (const attempt of [
            () => process.binding('fs'), () => process.chdir('/'), () => new (require('worker_threads').Worker)('x'),
        ]) try { attempt(); } catch (error) { user.refused.push(error.code); }
        done();`);
    assert.equal(done.outcome, 'completed');
    assert.deepEqual(done.user.refused, Array(3).fill('ERR_RULE_FORBIDDEN'));
});

test('the Host header is the address\'s, whatever a rule says', limit, async (context) => {
    const worker = await host(context, [`async function (user, context, callback) {
        const url = 'https://api.example/';
        const headers = { Host: 'internal.admin', a: 'b' };
        const { get } = require('https');
        await fetch(url, { headers });
        await fetch(new Request(url, { headers: new Headers([['host', 'internal.admin'], ['a', 'b']]) }));
        await fetch(url, { headers: [['HOST', 'internal.admin'], ['a', 'b']] });
        await new Promise((resolve) => get(url, { headers }, (response) => response.resume().on('end', resolve)));
        await new Promise((resolve) => get(url, { headers: { ...headers, host: 'api.example' } }, (response) => response.resume().on('end', resolve)));
        await new Promise((resolve) => require('request')({ url, headers }, resolve));
        const socket = require('tls').connect(443, 'api.example');
        socket.write('GET / HTTP/1.1\\r\\nHost: internal.admin\\r\\na: b\\r\\n\\r\\n');
        await new Promise((resolve) => socket.on('data', resolve));
        callback(null, user, context);
    }`]);
    const { error } = await worker.evaluate({ user_id: 'a' }, {});
    assert.equal(error, undefined);
    assert.equal(worker.requests.length, 7);
    for (const request of worker.requests) {
        assert.equal(request.url, 'https://api.example/');
        assert.deepEqual(request.headers.filter(([name]) => name.toLowerCase() === 'host'), []);
        assert.equal(header(request, 'a'), 'b');
    }
    assert.deepEqual(worker.warnings.map(({ kind, text }) => [kind, text]), [
        ['host-header', 'the header host: internal.admin has no effect: a request names the host of its address'],
    ]);
});

test('methods that are not of requests to a server are refused', limit, async (context) => {
    const worker = await host(context, [`async function (user, context, callback) {
        const { connect } = require('net');
        const raw = (method) => new Promise((resolve) => {
            const socket = connect(80, 'api.example').on('error', (error) => resolve(error.message)).on('data', () => resolve('sent'));
            socket.write(method + ' / HTTP/1.1\\r\\nHost: api.example\\r\\n\\r\\n');
        });
        const byFetch = (method) => fetch('http://api.example/', { method }).then(() => 'sent', (error) => (error.cause ?? error).message);
        user.answers = {};
        for (const method of ['connect', 'CONNECT', 'Connect', 'TRACE', 'trace', 'TRACK', 'PRI', 'pri']) {
            for (const said of [await raw(method), await byFetch(method)]) if (said === 'sent') user.answers[method] = said;
        }
        user.usual = [await raw('GET'), await raw('PROPFIND'), await byFetch('delete'), await byFetch('REPORT')];
        callback(null, user, context);
    }`]);
    const { user, error } = await worker.evaluate({ user_id: 'a' }, {});
    assert.equal(error, undefined);
    assert.deepEqual(user.answers, {});
    assert.deepEqual(user.usual, ['sent', 'sent', 'sent', 'sent']);
});

test('a connection that is reset reads as Node\'s client says it', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        require('https').get('https://api.example/').on('error', ({ message, code }) => { user.error = [message, code]; callback(null, user, context); });
    }`], { answer: () => ({ code: 'ECONNRESET', syscall: 'read', message: 'Empty reply from server' }) });
    assert.deepEqual((await worker.evaluate({ user_id: 'a' }, {})).user.error, ['socket hang up', 'ECONNRESET']);
});

test('request: the credentials of auth win over a header', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        const request = require('request');
        const headers = { Authorization: 'Bearer old' };
        request({ url: 'https://api.example/', headers, auth: { bearer: 'new' } }, () => {
            request({ url: 'https://api.example/', headers, auth: { user: 'a', pass: 'b' } }, () => callback(null, user, context));
        });
    }`]);
    assert.equal((await worker.evaluate({ user_id: 'a' }, {})).outcome, 'completed');
    assert.deepEqual(worker.requests.map((request) => header(request, 'authorization')), ['Bearer new', 'Basic YTpi']);
    for (const { headers } of worker.requests) assert.equal(headers.filter(([name]) => name.toLowerCase() === 'authorization').length, 1);
});
