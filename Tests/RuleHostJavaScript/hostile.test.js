'use strict';

// Rules that mean harm, or do it by accident. (What the kernel refuses is tested with the confining program, in Swift.)

const test = require('node:test');
const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Worker, host, kinds } = require('./support/worker');

const limit = { timeout: 60_000 };

/** Returns when something has become true. */
async function until(condition) {
    while (!condition()) await new Promise((resolve) => { setImmediate(resolve); });
}

for (const [what, body] of [
    ['a plain loop', 'for (;;) {}'],
    ['a promise loop', '(async () => { for (;;) await 1; })()'],
    ['a catastrophic regular expression', '/^(a+)+$/.test("a".repeat(40) + "b")'],
    ['Atomics.wait', 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)'],
]) {
    test(`${what} ends the host, which names the evaluation`, limit, async (context) => {
        const worker = await host(context, [
            `function (user, context, callback) { if (user.bad) { ${body}; } else setTimeout(() => callback(null), 60000); }`,
        ], { load: { limits: { turn: 200 } } });
        const innocent = worker.evaluate({ user_id: 'a' }, {}).catch((error) => error);
        worker.evaluate({ user_id: 'b', bad: true }, {}).catch(() => {});
        const { signal } = await worker.closed;
        assert.equal(signal, 'SIGKILL');
        assert.match(worker.lastWords, /^turn 2 0$/m);
        assert.ok(await innocent instanceof Error);
    });
}

test('memory without end ends the host', limit, async (context) => {
    const worker = await host(context, [
        'function (user, context, callback) { const all = []; const grow = () => { all.push(new Uint8Array(4 << 20).fill(1)); setImmediate(grow); }; grow(); }',
    ], { load: { limits: { memory: 200 << 20 } } });
    worker.evaluate({ user_id: 'a' }, {}).catch(() => {});
    await worker.closed;
    assert.match(worker.lastWords, /^memory$/m);
});

test('process.exit, abort and kill fail the rule, not the host', limit, async (context) => {
    const worker = await host(context, [
        'function (user, context, callback) { process[user.call](...user.arguments); }',
    ]);
    for (const [call, ...rest] of [['exit', 0], ['abort'], ['kill', 1, 'SIGKILL'], ['reallyExit', 0]]) {
        const done = await worker.evaluate({ user_id: 'a', call, arguments: rest }, {});
        assert.equal(done.outcome, 'error', call);
    }
});

test('what listeners for uncaught exceptions do themselves does not end the host', limit, async (context) => {
    for (const listen of [
        'process.on("uncaughtException", () => { throw new Error("again"); })',
        'process.on("uncaughtException", () => process.exit(1))',
        'process.prependListener("unhandledRejection", (error) => { throw error; })',
        'process.setUncaughtExceptionCaptureCallback((error) => { throw error; })',
    ]) {
        const worker = await host(context, [
            `function (user, context, callback) {
                if (!user.bad) { callback(null, user, context); return; }
                ${listen};
                setTimeout(() => { if (${/Rejection/.test(listen)}) Promise.reject(new Error('first')); else throw new Error('first'); }, 1);
            }`,
        ]);
        assert.equal((await worker.evaluate({ user_id: 'a', bad: true }, {})).outcome, 'error', listen);
        assert.equal((await worker.evaluate({ user_id: 'b' }, {})).outcome, 'completed', listen);
    }
});

const spoilt = "() => { throw new Error('spoilt'); }";
for (const [what, body] of [
    ['promises', `Promise.prototype.then = Promise.resolve = ${spoilt}`],
    ['arrays', `for (const name of ['push', 'map', 'includes', Symbol.iterator]) Array.prototype[name] = ${spoilt}`],
    ['iterators', `Object.getPrototypeOf(new Map().keys()).next = () => ({ done: true }); Object.getPrototypeOf([].keys()).next = ${spoilt}`],
    ['functions', `Function.prototype.call = Function.prototype.apply = Function.prototype.bind = ${spoilt}`],
    ['JSON', 'JSON.stringify = () => JSON.parse = () => ({ stolen: true })'],
    ['maps', `Map.prototype.get = Map.prototype.set = Set.prototype.add = WeakMap.prototype.get = ${spoilt}`],
    ['buffers', `Buffer.from = Buffer.concat = Buffer.prototype.toString = Buffer.prototype.set = ${spoilt}`],
    ['toJSON of everything', 'Object.prototype.toJSON = String.prototype.toJSON = () => "stolen"'],
    ['then of everything', 'Object.prototype.then = function (resolve) { resolve("stolen"); }'],
    ['fields of everything', `const kept = [];
        for (const name of ['user', 'userText', 'number', 'runs', 'socket', 'headers', 'signal', 'get']) {
            Object.defineProperty(Object.prototype, name, { configurable: true, get: () => kept[0], set: (value) => { kept.push(value); } });
        }`],
    ['numbers and texts', `Math.round = Math.max = String.prototype.slice = String.prototype.indexOf = RegExp.prototype.exec = ${spoilt}`],
    ['instanceof', 'Object.defineProperty(Error, Symbol.hasInstance, { value: () => true, configurable: true })'],
    ['emitters and sockets', `const { prototype } = require('net').Socket;
        for (const name of ['emit', 'on', 'push', 'write', 'destroy']) prototype[name] = ${spoilt};
        require('events').prototype.emit = ${spoilt}`],
    ['ticks and timers', `process.nextTick = global.setTimeout = global.setImmediate = require('timers').setTimeout = ${spoilt}`],
    ['the context of asynchronous work', `const { AsyncLocalStorage, createHook } = require('async_hooks');
        AsyncLocalStorage.prototype.getStore = () => undefined; AsyncLocalStorage.prototype.run = ${spoilt};
        createHook({ init: ${spoilt}, before: ${spoilt}, after: ${spoilt}, destroy: ${spoilt}, promiseResolve: ${spoilt} }).enable();
        const { promiseHooks } = require('v8'); promiseHooks.onInit(${spoilt}); promiseHooks.onBefore(${spoilt})`],
    ['what Node publishes', `for (const name of ['http.client.request.start', 'undici:request:create']) {
        require('diagnostics_channel').subscribe(name, ${spoilt});
    }`],
    ['the class of results', 'Object.defineProperty(Promise, Symbol.species, { get: () => { throw new Error("spoilt"); }, configurable: true })'],
    ['a hook that loops', 'require("async_hooks").createHook({ before() { if (user.isOver) for (;;) {} } }).enable(); user.isOver = true'],
    ['the console and fetch', `console.log = fetch = ${spoilt}`],
    ['the names of the language', 'delete global.JSON; delete global.Buffer; delete global.Error; global.Map = global.Promise = undefined'],
    ['open sockets', 'for (const handle of process._getActiveHandles()) handle.destroy()'],
]) {
    test(`a rule that spoils ${what} spoils no other login`, limit, async (context) => {
        let release;
        const worker = await host(context, [
            `function (user, context, callback) {
                if (user.bad) { ${body}; callback(null, user, context); return; }
                const finish = async (one) => {
                    const { id } = await (await fetch('https://api.example/' + user.user_id)).json();
                    await auth0.users.updateAppMetadata(user.user_id, { list: [id] });
                    user.ids = [one, id];
                    console.log('says', id);
                    setTimeout(() => callback(null, user, context), 1);
                };
                require('https').get('https://api.example/' + user.user_id, (response) => {
                    const chunks = [];
                    response.on('data', (chunk) => chunks.push(chunk));
                    response.on('end', () => finish(JSON.parse(Buffer.concat(chunks).toString()).id).catch(callback));
                });
            }`,
        ], { load: { limits: { turn: 300 } }, answer: async ({ url }) => {
            if (url.endsWith('/before') && release === undefined) await new Promise((resolve) => { release = resolve; });
            return { body: JSON.stringify({ id: url.split('/').pop() }) };
        } });
        const evaluate = (id) => worker.evaluate({ user_id: id, tags: ['a'] }, { clientID: id }, { timeout: 20_000 });
        const before = evaluate('before');
        await until(() => release !== undefined);
        await worker.evaluate({ user_id: 'bad', bad: true }, {});
        const after = await evaluate('after');
        release();
        for (const [id, done] of [['before', await before], ['after', after]]) {
            assert.equal(done.error, undefined);
            assert.deepEqual(done.user, { user_id: id, tags: ['a'], ids: [id, id] });
            assert.deepEqual(done.appMetadata, { set: { list: [id] }, removed: [] });
        }
        assert.deepEqual(worker.consoleLines.map(({ text }) => text).sort(), ['says after', 'says before']);
    });
}

test('printing to standard output is no frame', limit, async (context) => {
    const worker = await host(context, [
        'function (user, context, callback) { require("fs").writeSync(1, "nonsense\\n"); callback(null, user, context); }',
    ]);
    assert.equal((await worker.evaluate({ user_id: 'a' }, {})).outcome, 'completed');
});

test('a host whose worker goes away ends by itself', limit, async () => {
    const worker = await new Worker().start();
    await worker.load(['function (user, context, callback) { callback(null); }']);
    worker.loading = null;
    worker.socket.destroy();
    const { code, signal } = await worker.closed;
    assert.ok(code !== 0 || signal !== null);
});

test('a loop in a turn that begins nowhere of ours is blamed on nobody', limit, async (context) => {
    // The message arrives just after a timer of the innocent.
    const worker = await host(context, [
        `function (user, context, callback) {
            if (!user.bad) { setTimeout(() => global.port.postMessage(0), 5); return; }
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => { for (;;) {} };
            global.port = port2;
        }`,
    ], { load: { limits: { turn: 200 } } });
    worker.evaluate({ user_id: 'b', bad: true }, {}).catch(() => {});
    worker.evaluate({ user_id: 'a' }, {}).catch(() => {});
    await worker.closed;
    assert.match(worker.lastWords, /^turn 0 -1$/m);
});

test('a rule that goes on without a pause when its time is over has its result, and its host ends', limit, async (context) => {
    const worker = await host(context, [
        'function (user, context, callback) { fetch("https://api.example/").catch(() => { for (;;) {} }); }',
    ], { answer: () => null, load: { limits: { turn: 200 } } });
    const done = await worker.evaluate({ user_id: 'a' }, {}, { timeout: 100 });
    assert.equal(done.outcome, 'timeout');
    const { signal } = await worker.closed;
    assert.equal(signal, 'SIGKILL');
    assert.match(worker.lastWords, /^turn 0 -1$/m);
});

test('a rule that tries again for ever does not hold up others when it is over', limit, async (context) => {
    const worker = await host(context, [
        `async function (user, context, callback) {
            if (!user.bad) return callback(null, user, context);
            for (;;) { try { await fetch('https://api.example/'); } catch (error) { continue; } }
        }`,
    ], { answer: () => ({ code: 'ECONNREFUSED' }), load: { limits: { turn: 200 } } });
    assert.equal((await worker.evaluate({ user_id: 'a', bad: true }, {}, { timeout: 100 })).outcome, 'timeout');
    assert.equal((await worker.evaluate({ user_id: 'b' }, {})).outcome, 'completed');
    assert.equal(worker.closedWith, undefined);
});

test('one that runs alone names its rules before they run', limit, async (context) => {
    const worker = await host(context, [
        'function (user, context, callback) { callback(null); }',
        'function (user, context, callback) { require("fs").writeSync(3, Buffer.alloc(64)); }',
    ]);
    worker.handle = () => worker.process.kill('SIGKILL');
    worker.evaluate({ user_id: 'a' }, {}, {}, kinds.evaluateAlone).catch(() => {});
    await worker.closed;
    assert.match(worker.lastWords, /^rules 0\nrules\nrules 1\n$/);
});

test('a context that cannot be written to, or throws, ends the rule at once', limit, async (context) => {
    const worker = await host(context, [
        `function (user, context, callback) {
            const made = { frozen: Object.freeze({}), proxy: new Proxy({}, { set() { throw new Error('no'); } }) };
            callback(null, user, made[user.kind] || Object.freeze(context));
        }`,
        'function (user, context, callback) { user.second = true; callback(null, user, context); }',
    ]);
    for (const kind of ['frozen', 'given']) {
        const done = await worker.evaluate({ user_id: 'a', kind }, {}, { timeout: 60_000 });
        assert.equal(done.user?.second, true, kind);
    }
    const done = await worker.evaluate({ user_id: 'a', kind: 'proxy' }, {}, { timeout: 60_000 });
    assert.deepEqual([done.outcome, done.rule, done.error.message], ['error', 0, 'no']);
});

test('metadata that cannot be sent on is refused, and what is too large together fails the last rule', limit, async (context) => {
    const worker = await host(context, [
        `async function (user, context, callback) {
            const deep = {};
            for (let at = deep, level = 0; level < 600; level += 1) at = at.x = {};
            const text = '\\u20ac'.repeat(6 << 20);
            const write = (patch) => auth0.users.updateAppMetadata(user.user_id, patch).then(() => '', ({ name }) => name);
            user.refused = [await write({ deep }), await write({ text }), await write({ text })];
            callback(null, user, context);
        }`,
        `function (user, context, callback) {
            if (!user.large) return callback(null, user, context);
            user.text = context.text = '\u20ac'.repeat(9 << 20);
            callback(null, user, context);
        }`,
    ], { load: { limits: { memory: 2 ** 31 } } });
    const done = await worker.evaluate({ user_id: 'a' }, {});
    assert.deepEqual(done.user.refused, ['LimitError', '', 'LimitError']);
    const large = await worker.evaluate({ user_id: 'a', large: true }, {});
    assert.deepEqual([large.outcome, large.rule], ['limit', 1]);
    assert.match(large.error.message, /too large together/);
    assert.equal(worker.closedWith, undefined);
});

test('warnings of one rule are few, and domains end nothing', limit, async (context) => {
    const worker = await host(context, [
        `function (user, context, callback) {
            require('domain').create().run(() => {});
            process.on('uncaughtException', () => {});
            for (let count = 0; count < 1000; count += 1) setImmediate(() => { throw new Error('again'); });
            for (let count = 0; count < 1000; count += 1) callback(null, user, context);
        }`,
    ]);
    assert.equal((await worker.evaluate({ user_id: 'a' }, {})).outcome, 'completed');
    await worker.ping();
    assert.equal(worker.warnings.length, 20);
    assert.equal(worker.closedWith, undefined);
});

test('an address or headers without end are refused', limit, async (context) => {
    const worker = await host(context, [
        `async function (user, context, callback) {
            await fetch('https://api.example/' + 'x'.repeat(1 << 20)).catch((error) => { user.cause = error.cause.message; });
            callback(null, user, context);
        }`,
    ]);
    assert.match((await worker.evaluate({ user_id: 'a' }, {})).user.cause, /too large/);
    assert.equal(worker.requests.length, 0);
});

for (const [what, body] of [
    ['hashing without end', "for (let index = 0; index < 4; index += 1) require('crypto').pbkdf2('a', 'b', 2 ** 31 - 1, 64, 'sha512', () => {})"],
    ['opening a pipe', "for (let index = 0; index < 4; index += 1) fs.open(user.pipe, 'r', () => {})"],
]) {
    test(`${what} in all threads of the pool ends the host`, limit, async (context) => {
        const worker = await host(context, [
            `function (user, context, callback) { const fs = require('fs'); if (user.bad) { ${body}; } else fs.stat('.', () => callback(null)); }`,
        ], { load: { limits: { turn: 100 } } });
        assert.equal((await worker.evaluate({ user_id: 'a' }, {})).outcome, 'completed');
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rulehost-'));
        context.after(() => fs.rmSync(folder, { recursive: true }));
        execFileSync('mkfifo', [`${folder}/pipe`]);
        worker.evaluate({ user_id: 'b', bad: true, pipe: `${folder}/pipe` }, {}).catch(() => {});
        const { signal } = await worker.closed;
        assert.equal(signal, 'SIGKILL');
        assert.match(worker.lastWords, /^pool$/m);
    });
}

test('what every login replaces is told once', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        global.Promise = function Replaced() {};
        callback(null, user, context);
    }`]);
    for (let login = 0; login < 5; login += 1) assert.equal((await worker.evaluate({}, {})).outcome, 'completed');
    assert.deepEqual(worker.warnings.map(({ kind, text }) => [kind, text]), [
        ['replaced', 'Promise: shared by all logins of this host, and left as it was'],
    ]);
});

test('Atomics.wait has no more time than a turn', limit, async (context) => {
    const turn = 600;
    const worker = await host(context, [`function (user, context, callback) {
        if (user.brief) { user.waited = Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50); callback(null, user, context); return; }
        console.log('waits');
        setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
    }`], { load: { limits: { turn } } });
    for (let count = 0; count < 3; count += 1) assert.equal((await worker.evaluate({ user_id: 'a', brief: true }, {})).user.waited, 'timed-out');
    worker.evaluate({ user_id: 'b' }, {}, { timeout: 60_000 }).catch(() => {});
    const begun = performance.now();
    await worker.closed;
    assert.match(worker.lastWords, /^turn 4 0$/m);
    // It had ten times as long.
    assert.ok(performance.now() - begun < 7 * turn);
});
