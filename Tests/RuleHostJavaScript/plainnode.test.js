'use strict';

// Node's HTTP client in a rule host, beside a plain Node that asks a server on this machine: a rule sees the same of its requests.

const test = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const { promisify } = require('node:util');
const execFile = promisify(require('node:child_process').execFile);
const { host } = require('./support/worker');
const { scenes, prologue, answer, overHTTP } = require('./support/exchangescenes');
const { socketScenes } = require('./support/socketscenes');

/**
 * Not the same, in one Node or in all: an answer comes whole and at once, so what is given up in its middle is complete; the worker refuses
 * and fails in its own words; addresses, ports and what goes with TLS are others.
 */
const others = new Set([
    'HEAD', 'headers that are not plain', 'a header that is not one', 'a header with a line break', 'refused', 'unknown host', 'reset',
    'http, with a port', 'GET with a body', 'a response that is piped', 'a response that is iterated', 'an iteration that is left',
    'setTimeout of a response', 'abort in the body', 'destroy of the response', 'abort in a small answer', 'destroy of a small response',
    'an agent that makes its own connections', 'a connection of the request\'s own', 'the socket', 'the socket is ended',
    'the end of the response is awaited', 'a pipeline', 'more than was announced', 'upgrade', 'CONNECT', 'TRACE',
    'a certificate of the client', 'a local socket', 'a path that cannot be', 'a header that cannot be', 'headers as a list',
    'writing once it is ended', 'promises of events', 'two at once, and one after', 'a time-out that cannot be',
    'addresses of the socket', 'resetAndDestroy', 'an agent of http for https', 'an agent that is none', 'a request that is constructed',
    'options of a request', 'a lenient parser', 'a pipeline of promises', 'once, for an error', 'a response that is listened to later',
    'a response as a stream of the web', 'an upgrade that is listened for', 'expect, without a listener', 'a header that is taken off',
]);
/** By the clock, and so at times another way round. */
const timed = new Set(['the option timeout, late', 'a time-out that nobody acts on', 'context of events', 'a signal of a time']);
const names = Object.keys({ ...scenes, ...socketScenes }).filter((name) => !others.has(name) && !timed.has(name));

/** Events of requests and responses, and bodies. When a response is closed follows from when its connection is. */
const compared = (lines) => lines.filter((line) => /^(?:request|response|body) /.test(line) && !line.startsWith('response close'));

test('a rule sees of an exchange what a plain Node shows', { timeout: 120_000 }, async (context) => {
    const { stdout } = await execFile(process.execPath, [path.join(__dirname, 'support/plainnode.js'), ...names], { maxBuffer: 100 << 20 });
    const plain = JSON.parse(stdout);
    const cases = names.map((name) => `case ${JSON.stringify(name)}: { ${overHTTP(scenes[name] ?? socketScenes[name])} } break;`);
    const worker = await host(context, [`function (user, context, callback) {
        ${prologue}
        const base = 'http://api.example';
        const done = () => { user.lines = lines; callback(null, user, context); };
        switch (user.scene) { ${cases.join('\n')} }
    }`], { answer });
    assert.ok(names.length > 90);
    for (const name of names) {
        const { outcome, error, user } = await worker.evaluate({ user_id: 'a', scene: name }, {});
        assert.equal(outcome, 'completed', `${name}: ${error?.message}`);
        const lines = compared(user.lines);
        assert.ok(lines.length > 0, name);
        assert.deepEqual(lines, compared(plain[name]), name);
    }
});
