'use strict';

// What a package of one rule cannot reach: other logins, the host's own modules, the secrets of evaluations, the watchdog.

const test = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const { folder } = require('./support/folder');
const { host } = require('./support/worker');

const limit = { timeout: 60_000 };

/** A folder of rules with one package in it, so that its rule looks like any other. */
function packaged(context, source) {
    return folder(context, { 'node_modules/spy/index.js': source });
}

/** A login that is in flight, with open requests of several kinds, while another one spies. */
async function spiedOn(context, source, rule) {
    const worker = await host(context, [
        `function (user, context, callback) {
            global.promise = fetch('https://api.example/held');
            require('https').get('https://api.example/held');
            global.timer = setTimeout(() => {}, 10_000);
        }`,
        rule,
    ], { load: { directory: packaged(context, source) }, answer: ({ url }) => (url.endsWith('/held') ? null : { body: '{}' }) });
    worker.evaluate({ user_id: 'victim' }, {}, { to: 1 }).catch(() => {});
    while (worker.requests.length < 2) await new Promise((resolve) => { worker.onRequest = resolve; });
    return { worker, secret: worker.secrets.get(1).toString('hex') };
}

/** Walks all that can be reached from `roots`, and calls `bytes` with each buffer and text, and `object` with each object. */
const walker = `
    const util = require('util');
    exports.walk = function walk(roots, bytes, object) {
        const seen = new Set();
        const left = [...roots];
        const buffers = new Set();
        let count = 0;
        while (left.length > 0 && count < 2_000_000) {
            const value = left.pop();
            if (typeof value === 'string') bytes(value);
            if (value === null || (typeof value !== 'object' && typeof value !== 'function') || seen.has(value)) continue;
            seen.add(value);
            count += 1;
            if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
                const buffer = ArrayBuffer.isView(value) ? value.buffer : value;
                if (!buffers.has(buffer)) { buffers.add(buffer); bytes(Buffer.from(buffer)); }
                continue;
            }
            object(value);
            if (util.types.isMap(value)) for (const [key, item] of Map.prototype.entries.call(value)) left.push(key, item);
            if (util.types.isSet(value)) for (const item of Set.prototype.values.call(value)) left.push(item);
            let keys = [];
            try { keys = Reflect.ownKeys(value); left.push(Object.getPrototypeOf(value)); } catch {}
            for (const key of keys) {
                let descriptor;
                try { descriptor = Object.getOwnPropertyDescriptor(value, key); } catch { continue; }
                if (descriptor === undefined) continue;
                if ('value' in descriptor) left.push(descriptor.value);
                else { left.push(descriptor.get, descriptor.set); try { left.push(value[key]); } catch {} }
            }
        }
        return count;
    };
`;

test('no secret, no login and no module of the host can be reached by walking', limit, async (context) => {
    const { worker, secret } = await spiedOn(context, `${walker}
        const own = ['FrameSocket', 'FrameWriter', 'Evaluation', 'RuleRun', 'RuleWork', 'Exchange', 'FarEnd', 'Loader', 'Frame', 'Answer'];
        exports.look = (secret, roots) => {
            const found = { buffers: 0, objects: [], text: 0 };
            // Not in the pool that all buffers share.
            const wanted = Buffer.allocUnsafeSlow(16);
            wanted.write(secret, 'hex');
            const text = wanted.latin1Slice();
            found.count = exports.walk([
                globalThis, module, require, require('module'), process, ...require('module').builtinModules.map((name) => {
                    try { return require(name); } catch { return null; }
                }), ...roots,
            ], (bytes) => {
                if (bytes.includes(typeof bytes === 'string' ? text : wanted)) found.buffers += 1;
            }, (object) => {
                const name = typeof object === 'object' && object.constructor?.name;
                if (own.includes(name)) found.objects.push(name);
                if (object.user_id === 'victim') found.text += 1;
                if (typeof object === 'function' && own.includes(object.name)) found.objects.push(object.name);
            });
            return found;
        };`, `async function (user, context, callback) {
            const spy = require('spy');
            const hooks = require('async_hooks');
            const resources = [hooks.executionAsyncResource()];
            hooks.createHook({ init(id, type, trigger, resource) { resources.push(resource); } }).enable();
            const sites = [];
            const prepare = Error.prepareStackTrace;
            Error.prepareStackTrace = (error, found) => { sites.push(...found.flatMap((site) => [site.getThis(), site.getFunction()])); };
            new Error('where').stack;
            Error.prepareStackTrace = prepare;
            const request = require('https').get('https://api.example/own');
            const answered = new Promise((resolve) => {
                request.on('response', (answer) => { resources.push(answer); answer.resume().on('end', resolve); });
            });
            const response = await fetch('https://api.example/own');
            const inside = setTimeout(() => {}, 5);
            resources.push(hooks.executionAsyncResource());
            await new Promise((resolve) => { setImmediate(() => { resources.push(hooks.executionAsyncResource()); resolve(); }); });
            await answered;
            const body = require('zlib').createGzip();
            body.end('x');
            user.found = spy.look(user.secret, [...resources, ...sites, request, request.socket, response, inside, body, callback, user, context]);
            callback(null, user, context);
        }`);
    const { user, error } = await worker.evaluate({ user_id: 'spy', secret }, {}, { from: 1, timeout: 50_000 });
    assert.equal(error, undefined);
    assert.ok(user.found.count > 5000);
    assert.deepEqual({ ...user.found, count: 0 }, { buffers: 0, objects: [], text: 0, count: 0 });
});

test('what Node\'s methods are given holds no secret of another', limit, async (context) => {
    const { worker, secret } = await spiedOn(context, `
        const { apply, ownKeys, getOwnPropertyDescriptor, defineProperty } = Reflect;
        const { isView } = ArrayBuffer;
        const { indexOf } = Uint8Array.prototype;
        exports.calls = 0;
        exports.seen = [];
        // As it is loaded, since later all that is locked.
        listen();
        function listen() {
            new Response();
            let wanted = null;
            let text = '';
            exports.want = (bytes) => { wanted = bytes; text = String.fromCharCode(...bytes); };
            const { includes } = String.prototype;
            const holds = (value) => {
                if (wanted === null) return false;
                if (typeof value === 'string') return apply(includes, value, [text]);
                if (!isView(value) || value.byteLength < 16) return false;
                const bytes = new Uint8Array(value.buffer);
                for (let at = apply(indexOf, bytes, [wanted[0]]); at !== -1; at = apply(indexOf, bytes, [wanted[0], at + 1])) {
                    let length = 1;
                    while (length < 16 && bytes[at + length] === wanted[length]) length += 1;
                    if (length === 16) return true;
                }
                return false;
            };
            const net = require('net');
            const stream = require('stream');
            const handle = new net.Socket({ fd: 1, readable: false, writable: false })._handle;
            let isLooking = false;
            for (const [name, object] of Object.entries({
                Buffer, buffers: Buffer.prototype, bytes: Uint8Array.prototype, typed: Object.getPrototypeOf(Uint8Array.prototype),
                Socket: net.Socket.prototype, Writable: stream.Writable.prototype, Readable: stream.Readable.prototype,
                Duplex: stream.Duplex.prototype, emitter: require('events').prototype, pipe: Object.getPrototypeOf(handle),
                streams: Object.getPrototypeOf(Object.getPrototypeOf(handle)), Map: Map.prototype, Set: Set.prototype, WeakMap: WeakMap.prototype,
                Array: Array.prototype, Reflect, JSON, Math, Function: Function.prototype,
            })) {
                for (const key of ownKeys(object)) {
                    const descriptor = getOwnPropertyDescriptor(object, key);
                    if (typeof descriptor.value !== 'function' || key === 'constructor' || key === 'onread' || !descriptor.configurable) continue;
                    if (object === Function.prototype && key !== 'call' && key !== 'apply' && key !== 'bind') continue;
                    const original = descriptor.value;
                    defineProperty(object, key, { ...descriptor, value: function spying() {
                        if (!isLooking) {
                            isLooking = true;
                            exports.calls += 1;
                            if (holds(this)) exports.seen[exports.seen.length] = name;
                            for (let index = 0; index < arguments.length; index += 1) {
                                if (holds(arguments[index])) exports.seen[exports.seen.length] = name;
                            }
                            isLooking = false;
                        }
                        return new.target === undefined ? apply(original, this, arguments) : Reflect.construct(original, arguments, new.target);
                    } });
                }
            }
        }`, `function (user, context, callback) {
            const spy = require('spy');
            const wanted = user.secret.match(/../g).map((digits) => parseInt(digits, 16));
            const https = require('https');
            spy.want(wanted);
            fetch('https://api.example/one', { method: 'POST', body: 'x' }).then((response) => response.text()).then(() => {
                https.get('https://api.example/two', (response) => response.resume().on('end', () => {
                    user.calls = spy.calls;
                    user.seen = spy.seen;
                    callback(null, user, context);
                }));
            }).catch(callback);
        }`);
    const { user, error } = await worker.evaluate({ user_id: 'spy', secret }, {}, { from: 1 });
    assert.equal(error, undefined);
    assert.ok(user.calls > 20, `${user.calls} calls were heard`);
    assert.deepEqual(user.seen, []);
});

test('nobody acts in the name of another login by what is on its resources', limit, async (context) => {
    const { worker } = await spiedOn(context, `
        // Whatever has a symbol for its name on what the other login left behind.
        exports.marksOf = (objects) => {
            const marks = [];
            for (const object of objects) for (const key of Object.getOwnPropertySymbols(object)) {
                const { value } = Object.getOwnPropertyDescriptor(object, key);
                if (typeof value === 'object' && value !== null) marks.push([key, value]);
            }
            return marks;
        };
        exports.disguise = (object, marks) => { for (const [key, value] of marks) try { object[key] = value; } catch {} };`, `function (user, context, callback) {
        const spy = require('spy');
        const hooks = require('async_hooks');
        const { globalAgent } = require('https');
        const found = [global.promise, global.timer, ...Object.values(globalAgent.sockets).flat(), ...Object.values(globalAgent.requests).flat()];
        const marks = spy.marksOf([...found, ...found.map((one) => one._httpMessage).filter((one) => one)]);
        user.marks = marks.length;
        setImmediate(() => {
            spy.disguise(hooks.executionAsyncResource(), marks);
            console.log('spied');
            require('https').get('https://api.example/spied', (response) => response.resume().on('end', () => callback(null, user, context)));
        });
    }`);
    const { user } = await worker.evaluate({ user_id: 'spy' }, {}, { from: 1 });
    assert.ok(user.marks > 0);
    assert.deepEqual(worker.consoleLines.map(({ evaluation, text }) => [evaluation, text]), [[2, 'spied']]);
    assert.deepEqual(worker.requests.filter(({ url }) => url.endsWith('/spied')).map(({ evaluation }) => evaluation), [2]);
});

test('modules of the host are not handed out', limit, async (context) => {
    const directory = packaged(context, `
        const { Module } = require('module');
        const folder = ${JSON.stringify(path.join(__dirname, '../../Sources/RuleHost/JavaScript'))};
        const isOwn = (file) => String(file).startsWith(folder) && !String(file).includes('provided');
        exports.look = () => {
            const found = [...Object.keys(require.cache), ...Object.keys(Module._cache)].filter(isOwn);
            for (const main of [require.main, process.mainModule]) if (main !== undefined && (isOwn(main.filename) || main.children.length > 0)) found.push('main');
            for (let parent = module; parent !== null && parent !== undefined; parent = parent.parent) {
                found.push(...[parent, ...parent.children].map(({ filename }) => filename).filter(isOwn));
            }
            for (const name of ['evaluation.js', 'main', 'frames', '../JavaScript/exchanges']) {
                try { require(folder + '/' + name); found.push(name); } catch (error) { if (!/the rule host's own/.test(error.message)) found.push(error.message); }
            }
            return found;
        };`);
    const worker = await host(context, [
        `async function (user, context, callback) {
            await fetch('https://api.example').then((response) => response.clone().text());
            require('request');
            user.found = [...require('spy').look(), ...Object.keys(require.cache).filter((file) => /JavaScript.[a-z]+\\.js$/.test(file))];
            callback(null, user, context);
        }`,
    ], { load: { directory } });
    assert.deepEqual((await worker.evaluate({ user_id: 'a' }, {})).user.found, []);
});

test('what would show or unguard the whole process is refused, and names the rule', limit, async (context) => {
    const worker = await host(context, [{ name: 'curious', file: '/rules/curious.js', source: `async function (user, context, callback) {
        const v8 = require('v8');
        const Module = require('module');
        const imported = await new Function('return import("node:v8")')().catch(() => ({}));
        user.refused = [];
        for (const [object, name] of [
            [v8, 'getHeapSnapshot'], [v8, 'writeHeapSnapshot'], [v8, 'setFlagsFromString'], [v8, 'setHeapSnapshotNearHeapLimit'],
            [v8.startupSnapshot, 'addSerializeCallback'], [v8.startupSnapshot, 'setDeserializeMainFunction'], [Module, 'register'], [Module, 'registerHooks'],
            [Module, 'runMain'], [imported, 'getHeapSnapshot'],
        ]) {
            if (typeof object?.[name] !== 'function') continue;
            try { object[name]('x', () => {}); user.refused.push('not ' + name); } catch (error) {
                if (error.code !== 'ERR_RULE_FORBIDDEN' || !error.message.includes('rule curious')) user.refused.push(error.message);
            }
        }
        callback(null, user, context);
    }` }]);
    assert.deepEqual((await worker.evaluate({ user_id: 'a' }, {})).user.refused, []);
});

test('the worker\'s frames cannot be read', limit, async (context) => {
    const worker = await host(context, [`async function (user, context, callback) {
        const fs = require('fs');
        const net = require('net');
        const { once } = require('events');
        const { promisify } = require('util');
        const bytes = Buffer.alloc(10);
        user.refused = [];
        for (const read of [
            () => fs.readSync(3, bytes), () => promisify(fs.read)(3, bytes), () => fs.readvSync(3, [bytes]), () => promisify(fs.readv)(3, [bytes]),
            () => fs.readFileSync(3), () => promisify(fs.readFile)(3), () => new net.Socket({ fd: 3 }), () => fs.openSync('/proc/self/fd/3', 'r'),
            () => once(fs.createReadStream('', { fd: 3 }), 'data'), () => fs.closeSync(3),
        ]) try { await read(); user.refused.push('not ' + read); } catch (error) { user.refused.push(error.code); }
        callback(null, user, context);
    }`]);
    const { user, error } = await worker.evaluate({ user_id: 'a' }, {});
    assert.equal(error, undefined);
    assert.deepEqual(user.refused, ['EBADF', 'EBADF', 'EBADF', 'EBADF', 'EBADF', 'EBADF', 'EEXIST', 'ENXIO', 'EBADF', 'EBADF']);
    assert.equal((await worker.evaluate({ user_id: 'b' }, {})).outcome, 'completed');
});

/** Takes a descriptor of the watchdog's away as soon as it is there, and may put another file in its place. */
const tampering = (name, replacement) => `function (user, context, callback) {
    const fs = require('fs');
    (function tamper() {
        for (const number of fs.readdirSync('/proc/self/fd')) {
            let target = '';
            try { target = fs.readlinkSync('/proc/self/fd/' + number); } catch {}
            if (!target.endsWith('${name}')) continue;
            fs.closeSync(Number(number));
            ${replacement === undefined ? '' : `while (fs.openSync('${replacement}', 'r') < Number(number));`}
            return;
        }
        setTimeout(tamper, 20);
    })();
}`;

for (const [name, replacement] of [
    ['/statm', undefined], ['/statm', '/dev/null'], ['/statm', '/proc/loadavg'], ['/statm', '/proc/thread-self/schedstat'],
    ['/schedstat', undefined], ['/schedstat', '/dev/null'], ['/schedstat', '/proc/uptime'], ['/schedstat', '/proc/1/schedstat'],
]) {
    test(`a watchdog that finds ${replacement ?? 'nothing'} in the place of ${name} ends the host`, limit, async (context) => {
        const worker = await host(context, [tampering(name, replacement)]);
        worker.evaluate({ user_id: 'a' }, {}, { timeout: 20_000 }).catch(() => {});
        const { signal } = await worker.closed;
        assert.equal(signal, 'SIGKILL');
        assert.match(worker.lastWords, /^nonsense$/m);
    });
}
