'use strict';

// Many logins at a time, whose rules call back first and then go on: nothing of that gets lost, or under another's name.

const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { folder } = require('./support/folder');
const { host } = require('./support/worker');

const limit = { timeout: 60_000 };
const folders = [process.env.AFTERLOGIN_NPM, '/usr/share/nodejs'].filter((folder) => folder !== undefined);
const needs = (name) => ({
    ...limit,
    skip: !folders.some((folder) => fs.existsSync(path.join(folder, name))) && `the package ${name} is not installed`,
});
const logins = 40;

/**
 * Runs one rule for all logins at once. `get(url, then)` of the rule makes a request; after its callback each login makes two, one
 * after the other, writes metadata, and throws.
 */
async function workAfterCallback(context, get, load) {
    const worker = await host(context, [`function (user, context, callback) {
        const id = user.user_id;
        ${get}
        callback(null, user, context);
        get('https://api.example/one/' + id, () => {
            console.log('says', id);
            get('https://api.example/two/' + id, () => {
                auth0.users.updateAppMetadata(id, { id });
                throw new Error('late ' + id);
            });
        });
    }`], { load: { moduleDirectories: folders, ...load }, answer: () => ({ body: '{}' }) });
    const ids = Array.from({ length: logins }, (_, index) => `user-${index}`);
    const results = await Promise.all(ids.map((id) => worker.evaluate({ user_id: id }, {})));
    const idOf = (evaluation) => ids[evaluation - 1];
    assert.equal(worker.requests.length, 2 * logins);
    for (const { evaluation, url } of worker.requests) assert.equal(url.split('/').pop(), idOf(evaluation));
    for (const { evaluation, text } of worker.consoleLines) assert.equal(text, `says ${idOf(evaluation)}`);
    results.forEach(({ outcome, appMetadata, rules }, index) => {
        assert.equal(outcome, 'completed');
        assert.deepEqual(appMetadata.set, { id: ids[index] });
        assert.deepEqual(rules[0].late, [`after its callback: Error: late ${ids[index]}`]);
    });
}

const httpsGet = 'const get = (url, then) => https.get(url, { agent }, (response) => response.resume().on("end", then));';

test('a request that waits for a socket of its agent keeps its rule open', limit, async (context) => {
    await workAfterCallback(context, `const https = require('https');
        const agent = global.agent = global.agent || new https.Agent({ keepAlive: true, maxSockets: 3 }); ${httpsGet}`);
});

test('a request that waits and is given up does not', limit, async (context) => {
    let answerFirst;
    const worker = await host(context, [`function (user, context, callback) {
        const https = require('https');
        const agent = global.agent = global.agent || new https.Agent({ maxSockets: 1 });
        const request = https.get('https://api.example/' + user.user_id, { agent }).on('error', () => {});
        if (user.user_id === 'second') setImmediate(() => request.destroy());
        callback(null, user, context);
    }`], { answer: () => new Promise((resolve) => { answerFirst = resolve; }) });
    const first = worker.evaluate({ user_id: 'first' }, {});
    const second = await worker.evaluate({ user_id: 'second' }, {});
    assert.deepEqual(second.rules[0].late, []);
    answerFirst({ body: '' });
    assert.equal((await first).rules[0].calls, 1);
});

test('a request whose agent finds no socket does not either', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        const http = require('http');
        class Agent extends http.Agent {
            addRequest(request) { setImmediate(() => request.emit('error', new Error('no socket'))); }
        }
        http.get('http://api.example', { agent: new Agent() }).on('error', (error) => {
            user.error = error.message;
            callback(null, user, context);
        });
    }`], { load: { limits: { quiet: 300 } } });
    const done = await worker.evaluate({ user_id: 'a' }, {});
    assert.equal(done.user.error, 'no socket');
    assert.deepEqual(done.rules[0].late, []);
});

test('requests of Node\'s own undici keep their rule open', limit, async (context) => {
    await workAfterCallback(context, `new Response();
        const dispatcher = globalThis[Symbol.for('undici.globalDispatcher.1')];
        const get = (url, then) => fetch(url, { dispatcher }).then((response) => response.text()).then(then);`);
});

test('requests of the package undici keep their rule open', needs('undici'), async (context) => {
    await workAfterCallback(context, `const { request } = require('undici');
        const get = (url, then) => request(url).then(({ body }) => body.text()).then(then);`);
});

test('bluebird keeps track', needs('bluebird'), async (context) => {
    await workAfterCallback(context, `const Bluebird = require('bluebird'); const https = require('https');
        const get = (url, then) => new Bluebird((resolve, reject) => {
            https.get(url, (response) => response.resume().on('end', resolve)).on('error', reject);
        }).delay(1).then(then);`);
});

test('bluebird keeps track inside of another package', needs('bluebird'), async (context) => {
    const directory = folder(context, {
        'client.js': `
        const Bluebird = require('bluebird').getNewLibraryCopy();
        exports.get = (url) => new Bluebird((resolve, reject) => {
            require('https').get(url, (response) => response.resume().on('end', resolve)).on('error', reject);
        }).delay(1);`,
    });
    await workAfterCallback(
        context,
        'const get = (url, then) => require("./client").get(url).then(then);',
        { directory },
    );
});

test('q keeps track', needs('q'), async (context) => {
    await workAfterCallback(context, `const Q = require('q'); const https = require('https');
        const get = (url, then) => Q.Promise((resolve, reject) => {
            https.get(url, (response) => response.resume().on('end', resolve)).on('error', reject);
        }).delay(1).then(then).done();`);
});

test('an async rule is at work until its promise is settled, whoever it waits for', limit, async (context) => {
    const worker = await host(context, [`async function (user, context, callback) {
        const isFirst = global.token === undefined;
        if (isFirst) global.token = fetch('https://api.example/token').then((response) => response.text());
        callback(null, user, context);
        const token = await global.token;
        await fetch('https://api.example/' + token + user.user_id);
        auth0.users.updateAppMetadata(user.user_id, { token });
    }`], { answer: ({ url }) => new Promise((resolve) => {
        setTimeout(resolve, 20, { body: url.endsWith('/token') ? 'secret-' : '' });
    }) });
    const results = await Promise.all(['a', 'b', 'c'].map((id) => worker.evaluate({ user_id: id }, {})));
    assert.deepEqual(results.map(({ appMetadata }) => appMetadata.set.token), ['secret-', 'secret-', 'secret-']);
    assert.deepEqual(worker.requests.map(({ evaluation }) => evaluation), [1, 1, 2, 3]);
});

test('a promise that is never settled is waited for once', limit, async (context) => {
    const worker = await host(context, [
        'function (user, context, callback) { return new Promise(() => { setImmediate(callback, null, user, context); }); }',
    ], { load: { limits: { quiet: 300 } } });
    const first = await worker.evaluate({ user_id: 'a' }, {});
    assert.match(first.rules[0].late[0], /the promise that it returned was still pending/);
    const second = await worker.evaluate({ user_id: 'b' }, {});
    assert.deepEqual(second.rules[0].late, []);
});
