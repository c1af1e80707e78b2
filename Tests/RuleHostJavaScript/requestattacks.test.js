'use strict';

// Attacks on what the requests of all logins go through: sockets, parsers, agents. None sees another's request, and none spoils one.

const test = require('node:test');
const assert = require('node:assert');
const { host } = require('./support/worker');

const limit = { timeout: 60_000 };

/**
 * A host of which one login attacks what requests go through, and others ask for something of their own.
 * @returns {Promise<any[]>} what came of the attempts
 */
async function attackedRequests(context, attack) {
    const worker = await host(context, [`function (user, context, callback) {
        const https = require('https');
        const tried = [];
        const attempt = (task) => { try { tried.push(task()); } catch (error) { tried.push(error.name); } };
        if (user.user_id === 'attacker') {
            const request = https.get('https://api.example/own', (response) => response.resume().on('end', () => {
                user.tried = tried;
                callback(null, user, context);
            }));
            request.on('socket', (socket) => { ${attack} });
            return;
        }
        https.get('https://api.example/' + user.user_id, { headers: { authorization: 'secret' } }, (response) => {
            let text = '';
            response.on('data', (part) => { text += part; }).on('end', () => { user.text = text; user.seen = global.seen; callback(null, user, context); });
        });
        setImmediate(() => {
            user.kept = [global.parser?.outgoing, global.parser?.socket, global.parser?.incoming].map((value) => value === null || value === undefined);
        });
    }`], { answer: ({ url }) => ({ body: url.split('/').pop() }) });
    const attacker = await worker.evaluate({ user_id: 'attacker' }, {});
    assert.equal(attacker.outcome, 'completed', attacker.error?.message);
    for (const { user, error } of await Promise.all(['a', 'b', 'c'].map((id) => worker.evaluate({ user_id: id }, {})))) {
        assert.equal(error, undefined);
        assert.deepEqual([user.text, user.seen, user.kept], [user.user_id, undefined, [true, true, true]]);
    }
    return attacker.user.tried;
}

test('no method of the sockets of all logins can be replaced', limit, async (context) => {
    await attackedRequests(context, `
        for (let object = Object.getPrototypeOf(socket), depth = 0; depth < 3; depth += 1, object = Object.getPrototypeOf(object)) {
            for (const key of Reflect.ownKeys(object)) {
                let value;
                attempt(() => { value = object[key]; });
                if (key === 'constructor' || typeof value !== 'function') continue;
                attempt(() => { object[key] = function () { global.seen = String(key); }; });
            }
        }`);
});

test('a parser that a rule keeps shows it no other request', limit, async (context) => {
    await attackedRequests(context, `
        const { parser } = request;
        global.parser = parser;
        attempt(() => { require('_http_common').parsers.max = 1000; });
        attempt(() => { require('_http_common').parsers.list.push(parser); });
        request.on('close', () => setImmediate(() => {
            for (const key of Object.keys(parser)) {
                if (typeof parser[key] !== 'function') continue;
                const original = parser[key];
                parser[key] = function (...values) { global.seen = key; return Reflect.apply(original, this, values); };
            }
        }));`);
});

test('a global agent is nobody\'s to change', limit, async (context) => {
    await attackedRequests(context, `
        for (const agent of [https.globalAgent, require('http').globalAgent]) {
            for (const name of ['addRequest', 'createConnection', 'createSocket', 'getName', 'keepSocketAlive', 'reuseSocket', 'removeSocket']) {
                attempt(() => { const original = agent[name]; agent[name] = function (...values) { global.seen = name; return Reflect.apply(original, this, values); }; });
            }
            for (const [name, value] of Object.entries({ host: 'elsewhere.example', hostname: 'elsewhere.example', port: 1, path: '/other', socketPath: '/tmp/x', servername: 'x', agent: 1, cert: 'x', pfx: 'x' })) {
                attempt(() => { agent.options[name] = value; });
            }
            for (const [name, value] of Object.entries({ protocol: 'ftp:', defaultPort: 1, options: {}, sockets: null, requests: null, maxSockets: 0, maxTotalSockets: 0 })) {
                attempt(() => { agent[name] = value; });
            }
        }`);
});

test('no method that the requests of all logins go through can be replaced', limit, async (context) => {
    await attackedRequests(context, `
        const replace = (object) => {
            for (const key of Reflect.ownKeys(object)) {
                if (key === 'constructor' || key === '_readableState' || key === '_writableState') continue;
                let value;
                attempt(() => { value = object[key]; });
                if (typeof value !== 'function') continue;
                attempt(() => { object[key] = function () { global.seen = key; }; });
            }
        };
        for (let object = Object.getPrototypeOf(socket), depth = 0; depth < 3; depth += 1, object = Object.getPrototypeOf(object)) replace(object);
        replace(Object.getPrototypeOf(request.parser));
        replace(require('_http_common').parsers);
        replace(https.Agent.prototype);
        replace(https.globalAgent);`);
});

test('a parser that a rule keeps shows it no other request, and spoils none', limit, async (context) => {
    await attackedRequests(context, `
        const { parser } = request;
        global.parser = parser;
        for (const key of Object.keys(parser)) {
            if (typeof parser[key] === 'function' && key !== 'onIncoming') { const original = parser[key]; parser[key] = function (...values) {
                global.seen = key; return Reflect.apply(original, this, values);
            }; }
        }
        attempt(() => require('_http_common').parsers.list.push(parser));
        attempt(() => { require('_http_common').parsers.alloc = () => parser; });
        setTimeout(() => { delete global.seen; for (let count = 0; count < 3; count += 1) attempt(() => parser.free()); }, 5);
        request.on('close', () => setImmediate(() => { delete global.seen; }));`);
});

test('a method of a socket makes one of nothing else', limit, async (context) => {
    const tried = await attackedRequests(context, `
        const prototype = Object.getPrototypeOf(socket);
        const symbols = Object.getOwnPropertySymbols(socket);
        for (const target of [Map, Array.prototype, {}, https.globalAgent, prototype]) {
            const before = Object.getPrototypeOf(target);
            for (const symbol of symbols) attempt(() => { target[symbol] = socket[symbol]; });
            const { get } = Object.getOwnPropertyDescriptor(prototype, '_readableState');
            attempt(() => { get.call(target); return 'got'; });
            tried.push(Object.getPrototypeOf(target) === before);
            for (const symbol of symbols) delete target[symbol];
        }`);
    assert.ok(!tried.includes('got'));
    assert.ok(!tried.includes(false));
});

test('a parser that its rule lets go of before the answer reads that all the same', limit, async (context) => {
    await attackedRequests(context, 'request.parser.free();');
});

/** How a rule sends bytes that say they are more than they are, and then what is missing. */
const lies = {
    'a body': `const request = https.request('https://api.example/own', { method: 'POST', headers: { 'content-length': 3000 } }, answered);
        request.write(lying(Buffer.from('x')));
        request.end(Buffer.alloc(2999, 'y'));`,
    'a body that is written to a socket': `const socket = require('net').connect(80, 'api.example');
        socket.write('POST /own HTTP/1.1\\r\\nhost: api.example\\r\\ncontent-length: 3000\\r\\n\\r\\n');
        socket.write(lying(Buffer.from('x')));
        socket.write(Buffer.alloc(2999, 'y'));
        socket.once('data', answered);`,
    'a body in chunks': `const request = https.request('https://api.example/own', { method: 'POST' }, answered);
        const part = Buffer.from('x');
        part.subarray = () => lying(Buffer.from('z'));
        request.write(part);
        request.end('y');`,
    'a body of fetch': `const body = new Uint8Array(1);
        Object.defineProperty(body, 'buffer', { value: lying(Buffer.from('x')) });
        fetch('https://api.example/own', { method: 'POST', body }).then(answered, callback);`,
    'a view as a body of fetch': `const body = Object.defineProperty(new DataView(new ArrayBuffer(8), 2, 1), 'buffer', { value: lying(Buffer.from('x')) });
        fetch('https://api.example/own', { method: 'POST', body }).then(answered, callback);`,
    'a body that is in part what a socket is given': `const socket = new (require('net').Socket)().connect(80, 'api.example');
        socket.write('POST /own HTTP/1.1\\r\\nhost: api.example\\r\\ncontent-length: 3000\\r\\n\\r\\n');
        socket._write(lying(new Uint8Array(1)), 'buffer', () => {});
        socket._write(Buffer.alloc(2999, 'y'), 'buffer', () => {});
        socket.once('data', answered);`,
};

for (const [name, lie] of Object.entries(lies)) {
    test(`${name} carries nothing of other logins, however long it says it is`, limit, async (context) => {
        const worker = await host(context, [`function (user, context, callback) {
            const https = require('https');
            const answered = () => callback(null, user, context);
            const lying = (bytes) => Object.defineProperties(bytes, {
                length: { value: 3000 }, byteLength: { value: 3000 }, subarray: { value: () => bytes },
            });
            if (user.user_id === 'attacker') { ${lie} return; }
            https.request('https://api.example/other', { method: 'POST' }, (response) => response.resume().on('end', answered)).end('secret'.repeat(1000));
        }`]);
        const { outcome } = await worker.evaluate({ user_id: 'a' }, {});
        assert.equal(outcome, 'completed');
        const { outcome: outcomeOfAttacker, error } = await worker.evaluate({ user_id: 'attacker' }, {});
        assert.equal(outcomeOfAttacker, 'completed', error?.message);
        const [, { bytes }] = worker.requests;
        const text = bytes.toString('latin1');
        assert.ok(/^[xyz\0]?y*$/.test(text), text.slice(0, 100));
    });
}

test('buffers show nothing of other logins', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        if (user.user_id !== 'attacker') {
            for (let index = 0; index < 2000; index += 1) Buffer.from('secret' + index).toString('base64');
            return callback(null, user, context);
        }
        Buffer.poolSize = 8192;
        const made = [Buffer.from('x'), Buffer.from([1]), Buffer.concat([Buffer.from('y'), Buffer.from('z')]), Buffer.from('eHg=', 'base64')];
        for (let index = 0; index < 2000; index += 1) made.push(Buffer.allocUnsafe(16), Buffer.allocUnsafeSlow(64), Buffer.allocUnsafe(5000));
        user.seen = made.filter(({ buffer }) => Buffer.from(buffer).includes('secret')).length;
        user.shared = made.filter(({ buffer, length }) => buffer.byteLength !== length).length;
        user.unset = made.slice(4).filter((bytes) => bytes.some((byte) => byte !== 0)).length;
        callback(null, user, context);
    }`]);
    for (const id of ['a', 'b', 'c']) assert.equal((await worker.evaluate({ user_id: id }, {})).outcome, 'completed');
    const { outcome, user, error } = await worker.evaluate({ user_id: 'attacker' }, {});
    assert.equal(outcome, 'completed', error?.message);
    const { seen, shared, unset } = user;
    assert.deepEqual({ seen, shared, unset }, { seen: 0, shared: 0, unset: 0 });
});
