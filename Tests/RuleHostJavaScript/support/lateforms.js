'use strict';

// Forms of work after the callback: each calls back, goes on in its own way, and at its end calls `write`, which leaves
// metadata with the login's id. Whatever plain Node would bring to its end is to be seen in the result.

const sleep = 'const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });';

/** @type {[name: string, kind: '' | 'async', body: string, package?: string][]} */
const forms = [
    ['a timer after an answer', '', 'done(); fetch(url).then(() => setTimeout(write, 100));'],
    ['two request calls in a row', '', `const request = require('request'); done();
        request.get({ url, json: true }, () => request.post({ url, json: { id } }, () => write()));`],
    ['an async rule that sleeps', 'async', `${sleep} done(); await sleep(40); write();`],
    ['sleeps between calls', 'async', `${sleep} done(); await fetch(url); await sleep(30); await fetch(url); await sleep(30); write();`],
    ['pbkdf2, promised', 'async', `const { promisify } = require('util'); const { pbkdf2 } = require('crypto');
        done(); await promisify(pbkdf2)('a', 'b', 2000, 32, 'sha256'); write();`],
    ['scrypt with a callback, after an answer', '', `done(); fetch(url).then(() => {
        require('crypto').scrypt('a', 'b', 16, { N: 1024 }, () => { setTimeout(write, 20); });
    });`],
    ['zlib there and back', '', `const zlib = require('zlib'); done();
        zlib.gzip(id, (error, packed) => { zlib.gunzip(packed, (problem, text) => { if (String(text) === id) write(); }); });`],
    ['streams in a pipeline', 'async', `const { Readable, Writable } = require('stream'); const zlib = require('zlib');
        const { pipeline } = require('stream/promises');
        done();
        let text = '';
        const sink = new Writable({ write(chunk, encoding, then) { text += chunk; setTimeout(then, 5); } });
        await pipeline(Readable.from([id, 'x'.repeat(5000)]), zlib.createGzip(), zlib.createGunzip(), sink);
        if (text.startsWith(id)) write();`],
    ['streams piped, by events', '', `const { Readable } = require('stream'); done();
        Readable.from(['a', 'b', id]).pipe(require('zlib').createDeflate()).resume().on('end', () => setImmediate(write));`],
    ['files by promises', '', `const { readFile, stat, open } = require('fs/promises'); done();
        (async () => {
            await stat('/proc/self'); await readFile('/proc/self/statm');
            const handle = await open('/proc/self/statm'); await handle.read(Buffer.alloc(8), 0, 8, 0); await handle.close();
            write();
        })();`],
    ['files by callbacks', '', `const fs = require('fs'); done();
        fs.stat('/proc/self', () => fs.readFile('/proc/self/statm', () => fs.readdir('/proc/self/task', () => setTimeout(write, 20))));`],
    ['a file, line by line', '', `done();
        (async () => {
            const lines = require('readline').createInterface({ input: require('fs').createReadStream('/proc/self/status') });
            let count = 0;
            for await (const line of lines) count += line.length;
            if (count > 0) write();
        })();`],
    ['a folder, entry by entry', '', `done();
        (async () => { for await (const entry of await require('fs/promises').opendir('/proc/self/task')) if (entry.name) await null; write(); })();`],
    ['a chain of immediates', '', 'done(); let left = 50; (function step() { left -= 1; if (left > 0) setImmediate(step); else write(); })();'],
    ['timers in timers', '', 'done(); let left = 6; (function step() { left -= 1; if (left > 0) setTimeout(step, left * 4); else write(); })();'],
    ['ticks, microtasks and a call', '', `done(); process.nextTick(() => queueMicrotask(() => process.nextTick(() => {
        Promise.resolve().then(() => fetch(url)).then(() => queueMicrotask(() => setImmediate(write)));
    })));`],
    ['a streamed body, slowly', '', `done();
        const request = require('http').request(url.replace('https', 'http'), { method: 'POST' }, (response) => {
            response.on('data', () => {}).on('end', () => setTimeout(write, 10));
        });
        request.write('a'); setTimeout(() => { request.write('b'); setTimeout(() => request.end('c'), 10); }, 10);`],
    ['https.get over an agent with few sockets', '', `const https = require('https'); done();
        const agent = global.fewSockets = global.fewSockets || new https.Agent({ keepAlive: true, maxSockets: 20 });
        https.get(url, { agent }, (response) => response.resume().on('end', () => https.get(url, { agent }, (second) => {
            second.resume().on('end', () => setTimeout(write, 10));
        })));`],
    ['retries with back-off', 'async', `${sleep} done();
        for (let attempt = 1; ; attempt += 1) {
            const { ok } = await fetch(url + '/flaky/' + attempt);
            if (ok) break;
            await sleep(15 * attempt);
        }
        write();`],
    ['retries of refused calls, by callbacks', '', `done();
        const attempt = (number) => require('https').get(url + '/refused/' + number, (response) => response.resume().on('end', write))
            .on('error', () => setTimeout(attempt, 10 * number, number + 1));
        attempt(1);`],
    ['Promise.race against a time-out', '', `${sleep} done();
        Promise.race([fetch(url + '/slow'), sleep(10).then(() => { throw new Error('late'); })]).catch(() => sleep(30)).then(write);`],
    ['Promise.all', '', `${sleep} done(); Promise.all([fetch(url), fetch(url + '/slow'), sleep(30)]).then(() => sleep(10)).then(write);`],
    ['Promise.allSettled with a failure', '', `${sleep} done();
        Promise.allSettled([fetch(url + '/refused/1'), sleep(20), fetch(url)]).then(() => fetch(url)).then(() => { setTimeout(write, 10); });`],
    ['once of an emitter', '', `const { EventEmitter, once } = require('events'); done();
        const emitter = new EventEmitter();
        once(emitter, 'go').then(() => fetch(url)).then(write);
        setTimeout(() => emitter.emit('go'), 30);`],
    ['an AbortController as time-out', '', `done();
        const controller = new AbortController(); setTimeout(() => controller.abort(), 30);
        fetch(url + '/hang', { signal: controller.signal }).catch(() => setTimeout(write, 20));`],
    ['AbortSignal.timeout', 'async', `done();
        try { await fetch(url + '/hang', { signal: AbortSignal.timeout(30) }); } catch { await fetch(url); } finally { write(); }`],
    ['setTimeout, promisified', '', `const wait = require('util').promisify(setTimeout); done();
        wait(20).then(() => fetch(url)).then(() => wait(20)).then(write);`],
    ['timers/promises', '', `const timers = require('timers/promises'); done();
        (async () => {
            let steps = 0;
            for await (const value of timers.setInterval(8, 'step')) if ((steps += 1) === 3) break;
            await timers.setTimeout(8); await timers.setImmediate(); await timers.scheduler.wait(8);
            write();
        })();`],
    ['messages between ports', '', `done();
        const { port1, port2 } = new MessageChannel();
        port2.onmessage = ({ data }) => port2.postMessage(data + 1);
        port1.onmessage = ({ data }) => { if (data < 6) port1.postMessage(data + 1); else { port1.close(); write(); } };
        port1.postMessage(0);`],
    ['an async generator', '', `${sleep} done();
        async function* pages() { for (let page = 0; page < 3; page += 1) { await sleep(8); yield await fetch(url + '/' + page); } }
        (async () => { for await (const page of pages()) await page.text(); write(); })();`],
    ['a generator that is driven by promises', '', `${sleep} done();
        const run = (steps, value) => { const step = steps.next(value); if (!step.done) Promise.resolve(step.value).then((next) => run(steps, next)); };
        run((function* work() { yield fetch(url); yield sleep(20); yield fetch(url); write(); })());`],
    ['metadata in finally', '', `${sleep} done();
        (async () => { try { await fetch(url + '/refused/1'); await sleep(1000); } finally { await sleep(20); write(); } })().catch(() => {});`],
    ['a callback in the middle of a chain', '', `${sleep}
        fetch(url).then(() => done()).then(() => sleep(40)).then(() => fetch(url)).then((response) => response.json()).then(() => sleep(20)).then(write);`],
    ['a long chain of promises', '', `done(); let chain = fetch(url);
        for (let link = 0; link < 100; link += 1) chain = chain.then(() => link);
        chain.then(() => { setTimeout(write, 10); });`],
    ['a token that logins share', '', `done();
        if (!global.sharedToken) {
            global.sharedToken = fetch('https://api.example/token/slow').then((response) => response.text());
            global.sharedToken.finally(() => { setTimeout(() => { global.sharedToken = null; }, 5); });
        }
        global.sharedToken.then(() => fetch(url)).then(write);`],
    ['a token that logins share and await, renewed after a pause', '', `${sleep} done();
        global.awaitedToken = global.awaitedToken || (async () => {
            await sleep(30); await fetch('https://api.example/token/slow'); await sleep(30); global.awaitedToken = null;
        })();
        const token = global.awaitedToken;
        (async () => { await token; await fetch(url); write(); })();`],
    ['subtle crypto, a blob and a compiled module', '', `done();
        (async () => {
            const bytes = await new Blob([id]).arrayBuffer();
            await require('crypto').webcrypto.subtle.digest('SHA-256', bytes);
            await WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
            write();
        })();`],
    ['a timer that is refreshed, and one that is referenced again', '', `done();
        let left = 3;
        const timer = setTimeout(() => { left -= 1; if (left > 0) timer.refresh(); else setTimeout(write, 20).unref().ref(); }, 10);`],
    ['axios with a back-off after a 500', '', `${sleep} const axios = require('axios'); done();
        axios.get(url + '/flaky/1').catch(() => sleep(100)).then(() => axios.get(url + '/flaky/3')).then(write);`, 'axios'],
    ['axios with a time-out', '', `const axios = require('axios'); done();
        axios.get(url + '/hang', { timeout: 30 }).catch(() => axios.post(url, { id })).then(write);`, 'axios'],
    ['node-fetch', '', `const fetched = require('node-fetch'); done();
        fetched(url).then((response) => response.json()).then(() => setTimeout(write, 30));`, 'node-fetch'],
    ['callbacks of async', '', `const { waterfall } = require('async'); done();
        waterfall([(next) => setTimeout(next, 10), (next) => fetch(url).then(() => next(null)), (next) => setTimeout(next, 10)], write);`, 'async'],
    ['delays of bluebird', '', `const Bluebird = require('bluebird'); done();
        Bluebird.resolve(fetch(url)).delay(20).then(() => Bluebird.map([1, 2], () => Bluebird.delay(5))).then(write);`, 'bluebird'],
];

/** The source of the rule of a form. */
function source([, kind, body]) {
    return `${kind} function (user, context, callback) {
        const id = user.user_id;
        const url = 'https://api.example/' + id;
        const done = () => callback(null, user, context);
        const write = () => auth0.users.updateAppMetadata(id, { written: id });
        ${body}
    }`;
}

/** What the world answers. */
function answer({ url }) {
    const body = '{"ok":true}';
    if (url.endsWith('/hang')) return null;
    const [, what, attempt] = /\/(flaky|refused)\/(\d+)$/.exec(url) ?? [];
    if (what !== undefined && Number(attempt) < 3) return what === 'flaky' ? { status: 500, body } : { code: 'ECONNREFUSED', syscall: 'connect' };
    if (!url.endsWith('/slow')) return { body };
    return new Promise((resolve) => { setTimeout(resolve, 40, { body }); });
}

module.exports = { forms, source, answer };
