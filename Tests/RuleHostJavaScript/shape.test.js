'use strict';

// What compiles, and would fail every login all the same, is said when the rules are loaded: where, and what to write instead.

const test = require('node:test');
const assert = require('node:assert');
const { codeOf } = require('../../Sources/RuleHost/JavaScript/scanner');
const { folder } = require('./support/folder');
const { host } = require('./support/worker');

const limit = { timeout: 60_000 };

async function refusal(context, rules, load) {
    return (await host(context, [].concat(rules), { mayRefuse: true, load })).loaded;
}

const fine = 'function (user, context, callback) { callback(null, user, context); }';

test('what has not the form of a rule is named, with what to write instead', limit, async (context) => {
    for (const [source, line, reason] of [
        ['', 1, /holds no code: write function \(user, context, callback\)/],
        ['// later\n/* more */\n', 1, /holds no code/],
        ["'use strict';\n", 1, /holds no code/],
        ['// old\nexports.onExecutePostLogin = async (event, api) => { api.access.deny("no"); };', 2, /is an Action \(exports\.onExecutePostLogin\)/],
        ['exports.onContinuePostLogin = async (event, api) => {};', 1, /is an Action/],
        ["import axios from 'axios';\nexport default function (user, context, callback) {}", 1, /is an ES module: write const name = require/],
        [`function helper(text) { return text.trim(); }\nfunction rule(user, context, callback) { user.n = helper(user.name); callback(null, user, context); }`,
            1, /the function helper stands above the rule, and would run in its place/],
        [`${fine.replace('function', 'function first')}\n${fine.replace('function', 'async function second')}`, 2, /holds two rules/],
        [`const prefix = 'x';\n${fine}`, 1, /const stands where the rule should.*module\.exports/],
        [`class Thing {}\nmodule.exportz = ${fine}`, 1, /is a class, and rules are called without new/],
        ['function (user, context) { user.seen = true; }', 1, /takes \(user, context\) and no callback/],
        ['async (user) => { user.seen = true; }', 1, /takes \(user\) and no callback/],
        ['module.exports = function (client, scope, audience, context, cb) { cb(null, {}); };', 1, /takes 5 parameters/],
    ]) {
        const { problems } = await refusal(context, source);
        assert.equal(problems?.length, 1, `${source}: ${JSON.stringify(problems)}`);
        assert.equal(problems[0].line, line, source);
        assert.match(problems[0].reason, reason, source);
    }
});

test('what looks unusual and works is let pass', limit, async (context) => {
    for (const source of [
        `function rule(user, context, callback) { user.seen = helper(); callback(null, user, context); }\nfunction helper() { return true; }`,
        'function () { const [user, context, callback] = arguments; user.seen = true; callback(null, user, context); }',
        '(user, ...rest) => { user.seen = true; rest[1](null, user, rest[0]); }',
        'function (user, context, callback = null) { user.seen = true; callback(null, user, context); }',
        `// exports.onExecutePostLogin = async () => {}\n(user, context, done) => { user.seen = 'import x from "y"'.length > 3; done(null, user, context); }`,
        `function rule(user, context, $done) { user.seen = true; $done(null, user, context); }`,
        'async function (user, context, callback) { const import_ = 1; user.seen = import_ === 1; callback(null, user, context); }',
    ]) {
        const worker = await host(context, [source]);
        assert.equal((await worker.evaluate({ user_id: 'a' }, {})).user?.seen, true, source);
        assert.deepEqual(worker.loaded.notes, [], source);
    }
});

test('a callback that is never called is a note', limit, async (context) => {
    const { notes } = (await host(context, ['function (user, context, callback) { user.seen = true; }'])).loaded;
    assert.match(notes[0].text, /never calls its callback.*callback\(null, user, context\)/);
    const { loaded } = await host(context, ['function (user, context, callback) { throw new UnauthorizedError("closed"); }']);
    assert.deepEqual(loaded.notes, []);
});

test('notes come beside problems', limit, async (context) => {
    const directory = folder(context, {
        'node_modules/axios/package.json': '{"name": "axios", "version": "1.0.0"}', 'node_modules/axios/index.js': '',
    });
    const { problems, notes } = await refusal(context, [
        `function (user, context, callback) { require('axios@0.19.2'); callback(null); }`, 'function (',
    ], { directory });
    assert.equal(problems.length, 1);
    assert.match(notes[0].text, /axios@0\.19\.2 is asked for, axios 1\.0\.0 is installed/);
});

test('what is not installed is one line for all rules, with versions', limit, async (context) => {
    const directory = folder(context, { 'package.json': '{}' });
    const { problems, notes } = await refusal(context, [
        `function (user, context, callback) { require('auth0@2.30.0'); require('@scope/thing@1.2.3/inside'); callback(null); }`,
        `function (user, context, callback) { require('auth0@2.9.1'); require('slugger'); callback(null); }`,
    ], { directory });
    const last = problems[problems.length - 1];
    assert.equal(last.file, directory);
    assert.ok(last.reason.endsWith(`npm install --prefix ${directory} auth0@2.30.0 @scope/thing@1.2.3 slugger`), last.reason);
    assert.match(problems[0].reason, /npm install auth0@2\.30\.0/);
    assert.ok(notes.some(({ text }) => /auth0 is asked for in the versions 2\.30\.0, 2\.9\.1/.test(text)), JSON.stringify(notes));
    const one = await refusal(context, `function (user, context, callback) { require('slugger@1.0.0'); callback(null); }`, { directory });
    assert.deepEqual(one.problems.map(({ reason }) => reason), ["Cannot find module 'slugger@1.0.0' (npm install slugger@1.0.0, beside the rules)"]);
});

test('a package that is an ES module only is a problem, and not the first login\'s surprise', limit, async (context) => {
    const directory = folder(context, {
        'node_modules/node-fetch/package.json': '{"name": "node-fetch", "version": "3.3.2", "type": "module", "exports": "./index.js"}',
        'node_modules/node-fetch/index.js': 'export default async function fetch() {}\nexport const Headers = 1;',
    });
    const { problems } = await refusal(context, `function (user, context, callback) {
        const fetch = require('node-fetch');
        fetch('https://api.example/').then(() => callback(null, user, context));
    }`, { directory });
    assert.equal(problems?.length, 1, JSON.stringify(problems));
    assert.equal(problems[0].line, 2);
    assert.match(problems[0].reason, /node-fetch 3\.3\.2 is an ES module only.*npm install node-fetch@2/);
});

test('the code of a source is what is left without comments, strings and regular expressions', () => {
    const left = (source) => codeOf(source).replace(/\s+/g, ' ').trim();
    assert.equal(left('a // b\nc /* d\n */ e'), 'a c e');
    assert.equal(left('f("x", \'y\\\'\', `z ${g({ h: `i ${j} k` })} l`) // `'), "f( , , g({ h: j }) )");
    assert.equal(left('x = /[/"]\'/.test(y) / 2; return /z/'), 'x = .test(y) / 2; return');
    for (const source of ['`${', '"', '/*', '/[', '}`', '`${}`}', "f('a\nb')"]) {
        assert.equal(codeOf(source).length, source.length, source);
        assert.equal(codeOf(source).split('\n').length, source.split('\n').length, source);
    }
});
