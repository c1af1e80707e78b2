'use strict';

// The global agents of Node's HTTP client, which the requests of all logins go through: a rule sees nothing of another's there, and
// stops none.

const test = require('node:test');
const assert = require('node:assert');
const { folder } = require('./support/folder');
const { header, host } = require('./support/worker');

const limit = { timeout: 60_000 };

/** Looks at all that agents hold: how many of another login's secrets there are, and how many sockets. */
const look = `
    const look = (...agents) => {
        const found = { secrets: 0, sockets: 0 };
        const seen = new Set();
        const open = [...agents];
        while (open.length > 0) {
            const object = open.pop();
            if (typeof object === 'string' && object.includes('secret of')) found.secrets += 1;
            if (typeof object !== 'object' || object === null || seen.has(object)) continue;
            seen.add(object);
            if (object instanceof require('net').Socket) found.sockets += 1;
            for (const key of Reflect.ownKeys(object)) {
                open.push(String(key.description ?? key));
                try { open.push(object[key]); } catch { /* Not to be had. */ }
            }
        }
        return found;
    };`;

/** How a rule asks, by what it says of its request. */
const ways = {
    'as most do': '{}',
    'with the global agent by name': '{ agent: protocol.globalAgent }',
    'in the old form': '{ agent: { addRequest: (request) => protocol.globalAgent.addRequest(request, "api.example", protocol.globalAgent.defaultPort) } }',
    'with a signal': '{ signal: new AbortController().signal }',
    'with a buffer of its own': '{ highWaterMark: 1000 }',
    'with a time-out': '{ timeout: 4000 }',
    'with a body that goes on': '{ method: "POST" }',
};

/** A host whose rule asks for `/held` as this login, or does something else as the attacker. */
function attackedHost(context, options, attack, load = {}) {
    return host(context, [`function (user, context, callback) {
            const protocol = require(user.protocol ?? 'https');
            const http = require('http');
            const https = require('https');
            const done = () => callback(null, user, context);
            ${look}
            if (user.user_id === 'attacker') { ${attack}; return; }
            const request = protocol.request((user.protocol ?? 'https') + '://api.example/held', {
                ...${options}, headers: { authorization: 'secret of ' + user.user_id, cookie: 'secret of ' + user.user_id },
            }, (response) => {
                user.text = '';
                response.on('data', (part) => { user.text += part; }).on('end', () => { user.seen = global.seen; done(); });
            });
            request.on('error', callback);
            request.write('secret of ' + user.user_id);
            if (request.method === 'POST') setImmediate(() => request.end());
            else request.end();
        }`], { answer: () => null, load });
}

/** @returns {Promise<void>} when the worker has this many requests */
function requested(worker, count) {
    return new Promise((resolve) => {
        worker.onRequest = () => worker.requests.length >= count && resolve();
        worker.onRequest();
    });
}

function answerAll(worker) {
    for (const request of worker.requests.splice(0)) worker.answerRequest(request, { body: header(request, 'authorization') });
}

for (const [name, options] of Object.entries(ways)) {
    for (const protocol of ['https', 'http']) {
        test(`the global agents show nothing of a request under way, nor of one that is over: ${protocol}, ${name}`, limit, async (context) => {
            const worker = await attackedHost(context, options, 'user.found = look(http.globalAgent, https.globalAgent); done();');
            const attacker = async () => {
                const { user, error } = await worker.evaluate({ user_id: 'attacker' }, {});
                assert.equal(error, undefined);
                assert.deepEqual(user.found, { secrets: 0, sockets: 0 });
            };
            const others = ['a', 'b'].map((id) => worker.evaluate({ user_id: id, protocol }, {}));
            await requested(worker, 2);
            for (const { url } of worker.requests) assert.equal(url, `${protocol}://api.example/held`);
            await attacker();
            answerAll(worker);
            for (const { user } of await Promise.all(others)) assert.equal(user.text, `secret of ${user.user_id}`);
            await attacker();
        });
    }
}

test('what is said to a global agent tells nothing of other requests, and ends none', limit, async (context) => {
    const worker = await attackedHost(context, '{}', `
        const attempt = (task) => { try { task(); } catch { /* As it should be. */ } };
        const spy = (socket) => {
            global.seen = 'socket';
            socket.on('data', (bytes) => { global.seen = String(bytes); });
        };
        for (const agent of [http.globalAgent, https.globalAgent]) {
            attempt(() => agent.on('free', () => { global.seen = 'free'; }));
            attempt(() => Object.values(agent.sockets).flat().forEach(spy));
            attempt(() => Object.values(agent.freeSockets).flat().forEach(spy));
            attempt(() => agent.destroy());
        }
        done();`);
    const evaluate = (id) => worker.evaluate({ user_id: id }, {});
    const first = evaluate('a');
    await requested(worker, 1);
    await evaluate('attacker');
    const second = evaluate('b');
    await requested(worker, 2);
    answerAll(worker);
    const ended = [await first, await second];
    await evaluate('attacker');
    const third = evaluate('c');
    await requested(worker, 1);
    answerAll(worker);
    for (const { user, error } of [...ended, await third]) {
        assert.equal(error, undefined);
        assert.deepEqual([user.text, user.seen], [`secret of ${user.user_id}`, undefined]);
    }
    assert.equal(worker.cancelled.length, 0);
});

/** What packages do to the global agent while they are loaded. */
const replacements = {
    'an agent that a package put in the place of a global one': 'https.globalAgent = new https.Agent({ keepAlive: true });',
    'a global agent whose requests a package looks at': `const { addRequest } = https.Agent.prototype;
        https.Agent.prototype.addRequest = function (...values) { global.added = true; return Reflect.apply(addRequest, this, values); };`,
};

for (const [name, replacement] of Object.entries(replacements)) {
    test(`${name} shows no more, and can no more be changed`, limit, async (context) => {
        const directory = folder(context, { 'node_modules/own-agent/index.js': `const https = require('https'); ${replacement}` });
        const worker = await attackedHost(context, '{}', `
            user.found = look(https.globalAgent);
            const attempt = (task) => { try { task(); } catch { /* As it should be. */ } };
            for (const name of ['addRequest', 'createConnection', 'createSocket', 'getName', 'keepSocketAlive', 'reuseSocket', 'removeSocket', 'emit']) {
                attempt(() => {
                    const original = https.globalAgent[name];
                    https.globalAgent[name] = function (...values) { global.seen = name; return Reflect.apply(original, this, values); };
                });
            }
            done(); require('own-agent');`, { directory });
        const first = ['a', 'b'].map((id) => worker.evaluate({ user_id: id }, {}));
        await requested(worker, 2);
        assert.deepEqual((await worker.evaluate({ user_id: 'attacker' }, {})).user.found, { secrets: 0, sockets: 0 });
        const third = worker.evaluate({ user_id: 'c' }, {});
        await requested(worker, 3);
        answerAll(worker);
        for (const { user, error } of await Promise.all([...first, third])) {
            assert.equal(error, undefined);
            assert.deepEqual([user.text, user.seen], [`secret of ${user.user_id}`, undefined]);
        }
    });
}

test('whoever waits for the close of a socket of a global agent sees it, with streams or without', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        user.closed = [];
        let left = 2;
        for (const options of [{}, { highWaterMark: 1000 }]) {
            require('https').get('https://api.example/', options, (response) => response.resume()).on('socket', (socket) => socket.on('close', (failed) => {
                user.closed.push([socket.destroyed, failed === true]);
                left -= 1;
                if (left === 0) callback(null, user, context);
            }));
        }
    }`]);
    const { user, error } = await worker.evaluate({ user_id: 'a' }, {});
    assert.equal(error, undefined);
    assert.deepEqual(user.closed, [[true, false], [true, false]]);
});
