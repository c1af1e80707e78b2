'use strict';

// Rules that mean harm, or do it by accident. (What the kernel refuses is tested with the confining program, in Swift.)

const test = require('node:test');
const assert = require('node:assert');
const { Worker, host } = require('./support/worker');

const limit = { timeout: 60_000 };

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

test('a rule that spoils the built-in objects spoils neither frames nor outcomes', limit, async (context) => {
    const worker = await host(context, [
        `function (user, context, callback) {
            if (user.bad) {
                Array.prototype.push = Array.prototype.map = () => { throw new Error('spoilt'); };
                JSON.stringify = JSON.parse = () => { throw new Error('spoilt'); };
                Promise.prototype.then = () => { throw new Error('spoilt'); };
                Map.prototype.get = Map.prototype.set = Map.prototype.delete = () => { throw new Error('spoilt'); };
                Buffer.concat = Buffer.from = () => { throw new Error('spoilt'); };
            }
            user.seen = true;
            callback(null, user, context);
        }`,
    ]);
    assert.equal((await worker.evaluate({ user_id: 'a', bad: true }, {})).outcome, 'completed');
    const after = await worker.evaluate({ user_id: 'b' }, {});
    assert.equal(after.outcome, 'completed');
    assert.equal(after.user.seen, true);
});

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
