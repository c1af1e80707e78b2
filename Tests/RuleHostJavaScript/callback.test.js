'use strict';

const test = require('node:test');
const assert = require('node:assert');
const { host } = require('./support/worker');

const limit = { timeout: 60_000 };

test('a rule that calls back hands its user and context on', limit, async (context) => {
    const worker = await host(context, [
        'function (user, context, callback) { user.first = 1; callback(null, user, context); }',
        'function (user, context, callback) { context.idToken.seen = user.first; callback(null, user, context); };',
    ]);
    const done = await worker.evaluate({ user_id: 'a' }, { clientID: 'c' });
    assert.equal(done.outcome, 'completed');
    assert.deepEqual(done.user, { user_id: 'a', first: 1 });
    assert.deepEqual(done.context, { clientID: 'c', idToken: { seen: 1 } });
    assert.deepEqual(done.rules.map(({ rule, calls }) => ({ rule, calls })), [{ rule: 0, calls: 0 }, { rule: 1, calls: 0 }]);
});

test('an HTTPS request of a rule reaches the worker and its answer the rule', limit, async (context) => {
    const worker = await host(context, [
        `function (user, context, callback) {
            const https = require('https');
            https.get('https://api.example/x?y=1', (response) => {
                let text = '';
                response.on('data', (data) => { text += data; });
                response.on('end', () => { user.answer = JSON.parse(text).answer; callback(null, user, context); });
            });
        }`,
    ], { answer: () => ({ status: 200, body: '{"answer":42}' }) });
    const done = await worker.evaluate({ user_id: 'a' }, {});
    assert.equal(done.outcome, 'completed');
    assert.equal(done.user.answer, 42);
    assert.equal(done.rules[0].calls, 1);
    assert.equal(worker.requests[0].url, 'https://api.example/x?y=1');
    assert.equal(worker.requests[0].method, 'GET');
});
