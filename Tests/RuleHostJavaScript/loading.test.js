'use strict';

// From the text of a rule to a function: its form, its modules, and all that is wrong with them.

const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { folder } = require('./support/folder');
const { host } = require('./support/worker');

const limit = { timeout: 60_000 };

/** What is wrong with rules. */
async function problems(context, rules, load) {
    return (await host(context, [].concat(rules), { mayRefuse: true, load })).loaded.problems;
}

test('all that is wrong with the rules is said at once, with its place', limit, async (context) => {
    const worker = await host(context, [
        'function (user, context, callback) {\n  callback(;\n}',
        'function (user, context, callback) { require("no-such-module-at-all"); callback(null); }',
        'function (user, context, callback) { try { require("optional-thing"); } catch (e) {} callback(null); }',
    ], { mayRefuse: true });
    const { problems } = worker.loaded;
    assert.equal(problems.length, 2, JSON.stringify(problems));
    assert.equal(problems.find(({ rule }) => rule === 'rule0').line, 2);
    assert.match(problems.find(({ rule }) => rule === 'rule1').reason, /no-such-module-at-all/);
});

test('a rule may be written in many ways', limit, async (context) => {
    const body = '{ user.seen = true; callback(null, user, context); }';
    for (const source of [
        `(user, context, callback) => ${body}`,
        `async (user, context, callback) => ${body};`,
        `/* before */ // and\n(function named(user, context, callback) ${body}); // after`,
        `module.exports = function (user, context, callback) ${body};`,
        `const field = 'seen';\nfunction rule(user, context, callback) { user[field] = true; callback(null, user, context); }\nmodule.exports = rule;`,
        `${'/* many comments */ '.repeat(60)}'use strict';\nfunction rule(user, context, callback) ${body}`,
        `\ufefffunction (user, context, callback) ${body}`,
    ]) {
        const worker = await host(context, [source]);
        assert.equal((await worker.evaluate({ user_id: 'a' }, {})).user?.seen, true, source);
    }
});

test('what can not be a rule is named at its place', limit, async (context) => {
    for (const [source, line, reason] of [
        ["'use strict';\nfunction (user, context, callback) {\n  callback(;\n}", 3, /SyntaxError/],
        ['module.exports = function (user, context, callback) {\n  callback(;\n}', 2, /SyntaxError/],
        ['function* (user, context, callback) { callback(null); }', 1, /generator/],
        ['module.exports = { rule() {} };', 1, /one function expression/],
    ]) {
        const [problem] = await problems(context, source);
        assert.equal(problem.line, line, source);
        assert.match(problem.reason, reason, source);
    }
});

test('modules are loaded with the rules, and what they throw is a problem of the rule', limit, async (context) => {
    const directory = folder(context, {
        'node_modules/broken/index.js': 'throw new TypeError("does not work here");',
        'node_modules/fine/index.js': 'global.loads = (global.loads || 0) + 1; exports.loads = global.loads;',
        'node_modules/native/index.js': 'module.exports = require("./addon.node");',
        'node_modules/native/addon.node': '',
    });
    const found = await problems(context, [
        'function (user, context, callback) {\n  require("broken"); }',
        'function (user, context, callback) { try { require("broken"); } catch (error) {} callback(null); }',
        'function (user, context, callback) { require("native"); }',
    ], { directory });
    assert.deepEqual(found.map(({ rule, line }) => ({ rule, line })), [{ rule: 'rule0', line: 2 }, { rule: 'rule2', line: 1 }]);
    assert.match(found[0].reason, /broken.*does not work here/);
    assert.match(found[1].reason, /native.*not available to rules/);
    const worker = await host(context, [
        'function (user, context, callback) { const before = global.loads; user.loads = [before, require("fine").loads]; callback(null, user); }',
    ], { load: { directory } });
    assert.deepEqual((await worker.evaluate({ user_id: 'a' }, {})).user.loads, [1, 1]);
});

test('a global of Auth0\'s sandbox is there, or a problem where it is used', limit, async (context) => {
    const directory = folder(context, {
        'node_modules/lodash/index.js': 'exports.map = (list, change) => list.map(change);',
        'node_modules/uuid/index.js': 'exports.v4 = () => "id";',
    });
    const worker = await host(context, [
        'function (user, context, callback) { user.seen = [_.map([1], (n) => n + 1), uuid.v4(), typeof request.get]; callback(null, user); }',
    ], { load: { directory } });
    assert.deepEqual((await worker.evaluate({ user_id: 'a' }, {})).user.seen, [[2], 'id', 'function']);
    const found = await problems(context, `function (user, context, callback) {
        user.n = _.map([1], (n) => n);
        async.series([], () => { jwt.decode(user.token); });
        callback(null);
    }`);
    assert.deepEqual(found.map(({ line, column }) => [line, column]), [[2, 18], [3, 9], [3, 34], [0, 0]]);
    assert.match(found[3].reason, /npm install --prefix \. lodash async jsonwebtoken$/);
    assert.match(found[0].reason, /^_ was the module 'lodash' in Auth0's sandbox: .*npm install lodash/);
});

test('a name of a rule\'s own is no global of the sandbox', limit, async (context) => {
    assert.equal(await problems(context, `function (user, context, callback) {
        const ip = context.request && context.request.ip.trim();
        const { mongo } = configuration; mongo && mongo.connect();
        const object = { jwt: 1, moment() { return 1; } }; object.uuid && object.uuid.v4();
        const run = async (x) => x; async function other() {}
        const text = 'xpath.select()' + \`\${'pg.x'}\`; // cheerio.load()
        if (typeof bcrypt !== 'undefined') bcrypt.hash('x', 1, () => {});
        try { knex.select(); } catch (error) { user.optional = true; }
        [1].map((_, index) => index).forEach((q) => q.toFixed());
        callback(null);
    }`), undefined);
});

test('a link out of the rules\' folder is named where it cannot be followed', limit, async (context) => {
    const directory = folder(context, {});
    fs.mkdirSync(path.join(directory, 'rules/node_modules'), { recursive: true });
    fs.mkdirSync(path.join(directory, 'elsewhere'));
    fs.symlinkSync('../../elsewhere', path.join(directory, 'rules/node_modules/linked'));
    const worker = await host(context, ['function (user, context, callback) { require("linked"); }'], {
        mayRefuse: true, load: { directory: path.join(directory, 'rules') },
    });
    const { reason } = worker.loaded.problems[0];
    assert.match(reason, /elsewhere, where a link leads, is outside of the rules' folder/);
});
