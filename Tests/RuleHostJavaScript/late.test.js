'use strict';

// Work after the callback, as in plain Node: in many forms, on a host that is older than its limits, with 200 logins in
// flight and a process beside that spins on each core.
//
// AFTERLOGIN_LATE_LOGINS=1000 runs that many logins of each form (in about a minute); without it they are few.

const test = require('node:test');
const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { host } = require('./support/worker');
const { forms, source, answer } = require('./support/lateforms');

const limit = { timeout: 600_000 };
const loginsOfEach = Number(process.env.AFTERLOGIN_LATE_LOGINS ?? 40);
const atOnce = 200;
const quiet = 200;
const folders = [process.env.AFTERLOGIN_NPM, '/usr/share/nodejs'].filter((folder) => folder !== undefined);
const isInstalled = (name) => name === undefined || folders.some((folder) => fs.existsSync(path.join(folder, name)));

/** Its own timer is the signal that the host is older than a second, and than its limit. */
const ageing = 'function (user, context, callback) { setTimeout(() => callback(null, user, context), 1100); }';

/** Keeps all cores busy until the test ends. */
function spin(context) {
    const loop = 'for (const { ppid } = process; ppid === process.ppid;) for (const until = Date.now() + 50; Date.now() < until;);';
    const spinning = os.cpus().map(() => spawn(process.execPath, ['-e', loop], { stdio: 'ignore' }));
    context.after(() => spinning.forEach((child) => child.kill('SIGKILL')));
}

/** Numbers from 0 to below 1, the same in every run. */
function seeded(seed) {
    let state = seed;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 32;
    };
}

/** An old host with the rules, after one to age it. */
async function oldHost(context, rules, options) {
    const worker = await host(context, [ageing, ...rules], {
        ...options, load: { moduleDirectories: folders, limits: { quiet, turn: 5000, ...options.limits } },
    });
    await worker.evaluate({ user_id: 'first' }, {}, { from: 0, to: 1 });
    return worker;
}

test('no write after the callback is lost, whatever it waited for', limit, async (context) => {
    const present = forms.filter(([, , , name]) => isInstalled(name));
    assert.ok(present.length >= 30);
    const worker = await oldHost(context, present.map(source), { answer });
    spin(context);
    const random = seeded(14);
    const logins = present.flatMap((form, index) => Array.from({ length: loginsOfEach }, () => index));
    for (let at = logins.length - 1; at > 0; at -= 1) {
        const other = Math.floor(random() * (at + 1));
        [logins[at], logins[other]] = [logins[other], logins[at]];
    }
    const lost = {};
    let next = 0;
    await Promise.all(Array.from({ length: atOnce }, async () => {
        while (next < logins.length) {
            const index = logins[next];
            const id = `user-${next}`;
            next += 1;
            const { outcome, appMetadata, rules } = await worker.evaluate({ user_id: id }, {}, { from: index + 1, to: index + 2, timeout: 60_000 });
            if (outcome === 'completed' && appMetadata.set.written === id && rules[0].late.length === 0) continue;
            const [name] = present[index];
            lost[name] ??= { count: 0, late: rules[0].late };
            lost[name].count += 1;
        }
    }));
    context.diagnostic(`${logins.length} logins of ${present.length} forms`);
    assert.deepEqual(lost, {});
    assert.deepEqual(worker.warnings, []);
});

/** What one login came to on an old host, and how long that took by the rule's own clock. */
async function lateLogin(context, body, { kind = '', overrides, ...options } = {}) {
    const worker = await oldHost(context, [source(['', kind, body])], { answer, ...options });
    const before = performance.now();
    const done = await worker.evaluate({ user_id: 'a' }, {}, { from: 1, to: 2, ...overrides });
    return { worker, done, milliseconds: performance.now() - before };
}

test('an interval is ended when all else has been quiet, and the note says so', limit, async (context) => {
    const { done } = await lateLogin(context, 'done(); setInterval(() => {}, 10); setTimeout(write, 2 * 200);', { overrides: { timeout: 60_000 } });
    assert.equal(done.appMetadata.set.written, 'a');
    const [, milliseconds] = /^an interval, or a timer beyond its time, was still running, (\d+) ms after the rule's last activity \(a write of metadata\)$/
        .exec(done.rules[0].late[0]);
    assert.ok(milliseconds >= quiet);
});

test('what is ended is counted from the last activity, not from the callback', limit, async (context) => {
    const { done, milliseconds } = await lateLogin(
        context,
        `done(); (async () => { for (let step = 0; step < 6; step += 1) { await new Promise((resolve) => { setTimeout(resolve, 100); }); } write(); })();
        return new Promise(() => {});`,
        { overrides: { timeout: 60_000 } },
    );
    assert.equal(done.appMetadata.set.written, 'a');
    assert.match(done.rules[0].late[0], /^the promise that it returned was still pending, \d+ ms after the rule's last activity \(a write of metadata\)$/);
    assert.ok(milliseconds >= 600 + quiet);
});

test('a timer that is due in time is waited for, and one that is not is none of an end', limit, async (context) => {
    const due = await lateLogin(context, 'done(); setTimeout(write, 5 * 200);');
    assert.equal(due.done.appMetadata.set.written, 'a');
    assert.deepEqual(due.done.rules[0].late, []);
    const beyond = await lateLogin(context, 'done(); setTimeout(write, 70_000);', { overrides: { timeout: 60_000 } });
    assert.match(beyond.done.rules[0].late[0], /a timer beyond its time, was still running, .* \(a timer\)/);
});

test('a request under way is waited for, however long it takes', limit, async (context) => {
    const slow = () => new Promise((resolve) => { setTimeout(resolve, 5 * quiet, { body: '' }); });
    const { done } = await lateLogin(context, 'done(); setInterval(() => {}, 10); fetch(url).then(write); return new Promise(() => {});', { answer: slow });
    assert.equal(done.appMetadata.set.written, 'a');
    assert.match(done.rules[0].late[0], /was still pending, and an interval/);
});

test('a login waits for the promise of another as long as that is at work', limit, async (context) => {
    const worker = await oldHost(context, [source(['', '', `done();
        if (id === 'first') { global.token = new Promise((resolve) => { setTimeout(resolve, 5 * 200); }); return; }
        global.last = (global.last || global.token).then(() => {});
        global.last.then(write);`])], { answer });
    const evaluate = (id) => worker.evaluate({ user_id: id }, {}, { from: 1, to: 2 });
    const [, second, third] = await Promise.all(['first', 'second', 'third'].map(evaluate));
    assert.deepEqual([second, third].map(({ appMetadata }) => appMetadata.set.written), ['second', 'third']);
    assert.deepEqual([second, third].map(({ rules }) => rules[0].late), [[], []]);
});

test('a promise of another login that nobody settles is waited for once', limit, async (context) => {
    const worker = await oldHost(context, [source(['', '', `done();
        global.never = global.never || new Promise(() => {});
        global.never.then(write);`])], { answer });
    const late = [];
    for (const id of ['owner', 'a', 'b']) late.push((await worker.evaluate({ user_id: id }, {}, { from: 1, to: 2 })).rules[0].late);
    assert.deepEqual(late[0], []);
    assert.match(late[1][0], /^it still waited for a promise of another login, \d+ ms after the rule's last activity \(a promise\)$/);
    assert.deepEqual(late[2], []);
});
