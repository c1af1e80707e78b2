'use strict';

// What all logins of a host share stays what it was, whatever a rule tries; and what packages do with it still works.

const test = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const { folder } = require('./support/folder');
const { host } = require('./support/worker');

const limit = { timeout: 60_000 };

/** A folder of rules with packages in it: `{name: source}`. */
function packaged(context, packages) {
    return folder(context, Object.fromEntries(
        Object.entries(packages).map(([name, source]) => [`node_modules/${name}/index.js`, source]),
    ));
}

/** Each makes something that another login then uses, and says whether it is as it was. */
const attacks = {
    'the method of a class that Node loads late': [
        'Response.prototype.json = async () => ({ stolen: true })', 'return (await new Response("{}").json()).stolen !== true'],
    'what sets headers': ['Headers.prototype.set = function () {}', 'const h = new Headers(); h.set("a", "b"); return h.get("a") === "b"'],
    'random numbers': ['crypto.getRandomValues = Crypto.prototype.getRandomValues = (bytes) => bytes.fill(7)',
        'return crypto.getRandomValues(new Uint8Array(16)).some((byte) => byte !== 7)'],
    'random numbers of the module': ['require("crypto").randomBytes = (size) => Buffer.alloc(size)',
        'return require("crypto").randomBytes(16).some((byte) => byte !== 0)'],
    'a function of the language': ['encodeURIComponent = () => "x"', 'return encodeURIComponent("a b") === "a%20b"'],
    'a global function': ['globalThis.structuredClone = () => "x"', 'return structuredClone(1) === 1'],
    'what loads modules': ['require("module")._load = () => "x"', 'return require("module")._load("path") === require("path")'],
    'what compiles modules': ['require("module").prototype._compile = function () {}; require("module")._extensions[".js"] = () => {}',
        'return !/^(?:function )?\\(\\) => \\{\\}|^function \\(\\) \\{\\}/.test(String(require("module")._extensions[".js"])) && require("module").prototype._compile.length > 0'],
    'the agent of all requests': ['require("http").globalAgent = require("https").globalAgent = { stolen: true }',
        'return require("http").globalAgent.stolen === undefined && require("https").globalAgent.stolen === undefined'],
    'what prepares stacks': ['Error.prepareStackTrace = () => "stolen"; context.stack = new Error("x").stack',
        'return new Error("x").stack !== "stolen"'],
    'the call of a method': ['Object.defineProperty(Array.prototype.slice, "call", { value: () => "x" })', 'return Array.prototype.slice.call([1])[0] === 1'],
    'the call of a class': ['Object.defineProperty(require("stream").Readable, "call", { value: () => {} }); require("events").call = () => {}',
        'const { Readable } = require("stream"); const made = Object.create(Readable.prototype); Readable.call(made); return made._readableState !== undefined'],
    'a method that a class inherits': ['Object.defineProperty(require("net").Socket.prototype, "on", { value() {}, configurable: true }); TypeError.prototype.toString = () => "x"',
        'return require("net").Socket.prototype.on.length === 2 && String(new TypeError("x")) === "TypeError: x"'],
    'a method, by a field of a class': [`class Base { constructor() { return require("net").Socket.prototype; } }
        try { new (class extends Base { emit = () => {}; }); } catch {}`, 'return require("net").Socket.prototype.emit.length === 1'],
    'a method, by another receiver': ['Reflect.set({ emit: 1 }, "emit", () => {}, require("net").Socket.prototype)',
        'return require("net").Socket.prototype.emit.length === 1'],
    'prototypes': [`for (const set of [Object.setPrototypeOf, Reflect.setPrototypeOf, (object, prototype) => { object.__proto__ = prototype; }]) {
            try { set(require("net").Socket.prototype, {}); set(Response.prototype, { stolen: true }); } catch {}
        }
        require("util").inherits(require("net").Socket, class {});`,
    'return new Response("").stolen === undefined && require("net").Socket.prototype instanceof require("stream").Duplex'],
    'room for names': [`for (const close of [Object.freeze, Object.seal, Object.preventExtensions, Reflect.preventExtensions]) {
            for (const object of [require("events").prototype, Object.prototype, Error.prototype, Function.prototype, globalThis]) {
                try { close(object); } catch {}
            }
        }`, 'const one = new (require("events"))(); one.on("x", () => {}); return one.listenerCount("x") === 1 && Object.isExtensible(Object.prototype)'],
    'accessors': [`for (const [object, name] of [[Response.prototype, "status"], [URL.prototype, "href"], [Map.prototype, "size"], [process, "version"]]) {
            try { Object.defineProperty(object, name, { get: () => "x", configurable: true }); } catch {}
        }`, 'return new Response("").status === 200 && new URL("http://a/").href === "http://a/" && new Map().size === 0'],
    'segments of text': [`const made = new Intl.Segmenter().segment("ab");
        try { Object.getPrototypeOf(made).containing = () => "x"; } catch {}
        try { Object.getPrototypeOf(made[Symbol.iterator]()).next = () => ({ done: true }); } catch {}`,
    'const made = new Intl.Segmenter().segment("ab"); return made.containing(0).segment === "a" && [...made].length === 2'],
    'what iterators are turned into': [`if (typeof Iterator === "function") {
            for (const made of [[].values().map(String), Iterator.from({ next: () => ({ done: true }) })]) {
                try { Object.getPrototypeOf(made).next = () => ({ done: true }); } catch {}
            }
        }`, `if (typeof Iterator !== "function") return true;
        let left = 1;
        const counted = Iterator.from({ next: () => ({ done: left-- === 0, value: 1 }) });
        return [...[1].values().map(String)].length === 1 && [...counted].length === 1`],
    'texts of errors': ['Error.prototype.message = "stolen"; TypeError.prototype.name = "Stolen"', 'return new Error().message === "" && new TypeError().name === "TypeError"'],
    'classes of the host': ['UnauthorizedError.prototype.toString = () => "x"; Error.prototype.toString = () => "x"; global.UnauthorizedError = Error',
        'return String(new global.UnauthorizedError("a")) === "UnauthorizedError: a"'],
    'the wrapper of modules': ['require("module").wrapper = ["stolen", ""]; require("module").wrap = () => "x"', 'return require("module").wrapper[0] !== "stolen"'],
    'names of modules': ['require("path").sep = "x"; require("http").STATUS_CODES[404] = "x"; require("util").types.isPromise = () => true',
        'return require("path").sep === "/" && require("http").STATUS_CODES[404] === "Not Found" && !require("util").types.isPromise(1)'],
    'the class that an instance of a package is made of': ['Object.getPrototypeOf(setTimeout(() => {}, 1)).refresh = () => "x"',
        'return setTimeout(() => {}, 1).refresh() !== "x"'],
    'handles of files': ['const handle = await require("fs/promises").open("/dev/null"); Object.getPrototypeOf(handle).read = () => "x"; await handle.close()',
        'const handle = await require("fs/promises").open("/dev/null"); const read = await handle.read(Buffer.alloc(1)); await handle.close(); return read !== "x"'],
    'a module that is loaded late': ['require(String("domain")).create = () => "x"', 'return require(String("domain")).create() !== "x"'],
};

for (const [what, [attack, check]] of Object.entries(attacks)) {
    test(`a rule cannot replace ${what}`, limit, async (context) => {
        const worker = await host(context, [`async function (user, context, callback) {
            try {
                if (user.bad) { ${attack}; }
                else user.isIntact = await (async () => { ${check}; })();
                callback(null, user, context);
            } catch (error) { if (user.bad) callback(null, user, context); else callback(error); }
        }`]);
        const check1 = await worker.evaluate({ user_id: 'before' }, {});
        assert.equal(check1.user?.isIntact, true, JSON.stringify(check1));
        assert.equal((await worker.evaluate({ user_id: 'bad', bad: true }, {})).outcome, 'completed');
        const { user, error } = await worker.evaluate({ user_id: 'after' }, {});
        assert.equal(error, undefined);
        assert.equal(user.isIntact, true);
        assert.equal(worker.closedWith, undefined);
    });
}

test('no function that can be reached from the global object or a module is replaced', limit, async (context) => {
    const directory = packaged(context, { walk: `
        const { builtinModules } = require('module');
        const packages = new Set([require('module')._cache, require('module')._pathCache, process.env, require.main, process.mainModule]);
        /** Everything that another login may call, by the way to it. */
        exports.walk = () => {
            const left = [[globalThis, 'global']];
            for (const name of builtinModules) {
                if (/^(_stream_wrap|node:|inspector|domain|repl|test|trace|wasi|cluster|sqlite|sea|sys|punycode)/.test(name)) continue;
                left.push([require(name), name]);
            }
            const seen = new Map();
            while (left.length > 0) {
                const [object, name] = left.pop();
                if ((typeof object !== 'object' || object === null) && typeof object !== 'function') continue;
                if (seen.has(object) || packages.has(object) || ArrayBuffer.isView(object)) continue;
                const keys = new Map();
                seen.set(object, { name, keys });
                for (const key of Reflect.ownKeys(object)) {
                    const { value, get } = Object.getOwnPropertyDescriptor(object, key);
                    const found = value ?? get?.originalValue;
                    if (typeof key === 'symbol' && typeof found !== 'function') continue;
                    // The state of an instance.
                    if (key === '_events' || key === '_writableState') continue;
                    if (typeof found === 'function') keys.set(key, found);
                    left.push([found, name + '.' + String(key)]);
                }
                left.push([Object.getPrototypeOf(object), name + '.__proto__']);
            }
            return seen;
        };` });
    const worker = await host(context, [`function (user, context, callback) {
        const { walk } = require('walk');
        if (user.step === 'look') {
            global.found = walk();
            user.count = global.found.size;
        } else if (user.step === 'replace') {
            const stolen = function stolen() { throw new Error('stolen'); };
            const kept = [callback, user, context];
            const { apply, defineProperty, deleteProperty, set } = Reflect;
            const all = [];
            for (const [object, { keys }] of global.found) for (const key of keys.keys()) all.push([object, key]);
            let index = 0;
            for (index = 0; index < all.length; index += 1) {
                const object = all[index][0];
                const key = all[index][1];
                // These are put back, which is another test's.
                if (key === 'constructor' || object === RegExp.prototype || object === RegExp) continue;
                try { object[key] = stolen; } catch {}
                try { defineProperty(object, key, { value: stolen, configurable: true, writable: true }); } catch {}
                try { deleteProperty(object, key); } catch {}
            }
            user.tried = index;
        } else {
            user.replaced = [];
            for (const [object, { name, keys }] of global.found) {
                for (const [key, value] of keys) {
                    let present;
                    try { present = object[key]; } catch { continue; }
                    const descriptor = Object.getOwnPropertyDescriptor(object, key);
                    if ((descriptor?.value ?? descriptor?.get?.originalValue) !== value) user.replaced.push(name + '.' + String(key));
                }
            }
        }
        callback(null, user, context);
    }`], { load: { directory, limits: { turn: 30_000 } } });
    const { user: { count } } = await worker.evaluate({ user_id: 'a', step: 'look' }, {});
    assert.ok(count > 3000, `${count} objects`);
    const tried = await worker.evaluate({ user_id: 'b', step: 'replace' }, {});
    assert.equal(tried.error, undefined);
    assert.ok(tried.user.tried > 4000, `${tried.user.tried} functions`);
    const { user, error } = await worker.evaluate({ user_id: 'c', step: 'compare' }, {});
    assert.equal(error, undefined);
    assert.deepEqual(user.replaced, []);
});

test('what instances inherit can be assigned on them', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        'use strict';
        const { EventEmitter } = require('events');
        const { Transform } = require('stream');
        const { inherits } = require('util');
        function OldError(message) { Error.call(this); this.message = message; this.name = 'OldError'; }
        inherits(OldError, Error);
        OldError.prototype.toString = function () { return 'old ' + this.message; };
        class NewError extends Error { constructor(message) { super(message); this.name = 'NewError'; } }
        NewError.from = (text) => new NewError(text);
        function Upper() { Transform.call(this); }
        Upper.prototype = Object.create(Transform.prototype);
        Upper.prototype.constructor = Upper;
        Upper.prototype._transform = function (chunk, encoding, done) { done(null, String(chunk).toUpperCase()); };
        const list = [1];
        list.push = (value) => list.unshift(value);
        list.push(2);
        const emitter = new EventEmitter();
        emitter.emit = () => 'own';
        const call = () => {};
        call.toString = () => 'text';
        const plain = { toString: 1 };
        plain.valueOf = () => 3;
        const promise = Promise.resolve();
        promise.finally = 'own';
        const upper = new Upper();
        upper.on('data', (data) => {
            user.found = [
                String(new OldError('a')), String(NewError.from('b')), new OldError('c') instanceof Error, Upper.prototype.constructor === Upper,
                list, emitter.emit(), String(call), plain + 1, promise.finally, String(data), Object.keys(new OldError('d')),
            ];
            callback(null, user, context);
        });
        upper.write('x');
    }`]);
    const { user, error } = await worker.evaluate({ user_id: 'a' }, {});
    assert.equal(error, undefined);
    assert.deepEqual(user.found, [
        'old a', 'NewError: b', true, true, [2, 1], 'own', 'text', 4, 'own', 'X', ['message', 'name'],
    ]);
    assert.deepEqual(worker.warnings, []);
});

test('names of a package\'s own are added, also after all was locked', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        String.prototype.shout = function () { return this.toUpperCase() + '!'; };
        Error.extra = 1;
        global.fetch = fetch;
        Object.assign(require('events').prototype, { again() { return 'again'; } });
        user.found = ['a'.shout(), Error.extra, new (require('events'))().again()];
        callback(null, user, context);
    }`]);
    assert.deepEqual((await worker.evaluate({ user_id: 'a' }, {})).user.found, ['A!', 1, 'again']);
    assert.deepEqual(worker.warnings, []);
});

test('what packages replace while they are loaded stays replaced', limit, async (context) => {
    const directory = packaged(context, { polyfill: 'Array.prototype.at = function at() { return "polyfill"; }; global.fetch = () => "polyfill";' });
    const worker = await host(context, [`function (user, context, callback) {
        require('polyfill');
        user.found = [[1].at(0), fetch()];
        callback(null, user, context);
    }`], { load: { directory } });
    assert.deepEqual((await worker.evaluate({ user_id: 'a' }, {})).user.found, ['polyfill', 'polyfill']);
});

test('what is refused names the rule, once', limit, async (context) => {
    const worker = await host(context, ['function (user, context, callback) { callback(null, user, context); }',
        'function (user, context, callback) { Date.now = () => 0; user.now = Date.now(); callback(null, user, context); }']);
    for (const id of ['a', 'b']) assert.ok((await worker.evaluate({ user_id: id }, {})).user.now > 0);
    assert.deepEqual(worker.warnings.map(({ rule, kind, text }) => ({ rule, kind, text })), [
        { rule: 1, kind: 'replaced', text: 'Date.now: shared by all logins of this host, and left as it was' },
    ]);
});

test('values are printed as Node prints them', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        class Own { constructor() { this.a = 1; } }
        console.log(new Own(), {}, [1], new Map([[1, 2]]), new Error('x').message, Object.create(null), new URL('http://a/').href, Own);
        console.log('%s %s %o', new Own(), new Date(0), { b: 1 });
        callback(null, user, context);
    }`]);
    await worker.evaluate({ user_id: 'a' }, {});
    assert.deepEqual(worker.consoleLines.map(({ text }) => text), [
        'Own { a: 1 } {} [ 1 ] Map(1) { 1 => 2 } x [Object: null prototype] {} http://a/ [class Own]',
        'Own { a: 1 } 1970-01-01T00:00:00.000Z { b: 1 }',
    ]);
});

test('packages that are loaded after all was locked go on with what they do to it', limit, async (context) => {
    const directory = packaged(context, {
        // As depd does.
        depd: `const { prepareStackTrace } = Error;
            Error.prepareStackTrace = (error, sites) => sites;
            const holder = {};
            Error.captureStackTrace(holder);
            exports.file = holder.stack[0].getFileName();
            Error.prepareStackTrace = prepareStackTrace;`,
        // As graceful-fs does.
        clone: `const fs = require('fs');
            const copy = { __proto__: Object.getPrototypeOf(fs) };
            for (const key of Object.getOwnPropertyNames(fs)) Object.defineProperty(copy, key, Object.getOwnPropertyDescriptor(fs, key));
            copy.close = () => 'own';
            Object.defineProperty(copy, 'ReadStream', { get: () => 'own', set() {}, enumerable: true, configurable: true });
            const { chdir } = process;
            process.chdir = (folder) => chdir(folder);
            Object.setPrototypeOf(process.chdir, chdir);
            exports.found = [copy.close(), copy.ReadStream, typeof copy.readFile, fs.close === copy.close];`,
        // As core-js and colors do.
        polyfill: `Object.defineProperty(Array.prototype, 'push', { value: () => 'own', configurable: true });
            Object.defineProperties(Math, { round: { value: () => 'own' }, own: { value: () => 'own', configurable: true } });
            String.prototype.__defineGetter__('bold', () => 'own');
            Reflect.defineProperty(Array.prototype.map, 'toString', { value: () => 'own' });
            exports.found = [[].push(1), Math.round(0.6), Math.own(), Reflect.set(Map.prototype, 'get', null)];`,
        promised: `const { promisify } = require('util');
            const { pipeline, finished } = require('stream');
            exports.found = [promisify(pipeline) === promisify(pipeline), typeof promisify(finished), typeof promisify(setTimeout)];`,
    });
    const worker = await host(context, [`function (user, context, callback) {
        user.found = ['depd', 'clone', 'polyfill', 'promised'].map((name) => { const { found, file } = require(name); return found ?? file; });
        callback(null, user, context);
    }`], { load: { directory } });
    const { user, error } = await worker.evaluate({ user_id: 'a' }, {});
    assert.equal(error, undefined);
    assert.deepEqual(user.found, [
        path.join(directory, 'node_modules/depd/index.js'), ['own', 'own', 'function', false], [1, 1, 'own', true], [true, 'function', 'function'],
    ]);
});
