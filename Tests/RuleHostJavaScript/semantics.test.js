'use strict';

const test = require('node:test');
const assert = require('node:assert');
const { host } = require('./support/worker');

const limit = { timeout: 60_000 };

/** Loads one rule, evaluates it once. */
async function evaluate(context, rule, { user = { user_id: 'a' }, overrides, ...options } = {}) {
    const worker = await host(context, [].concat(rule), options);
    const done = await worker.evaluate(user, options.context ?? {}, overrides);
    return { worker, done };
}

test('an UnauthorizedError is a denial, and ends the chain', limit, async (context) => {
    const { done } = await evaluate(context, [
        'function (user, context, callback) { callback(new UnauthorizedError("verify first")); }',
        'function (user, context, callback) { throw new Error("must not run"); }',
    ]);
    assert.equal(done.outcome, 'denied');
    assert.equal(done.rule, 0);
    assert.equal(done.error.message, 'verify first');
});

test('an UnauthorizedError is a denial however it leaves the rule', limit, async (context) => {
    for (const rule of [
        'function (user, context, callback) { throw new UnauthorizedError("no"); }',
        'async function (user, context, callback) { throw new UnauthorizedError("no"); }',
        'function (user, context, callback) { setTimeout(() => { throw new UnauthorizedError("no"); }, 1); }',
        'function (user, context, callback) { callback(new global.UnauthorizedError("no")); }',
        'function (user, context, callback) { callback(Object.assign(new Error("no"), { name: "UnauthorizedError" })); }',
        'function (user, context, callback) { callback(new (class Verdict extends UnauthorizedError {})("no")); }',
        `function (user, context, callback) {
            class Verdict extends UnauthorizedError { constructor() { super(); this.name = "Verdict"; this.message = "no"; } }
            callback(new Verdict());
        }`,
    ]) {
        const { done } = await evaluate(context, rule);
        assert.equal(done.outcome, 'denied', rule);
        assert.deepEqual([done.error.name, done.error.message], ['UnauthorizedError', 'no'], rule);
    }
});

test('an error that is no Error says what it holds', limit, async (context) => {
    for (const [value, message] of [
        ['"text"', 'text'], ['{ error: "x", error_description: "because" }', 'because'],
        ['{ statusCode: 500, body: "b" }', '{"statusCode":500,"body":"b"}'], ['42', '42'],
    ]) {
        const { done } = await evaluate(context, `function (user, context, callback) { callback(${value}); }`);
        assert.equal(done.outcome, 'error');
        assert.equal(done.error.message, message);
    }
});

test('a hostile error is an error all the same', limit, async (context) => {
    const getter = '{ get name() { throw 1; }, get message() { throw 2; }, toJSON() { throw 3; } }';
    for (const body of [`callback(${getter})`, `setTimeout(() => { throw ${getter}; }, 1)`, `Promise.reject(${getter})`]) {
        const { done } = await evaluate(context, `function (user, context, callback) { ${body}; }`);
        assert.equal(done.outcome, 'error', body);
    }
});

test('any other error is an error, however it comes', limit, async (context) => {
    for (const body of [
        'callback(new TypeError("bad"))', 'throw new TypeError("bad")', 'return Promise.reject(new TypeError("bad"))',
        'setTimeout(() => { throw new TypeError("bad"); }, 1)', 'setImmediate(() => Promise.reject(new TypeError("bad")))',
        'process.nextTick(() => { throw new TypeError("bad"); })', 'queueMicrotask(() => { throw new TypeError("bad"); })',
        'setTimeout(() => new (require("events"))().emit("error", new TypeError("bad")), 1)',
    ]) {
        const { done } = await evaluate(context, `function (user, context, callback) { ${body}; }`);
        assert.equal(done.outcome, 'error', body);
        assert.equal(done.error.name, 'TypeError', body);
        assert.equal(done.error.message, 'bad', body);
    }
});

test('an async rule that resolves without its callback waits for it', limit, async (context) => {
    const { done } = await evaluate(
        context,
        'async function (user, context, callback) { setTimeout(() => { user.late = 1; callback(null, user, context); }, 20); }',
    );
    assert.equal(done.outcome, 'completed');
    assert.equal(done.user.late, 1);
});

test('a missing user or context in the callback means the one before', limit, async (context) => {
    const { done } = await evaluate(context, 'function (user, context, callback) { user.n = 1; callback(null); }');
    assert.equal(done.user.n, 1);
});

test('a second callback is ignored, with a warning', limit, async (context) => {
    const { worker, done } = await evaluate(
        context,
        'function (user, context, callback) { user.n = 1; callback(null, user, context); callback(new Error("again")); }',
    );
    assert.equal(done.outcome, 'completed');
    assert.equal(worker.warnings.length, 1);
    assert.equal(worker.warnings[0].rule, 0);
});

test('a rule that never calls back ends at its time', limit, async (context) => {
    const { done } = await evaluate(context, 'function (user, context, callback) {}', { overrides: { timeout: 200 } });
    assert.equal(done.outcome, 'timeout');
    assert.match(done.error.message, /200 ms/);
});

test('work after the callback counts, and later rules see its metadata only in the result', limit, async (context) => {
    const { done } = await evaluate(context, `function (user, context, callback) {
        setTimeout(() => auth0.users.updateAppMetadata(user.user_id, { plan: 'gold', old: null }), 30);
        auth0.users.updateUserMetadata(user.user_id, { seen: 1 }, () => {});
        callback(null, user, context);
    }`);
    assert.equal(done.outcome, 'completed');
    assert.deepEqual(done.appMetadata, { set: { plan: 'gold' }, removed: ['old'] });
    assert.deepEqual(done.userMetadata, { set: { seen: 1 }, removed: [] });
});

test('a write of metadata answers the whole user, as the Management API does', limit, async (context) => {
    const user = { user_id: 'a', email: 'a@example.com', app_metadata: { plan: 'gold', old: 1 } };
    const { done } = await evaluate(context, [
        `function (user, context, callback) {
            auth0.users.updateAppMetadata(user.user_id, { old: null, seats: 2 }).then((updated) => callback(null, updated, context), callback);
        }`,
        `function (user, context, callback) {
            auth0.users.updateUserMetadata(user.user_id, { n: 1 }, (error, updated) => callback(error, updated, context));
        }`,
    ], { user });
    assert.deepEqual(done.user, {
        user_id: 'a', email: 'a@example.com', app_metadata: { plan: 'gold', seats: 2 }, user_metadata: { n: 1 },
    });
});

test('metadata of another user goes to the Management API', limit, async (context) => {
    const answer = ({ url }) => (url.endsWith('/missing') ? { status: 404, body: '{"message":"no"}' } : { body: '{"user_id":"other"}' });
    const rule = `function (user, context, callback) {
        auth0.users.updateAppMetadata('auth0|other', { n: 1 }).then((other) => {
            user.other = other;
            auth0.users.updateUserMetadata('missing', { n: 1 }, (error) => { user.status = error.statusCode; callback(null, user, context); });
        }).catch(callback);
    }`;
    const { worker, done } = await evaluate(context, rule, { answer, overrides: { accessToken: 'token' } });
    assert.deepEqual([done.user.other, done.user.status], [{ user_id: 'other' }, 404]);
    assert.deepEqual(done.appMetadata, { set: {}, removed: [] });
    const [request] = worker.requests;
    assert.equal(`${request.method} ${request.url}`, 'PATCH https://tenant.example/api/v2/users/auth0%7Cother');
    assert.equal(request.headers.find(([name]) => name === 'authorization')[1], 'Bearer token');
    assert.equal(request.body, '{"app_metadata":{"n":1}}');
    const { done: refused } = await evaluate(context, rule);
    assert.match(refused.error.message, /only write to the user who logged in/);
});

test('an id that a rule puts into user.user_id is another account, also after its callback', limit, async (context) => {
    const rules = [`async function (user, context, callback) {
        user.user_id = 'auth0|other';
        await auth0.users.updateAppMetadata(user.user_id, { n: 1 });
        callback(null, user, context);
        await new Promise((resolve) => { setTimeout(resolve, 5); });
        await auth0.users.updateUserMetadata(user.user_id, { late: 1 });
    }`, `async function (user, context, callback) {
        user.seen = user.user_id;
        await auth0.users.updateAppMetadata(user.user_id, { n: 2 });
        await auth0.users.updateAppMetadata('a', { own: 1 });
        callback(null, user, context);
    }`];
    const { worker, done } = await evaluate(context, rules, { overrides: { accessToken: 'token' } });
    assert.equal(done.outcome, 'completed');
    assert.equal(done.user.seen, 'auth0|other');
    assert.deepEqual([done.appMetadata, done.userMetadata], [{ set: { own: 1 }, removed: [] }, { set: {}, removed: [] }]);
    assert.deepEqual(
        worker.requests.map(({ method, url, body }) => `${method} ${url.slice(-13)} ${body}`).sort(),
        ['{"app_metadata":{"n":1}}', '{"app_metadata":{"n":2}}', '{"user_metadata":{"late":1}}']
            .map((body) => `PATCH auth0%7Cother ${body}`),
    );
    const note = /^changed user\.user_id/;
    assert.deepEqual(done.rules.map(({ late }) => late.filter((text) => note.test(text)).length), [1, 0]);
});

test('the worker says whose login it is where an earlier rule changed the id', limit, async (context) => {
    const rule = `async function (user, context, callback) {
        await auth0.users.updateAppMetadata('auth0|own', { n: 1 });
        callback(null, user, context);
    }`;
    const { worker, done } = await evaluate(context, rule, { user: { user_id: 'auth0|other' }, overrides: { userId: 'auth0|own' } });
    assert.deepEqual(done.appMetadata, { set: { n: 1 }, removed: [] });
    assert.deepEqual([worker.requests.length, done.rules[0].late], [0, []]);
});

test('an exception after the callback is a note of that rule, and nothing more', limit, async (context) => {
    const { worker, done } = await evaluate(
        context,
        'function (user, context, callback) { setTimeout(() => { throw new Error("late"); }, 5); callback(null, user, context); }',
    );
    assert.equal(done.outcome, 'completed');
    assert.match(JSON.stringify([done.rules, worker.warnings]), /late/);
});

test('configuration, auth0, global and the containers are there', limit, async (context) => {
    const { worker, done } = await evaluate(context, `function (user, context, callback) {
        global.count = (global.count || 0) + 1;
        context.idToken.key = configuration.KEY;
        context.accessToken.domain = auth0.domain + ' ' + auth0.baseUrl;
        user.count = global.count;
        user.env = Object.keys(process.env).length;
        callback(null, user, context);
    }`, { load: { configuration: { KEY: 'value' } } });
    assert.deepEqual(done.context.idToken, { key: 'value' });
    assert.equal(done.context.accessToken.domain, 'tenant.example https://tenant.example/api/v2');
    assert.equal(done.user.count, 1);
    assert.equal(done.user.env, 0);
    const again = await worker.evaluate({ user_id: 'b' }, {});
    assert.equal(again.user.count, 2);
});

test('a rule is called as any function, strict or not', limit, async (context) => {
    for (const [rule, expected] of [
        ['function (user, context, callback) { user.is = this === globalThis; callback(null, user, context); }', true],
        ['function (user, context, callback) { "use strict"; user.is = this === undefined; callback(null, user, context); }', true],
    ]) {
        const { done } = await evaluate(context, rule);
        assert.equal(done.user.is, expected, rule);
    }
});

test('fields of app_metadata are fields of the user, for the rules only', limit, async (context) => {
    const user = { user_id: 'a', name: 'root', app_metadata: { plan: 'gold', name: 'meta', deep: { n: 1 }, seats: 1 } };
    const { done } = await evaluate(context, [
        `function (user, context, callback) {
            context.idToken = { plan: user.plan, name: user.name, copied: Object.keys({ ...user }) };
            context.idToken.isPlain = Object.getPrototypeOf(user) === Object.prototype;
            callback(null, JSON.parse(JSON.stringify(user)), context);
        }`,
        `function (user, context, callback) {
            user.app_metadata.plan = 'silver';
            user.seats = 2;
            callback(null, user, context);
        }`,
        'function (user, context, callback) { context.idToken.then = [user.plan, user.seats]; callback(null, { ...user }, context); }',
    ], { user });
    assert.deepEqual(done.context.idToken, {
        plan: 'gold', name: 'meta', copied: ['user_id', 'name', 'app_metadata', 'plan', 'deep', 'seats'], isPlain: true,
        then: ['gold', 2],
    });
    assert.deepEqual(done.user, { ...user, app_metadata: { ...user.app_metadata, plan: 'silver' }, seats: 2 });
});

test('a name that both have is the one of app_metadata, but for those that Auth0 does not take there', limit, async (context) => {
    const user = {
        user_id: 'a', email: 'a@example.com', groups: ['idp'], nickname: 'root',
        app_metadata: { groups: ['meta'], nickname: 'meta', email: 'b@example.com', user_id: 'b' },
    };
    const { done } = await evaluate(context, [
        `function (user, context, callback) {
            context.idToken.seen = [user.user_id, user.email, user.groups, user.nickname];
            user.nickname = 'changed';
            callback(null, user, context);
        }`,
        'function (user, context, callback) { context.idToken.then = [user.groups, user.nickname]; callback(null, user, context); }',
    ], { user });
    assert.deepEqual(done.context.idToken, { seen: ['a', 'a@example.com', ['meta'], 'meta'], then: [['meta'], 'changed'] });
    assert.deepEqual(done.user, { ...user, nickname: 'changed' });
});

test('a user that no rule changed is unchanged, whatever is in app_metadata', limit, async (context) => {
    const user = { user_id: 'a', name: 'root', app_metadata: { plan: 'gold', name: 'meta' } };
    const { done } = await evaluate(context, [
        'function (user, context, callback) { callback(null, user, context); }',
        'function (user, context, callback) { callback(null, { ...user }, Object.freeze(context)); }',
        'function (user, context, callback) { callback(null, user, context); }',
    ], { user });
    assert.equal(done.outcome, 'completed');
    assert.equal(done.user, undefined);
});

test('what a rule prints is attributed to it, also from a later turn', limit, async (context) => {
    const { worker } = await evaluate(context, [
        'function (user, context, callback) { setTimeout(() => { console.log("one %d", 1); callback(null, user, context); }, 1); }',
        'async function (user, context, callback) { await null; console.error({ two: 2 }); callback(null, user, context); }',
        'function (user, context, callback) { process.stdout.write("three\\n"); callback(null, user, context); }',
        'function (user, context, callback) { console._stdout.write("four"); callback(null, user, context); }',
    ]);
    assert.deepEqual(worker.consoleLines.map(({ rule }) => rule), [0, 1, 2, 3]);
    assert.match(worker.consoleLines[0].text, /one 1/);
    assert.equal(worker.consoleLines[1].level, 'error');
    assert.deepEqual(worker.consoleLines.slice(2).map(({ text }) => text), ['three', 'four']);
});

test('a state that can not be sent on fails its rule, and says which', limit, async (context) => {
    for (const [body, expected] of [
        ['user.self = user', /user .*cycle/], ['context.big = 1n', /context .*BigInt/],
        ['let deep = user; for (let i = 0; i < 20000; i++) deep = deep.x = {}', /user .*deep/],
        ['user.list = []; user.list[4e9] = 1', /user .*too large/],
    ]) {
        const { done } = await evaluate(context, `function (user, context, callback) { ${body}; callback(null, user, context); }`);
        assert.notEqual(done.outcome, 'completed', body);
        assert.match(done.error.message, expected, body);
    }
});

test('effects that can no longer happen are named', limit, async (context) => {
    const { done } = await evaluate(context, `function (user, context, callback) {
        context.redirect = { url: 'https://elsewhere.example' };
        context.multifactor = { provider: 'any' };
        callback(null, user, context);
    }`);
    assert.deepEqual([...done.unsupported].sort(), ['multifactor', 'redirect']);
});

test('a hundred evaluations at a time stay apart', limit, async (context) => {
    const worker = await host(context, [`async function (user, context, callback) {
        const answer = await fetch('https://api.example/' + user.user_id);
        user.answer = (await answer.json()).path;
        callback(null, user, context);
    }`], { answer: ({ url }) => ({ body: JSON.stringify({ path: new URL(url).pathname }) }) });
    const ids = Array.from({ length: 100 }, (_, index) => `user-${index}`);
    const results = await Promise.all(ids.map((id) => worker.evaluate({ user_id: id }, {})));
    assert.deepEqual(results.map(({ user }) => user.answer), ids.map((id) => `/${id}`));
});

test('a callback that comes because the worker, or the time, ended the evaluation is nobody\'s fault', limit, async (context) => {
    const worker = await host(context, [`async function (user, context, callback) {
        if (user.first) callback(null, user, context);
        try { await fetch('https://api.example/'); } catch (error) { callback(error); }
    }`], { answer: () => null });
    const late = await worker.evaluate({ user_id: 'a' }, {}, { timeout: 100 });
    assert.equal(late.outcome, 'timeout');
    const cut = await worker.evaluate({ user_id: 'b', first: true }, {}, { timeout: 100 });
    assert.equal(cut.outcome, 'completed');
    worker.onRequest = () => worker.end(worker.lastEvaluation);
    assert.equal((await worker.evaluate({ user_id: 'c' }, {})).outcome, 'ended');
    await worker.ping();
    assert.deepEqual(worker.warnings, []);
});

test('a callback that is called again is told, with its login', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        callback(null, user, context);
        if (user.late) setTimeout(callback, 5).unref(); else callback(null, user, context);
    }`]);
    await worker.evaluate({ user_id: 'a' }, {});
    assert.deepEqual(worker.warnings, [{ evaluation: 1, rule: 0, kind: 'second-callback', text: 'callback was called again' }]);
    const warned = new Promise((resolve) => { worker.onWarning = resolve; });
    await worker.evaluate({ user_id: 'auth0|b', late: true }, {});
    await warned;
    assert.deepEqual(worker.warnings[1], {
        evaluation: 0, rule: 0, kind: 'second-callback', text: 'callback was called again, after the login of auth0|b was over',
    });
});

test('an error says what caused it', limit, async (context) => {
    for (const [body, message] of [
        ['await fetch("https://api.example/")', 'fetch failed: connect ECONNREFUSED 203.0.113.1:443'],
        ['throw new Error("a", { cause: new Error("b", { cause: "c" }) })', 'a: b: c'],
        ['throw new Error("a b", { cause: new Error("b") })', 'a b'],
        ['const error = new Error("a"); error.cause = error; throw error', 'a'],
        ['throw Object.defineProperty(new Error("a"), "cause", { get() { throw 1; } })', 'a'],
    ]) {
        const worker = await host(context, [`async function (user, context, callback) { ${body}; }`], {
            answer: () => ({ code: 'ECONNREFUSED', syscall: 'connect', address: '203.0.113.1', port: 443 }),
        });
        assert.equal((await worker.evaluate({ user_id: 'a' }, {})).error.message, message);
    }
});

test('changes of what only a login in progress has a use for are named', limit, async (context) => {
    const worker = await host(context, ['function (user, context, callback) { ' + `
        const { change } = user;
        if (change === 'saml') context.samlConfiguration.audience = 'x';
        if (change === 'addon') context.addonConfiguration = { aws: { role: 'x' } };
        if (change === 'primary') context.primaryUser = 'auth0|other';
        if (change === 'claim') context.idToken.x = 1;
        user.touched = true;
        callback(null, user, context); }`, 'function (user, context, callback) { callback(null, user, context); }']);
    const given = { samlConfiguration: { a: 1 }, addonConfiguration: { aws: {} }, primaryUser: 'auth0|a' };
    for (const [change, state, names] of [
        ['saml', {}, ['samlConfiguration']], ['saml', given, ['samlConfiguration']], ['addon', {}, ['addonConfiguration']],
        ['addon', given, ['addonConfiguration']], ['primary', {}, ['primaryUser']], ['primary', given, ['primaryUser']],
        ['claim', given, []], ['claim', {}, []], ['', given, []], ['', {}, []],
    ]) {
        const { unsupported, outcome } = await worker.evaluate({ user_id: 'a', change }, state);
        assert.equal(outcome, 'completed');
        assert.deepEqual(unsupported, names, `${change} ${JSON.stringify(state)}`);
    }
});

test('names that Auth0 does not take in app_metadata are reported, once each', limit, async (context) => {
    const { done } = await evaluate(context, `async function (user, context, callback) {
        await auth0.users.updateAppMetadata(user.user_id, { email: 'x', plan: 'gold', blocked: true });
        await auth0.users.updateAppMetadata(user.user_id, { email: 'y' });
        await auth0.users.updateUserMetadata(user.user_id, { email: 'z' });
        callback(null, user, context);
    }`);
    assert.deepEqual(done.appMetadata.set, { plan: 'gold', blocked: true, email: 'y' });
    assert.deepEqual(done.rules[0].late, [
        'app_metadata.email: Auth0 does not take this name in app_metadata',
        'app_metadata.blocked: Auth0 does not take this name in app_metadata',
    ]);
});
