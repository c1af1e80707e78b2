'use strict';

// Evaluations that the worker ends since what they ask for is away, those that wait in vain for one of them, and hosts
// that retire.

const test = require('node:test');
const assert = require('node:assert');
const { host } = require('./support/worker');

const limit = { timeout: 60_000 };
const noChanges = { set: {}, removed: [] };

/** A worker whose requests are answered by the test, and a promise of the next that it has not seen. */
async function heldHost(context, rules, options) {
    const worker = await host(context, rules, { ...options, answer: () => null });
    let seen = 0;
    worker.nextRequest = async () => {
        while (worker.requests.length <= seen) await new Promise((resolve) => { worker.onRequest = resolve; });
        seen += 1;
        return worker.requests[seen - 1];
    };
    return worker;
}

test('a rule that waits for an answer is ended with the state before it', limit, async (context) => {
    const worker = await heldHost(context, [
        'function (user, context, callback) { user.first = 1; context.idToken.n = 1; callback(null, user, context); }',
        `async function (user, context, callback) {
            user.second = 2;
            auth0.users.updateAppMetadata(user.user_id, { second: 2 });
            await fetch('https://api.example/');
            callback(null, user, context);
        }`,
    ]);
    const ending = worker.evaluate({ user_id: 'a' }, { clientID: 'c' });
    await worker.nextRequest();
    worker.end(1);
    const done = await ending;
    assert.deepEqual([done.outcome, done.rule, done.error], ['ended', 1, undefined]);
    assert.deepEqual(done.user, { user_id: 'a', first: 1 });
    assert.deepEqual(done.context, { clientID: 'c', idToken: { n: 1 } });
    assert.deepEqual(done.appMetadata, noChanges);
    assert.deepEqual(done.rules.map(({ rule }) => rule), [0]);
    assert.deepEqual([worker.cancelled, worker.warnings], [[], []]);
});

test('what an ended evaluation leaves in global is settled by its answer, for whoever waits for it', limit, async (context) => {
    const worker = await heldHost(context, [`async function (user, context, callback) {
        global.token = global.token || fetch('https://api.example/token').then((response) => response.text());
        user.token = await global.token;
        callback(null, user, context);
    }`]);
    const first = worker.evaluate({ user_id: 'first' }, {});
    const request = await worker.nextRequest();
    const second = worker.evaluate({ user_id: 'second' }, {});
    worker.end(1);
    assert.deepEqual([(await first).outcome, (await first).rule, (await first).user], ['ended', 0, undefined]);
    worker.answerRequest(request, { body: 'secret' });
    const done = await second;
    assert.deepEqual([done.outcome, done.user.token], ['completed', 'secret']);
    const third = await worker.evaluate({ user_id: 'third' }, {});
    assert.equal(third.user.token, 'secret');
    assert.equal(worker.requests.length, 1);
});

test('an evaluation that is ended keeps what its complete rules wrote', limit, async (context) => {
    const worker = await heldHost(context, [
        `function (user, context, callback) {
            auth0.users.updateAppMetadata(user.user_id, { plan: 'gold' });
            context.redirect = { url: 'https://elsewhere.example' };
            callback(null, user, context);
        }`,
        `function (user, context, callback) {
            auth0.users.updateUserMetadata(user.user_id, { seen: 1 });
            context.multifactor = { provider: 'any' };
            fetch('https://api.example/');
            callback(null, user, context);
        }`,
        `function (user, context, callback) {
            auth0.users.updateUserMetadata(user.user_id, { third: 1 });
            fetch('https://api.example/other').then(() => callback(null, user, context));
        }`,
    ]);
    const ending = worker.evaluate({ user_id: 'a' }, {});
    await worker.nextRequest();
    worker.answerRequest(await worker.nextRequest(), { body: '' });
    // The third is complete by then, and runs again: the second is not, as its request is open after its callback.
    await worker.ping();
    worker.end(1);
    const done = await ending;
    assert.deepEqual([done.outcome, done.rule], ['ended', 1]);
    assert.deepEqual([done.appMetadata, done.userMetadata], [{ set: { plan: 'gold' }, removed: [] }, noChanges]);
    assert.deepEqual(done.unsupported, ['redirect']);
    assert.deepEqual(done.context, { redirect: { url: 'https://elsewhere.example' } });
});

test('an ended evaluation goes on until its deadline, and nothing that it does counts', limit, async (context) => {
    const worker = await heldHost(context, [`function (user, context, callback) {
        if (user.user_id === 'other') {
            setTimeout(() => { user.fired = global.fired; callback(null, user, context); }, user.pause);
            return;
        }
        global.fired = { timeouts: 0, intervals: 0, requests: 0, rejections: 0 };
        const { fired } = global;
        fetch('https://api.example/one').then(() => { throw new Error('late'); });
        setTimeout(() => {
            fired.timeouts += 1;
            console.log('says nothing');
            fetch('https://api.example/two').then(() => { fired.requests += 1; }, () => { fired.rejections += 1; });
            require('https').get('https://api.example/three').on('error', () => { fired.rejections += 1; });
            auth0.users.updateAppMetadata(user.user_id, { n: 1 }).catch(() => { fired.rejections += 1; });
            callback(null, user, context);
            callback(new Error('again'));
            setTimeout(() => { throw new Error('late'); }, 1);
        }, 150);
        setTimeout(() => { fired.timeouts += 10; }, 900);
        setInterval(() => { fired.intervals += 1; }, 20);
    }`]);
    const ending = worker.evaluate({ user_id: 'a' }, {}, { timeout: 600 });
    const request = await worker.nextRequest();
    worker.end(1);
    assert.equal((await ending).outcome, 'ended');
    worker.answerRequest(request, { body: '' });
    const look = async (pause = 0) => (await worker.evaluate({ user_id: 'other', pause }, {})).user.fired;
    let fired = await look();
    while (fired.timeouts === 0 || fired.intervals < 10) fired = await look();
    const stopped = async () => (await look()).intervals === (await look(60)).intervals;
    while (!await stopped());
    // A request that is refused is refused a second later.
    fired = await look(1500);
    assert.ok(fired.intervals < 40);
    assert.deepEqual({ ...fired, intervals: 0 }, { timeouts: 1, intervals: 0, requests: 0, rejections: 0 });
    assert.equal(worker.requests.length, 1);
    assert.deepEqual([worker.consoleLines, worker.warnings, worker.cancelled], [[], [], []]);
});

test('an evaluation that is over is not ended', limit, async (context) => {
    const worker = await heldHost(context, ['function (user, context, callback) { callback(null, user, context); }']);
    const done = await worker.evaluate({ user_id: 'a' }, {});
    worker.end(1);
    worker.end(7);
    await worker.ping();
    assert.equal(done.outcome, 'completed');
    assert.equal((await worker.evaluate({ user_id: 'b' }, {})).outcome, 'completed');
});

const sharing = `async function (user, context, callback) {
    const call = (path) => fetch('https://api.example/' + path);
    if (user.does === 'call') await call('own');
    if (user.does === 'pause') await new Promise((resolve) => { setTimeout(resolve, 1500); });
    if (user.does === 'sleep') await new Promise((resolve) => { setTimeout(resolve, 10_000); });
    if (user.does === 'share') await (global.token = global.token || call('token'));
    callback(null, user, context);
}`;

test('an evaluation waits for a promise of one that was ended, and the host says so once', limit, async (context) => {
    const worker = await heldHost(context, [sharing]);
    const evaluate = (does) => worker.evaluate({ user_id: does, does }, {}, { timeout: 30_000 });
    const first = evaluate('share');
    await worker.nextRequest();
    const second = evaluate('share');
    const [calling, sleeping] = [evaluate('call'), evaluate('sleep')];
    const other = await worker.nextRequest();
    const begun = performance.now();
    worker.end(1);
    await first;
    // A request of another that was open when the second began to wait: it may be what the promise hangs on.
    await evaluate('pause');
    assert.deepEqual(worker.waits, []);
    worker.answerRequest(other, { body: '' });
    await calling;
    while (worker.waits.length === 0) await new Promise((resolve) => { worker.onWaits = resolve; });
    assert.deepEqual(worker.waits, [{ evaluation: 2, rule: 0 }]);
    assert.ok(performance.now() - begun >= 1000);
    worker.end(2);
    assert.deepEqual([(await second).outcome, (await second).rule], ['ended', 0]);
    worker.end(4);
    assert.equal((await sleeping).outcome, 'ended');
    assert.equal(worker.waits.length, 1);
});

test('where none was ended no evaluation is said to wait', limit, async (context) => {
    const worker = await heldHost(context, ['async function (user, context, callback) { await new Promise(() => {}); }']);
    const done = await worker.evaluate({ user_id: 'a' }, {}, { timeout: 1500 });
    assert.equal(done.outcome, 'timeout');
    assert.deepEqual(worker.waits, []);
});

test('a result names the state before the first rule that failed so', limit, async (context) => {
    const calling = (index, more = '') => `async function (user, context, callback) {
        user.n = ${index};
        context.multifactor = ${index};
        auth0.users.updateAppMetadata(user.user_id, { n${index}: ${index} });
        ${more}
    }`;
    const before = "await fetch('https://api.example/').catch(() => {}); callback(null, user, context);";
    const after = "callback(null, user, context); await fetch('https://api.example/').catch(() => {});";
    const rules = [calling(0, 'callback(null, user, context);'), calling(1, before), calling(2, after)];
    for (const [answers, rule] of [
        [[{ body: '' }, { status: 503, failedSo: true }], 2],
        [[{ code: 'ECONNRESET', failedSo: true }, { body: '' }], 1],
        [[{ status: 500, failedSo: true }, { code: 'ETIMEDOUT', failedSo: true }], 1],
        [[{ status: 500 }, { code: 'ETIMEDOUT' }], undefined],
    ]) {
        const worker = await heldHost(context, rules);
        const running = worker.evaluate({ user_id: 'a' }, {});
        for (const answer of answers) worker.answerRequest(await worker.nextRequest(), answer);
        const done = await running;
        assert.deepEqual([done.outcome, done.user.n], ['completed', 2]);
        assert.deepEqual(done.appMetadata.set, { n0: 0, n1: 1, n2: 2 });
        assert.equal(done.before?.rule, rule);
        if (rule === undefined) {
            assert.deepEqual([done.beforeUser, done.beforeContext], [undefined, undefined]);
            continue;
        }
        assert.deepEqual(done.beforeUser, { user_id: 'a', n: rule - 1 });
        assert.deepEqual(done.beforeContext, { multifactor: rule - 1 });
        const set = Object.fromEntries([0, 1].slice(0, rule).map((index) => [`n${index}`, index]));
        assert.deepEqual(done.before, {
            rule, userMetadata: noChanges, appMetadata: { set, removed: [] }, unsupported: ['multifactor'],
        });
    }
});

const keeping = `function (user, context, callback) {
    const call = (path) => fetch('https://api.example/' + path, { signal: AbortSignal.timeout(user.limit) });
    if (user.does === 'own') { call('own').catch(() => {}).then(() => callback(null, user, context)); return; }
    const kept = (global.token = global.token || call('token').then((response) => {
        if (!response.ok) throw new Error('no token');
        return 'token';
    }));
    if (user.does === 'late') {
        callback(null, user, context);
        kept.then(() => auth0.users.updateAppMetadata(user.user_id, { data: 1 })).catch(() => {});
        return;
    }
    const derived = (global.derived = global.derived || kept.then((token) => token + ' derived'));
    (user.does === 'derive' ? derived : kept).catch(() => 'none').then((token) => {
        user.token = token;
        callback(null, user, context);
    });
}`;

test('a rule that swallows what another login keeps says so, and the state before it', limit, async (context) => {
    for (const [answer, isBorrowed] of [
        [null, true], [{ status: 503, failedSo: true }, true], [{ code: 'ECONNRESET', failedSo: true }, true],
        [{ status: 503 }, false], [{ body: '' }, false],
    ]) {
        const worker = await heldHost(context, ['function (user, context, callback) { user.first = 1; callback(null, user, context); }', keeping]);
        const evaluate = (does, limit = 60_000) => worker.evaluate({ user_id: does, does, limit }, {}, { timeout: 30_000 });
        // The one gives up after a moment, where it is not answered.
        const first = evaluate('keep', answer === null ? 50 : undefined);
        const request = await worker.nextRequest();
        const waiting = ['late', 'keep', 'derive'].map((does) => evaluate(does));
        if (answer !== null) worker.answerRequest(request, answer);
        const results = await Promise.all([...waiting, ...['late', 'keep', 'derive'].map((does) => evaluate(does))]);
        // What failed the first one was its own.
        assert.equal((await first).before?.borrowed, undefined);
        for (const done of results) {
            assert.equal(done.outcome, 'completed');
            assert.deepEqual([done.before?.rule, done.before?.borrowed], isBorrowed ? [1, true] : [undefined, undefined]);
            if (isBorrowed) assert.equal(done.beforeUser.first, 1);
        }
        // One that has no part in it has a verdict of its own.
        const own = evaluate('own');
        worker.answerRequest(await worker.nextRequest(), { body: '' });
        assert.equal((await own).before, undefined);
        assert.equal(worker.requests.length, 2);
    }
});

test('the state before the first rule is empty, as it was given', limit, async (context) => {
    const worker = await heldHost(context, [`function (user, context, callback) {
        user.n = 1;
        fetch('https://api.example/').then(() => callback(new Error('no')));
    }`]);
    const running = worker.evaluate({ user_id: 'a' }, {});
    worker.answerRequest(await worker.nextRequest(), { status: 503, failedSo: true });
    const done = await running;
    assert.deepEqual([done.outcome, done.before.rule, done.beforeUser, done.beforeContext], ['error', 0, undefined, undefined]);
});

test('what a failed rule wrote counts, unless a request of it failed so', limit, async (context) => {
    const rules = [`async function (user, context, callback) {
        await auth0.users.updateAppMetadata(user.user_id, { first: 1 });
        callback(null, user, context);
    }`, `async function (user, context, callback) {
        await auth0.users.updateAppMetadata(user.user_id, { claimed: true });
        await fetch('https://api.example/').catch(() => {});
        callback(new Error('already claimed'));
        auth0.users.updateAppMetadata(user.user_id, { late: true });
    }`];
    for (const [answer, set] of [
        [{ body: '' }, { first: 1, claimed: true }], [{ status: 404 }, { first: 1, claimed: true }],
        [{ status: 503, failedSo: true }, { first: 1 }],
    ]) {
        const worker = await heldHost(context, rules);
        const running = worker.evaluate({ user_id: 'a' }, {});
        worker.answerRequest(await worker.nextRequest(), answer);
        const done = await running;
        assert.deepEqual([done.outcome, done.rule], ['error', 1]);
        assert.deepEqual(done.appMetadata.set, set);
        // Where it runs again, its first attempt left nothing behind.
        assert.deepEqual([done.before.rule, done.before.appMetadata.set], [1, { first: 1 }]);
    }
});

test('what a rule wrote before its time was over counts', limit, async (context) => {
    const worker = await heldHost(context, [`async function (user, context, callback) {
        await auth0.users.updateUserMetadata(user.user_id, { seen: 1 });
    }`]);
    const done = await worker.evaluate({ user_id: 'a' }, {}, { timeout: 200 });
    assert.deepEqual([done.outcome, done.userMetadata.set], ['timeout', { seen: 1 }]);
});

test('a request says how much of its rule\'s time is left', limit, async (context) => {
    const worker = await heldHost(context, [`function (user, context, callback) {
        fetch('https://api.example/1');
        setTimeout(() => fetch('https://api.example/2').then(() => callback(null, user, context)), 100);
    }`]);
    worker.evaluate({ user_id: 'a' }, {}, { timeout: 20_000 });
    const [first, second] = [await worker.nextRequest(), await worker.nextRequest()];
    assert.ok(first.remaining <= 20_000 && first.remaining > 15_000);
    assert.ok(second.remaining <= first.remaining - 99);
    assert.ok(Number.isInteger(first.remaining));
    assert.deepEqual(Object.keys(first).slice(2, 7), ['rule', 'method', 'url', 'headers', 'remaining']);
});

test('a request that is not to verify is verified all the same, and that is said once', limit, async (context) => {
    const worker = await host(context, [`async function (user, context, callback) {
        const get = () => new Promise((resolve, reject) => {
            require('https').get('https://api.example', { rejectUnauthorized: false }, (response) => response.resume().on('end', resolve)).on('error', reject);
        });
        await get();
        await get();
        callback(null, user, context);
    }`]);
    for (const id of ['a', 'b']) await worker.evaluate({ user_id: id }, {});
    assert.equal(worker.requests.length, 4);
    assert.equal(worker.requests.some((request) => 'rejectUnauthorized' in request), false);
    assert.deepEqual(worker.warnings.map(({ kind, rule }) => [kind, rule]), [['unverified', 0]]);
});

test('a host that retires finishes what it has, and ends in peace', limit, async (context) => {
    const worker = await heldHost(context, [`async function (user, context, callback) {
        user.text = 'x'.repeat(1 << 20);
        if (user.calls) await fetch('https://api.example');
        callback(null, user, context);
    }`]);
    const [first, second] = [worker.evaluate({ user_id: 'a', calls: true }, {}), worker.evaluate({ user_id: 'b', calls: true }, {})];
    const request = await worker.nextRequest();
    await worker.nextRequest();
    worker.retire();
    await worker.ping();
    assert.equal(worker.closedWith, undefined);
    worker.answerRequest(request, { body: '' });
    assert.equal((await first).user.text.length, 1 << 20);
    worker.end(2);
    assert.equal((await second).outcome, 'ended');
    assert.deepEqual(await worker.closed, { code: 0, signal: null });
    assert.deepEqual([worker.output, worker.lastWords], ['', '']);
});

test('a host with nothing in flight retires at once', limit, async (context) => {
    const worker = await heldHost(context, ['function (user, context, callback) { callback(null); }']);
    worker.retire();
    assert.deepEqual(await worker.closed, { code: 0, signal: null });
});

test('a host that is retired takes no evaluation', limit, async (context) => {
    const worker = await heldHost(context, ['function (user, context, callback) { if (user.calls) fetch("https://api.example"); else callback(null); }']);
    worker.evaluate({ user_id: 'a', calls: true }, {}).catch(() => {});
    await worker.nextRequest();
    worker.retire();
    worker.evaluate({ user_id: 'b' }, {}).catch(() => {});
    assert.equal((await worker.closed).code, 70);
    assert.match(worker.output, /came after this host was retired/);
});
