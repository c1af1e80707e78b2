'use strict';

// The short way of Node's HTTP client, beside the way through streams and a parser: whoever looks sees the same.

const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Worker, host } = require('./support/worker');
const { scenes, prologue, answer } = require('./support/exchangescenes');
const { socketScenes } = require('./support/socketscenes');

const limit = { timeout: 60_000 };
const without = ['--require', path.join(__dirname, 'support/withoutshortway.js')];

/**
 * What only a socket with streams says: that it has come to its end where it was destroyed before, when nobody hears of it; and that it takes
 * more, where a light one had taken all (the request says so either way).
 */
const isIdle = (line) => line.startsWith('socket end  [false,true') || line.startsWith('socket drain');

/** What a scene shows of itself, and what the worker saw of it. */
async function play(context, body, flags, load) {
    const worker = await host(context, [`function (user, context, callback) {
        ${prologue}
        const base = 'https://api.example';
        const done = () => { user.lines = lines; callback(null, user, context); };
        ${body}
    }`], { answer, flags, load: { limits: { quiet: 2000 }, ...load } });
    const done = await worker.evaluate({ user_id: 'a' }, {}, { timeout: 4000 });
    const requests = worker.requests.map(({ method, url, headers, body: sent }) => ({ method, url, headers, sent }));
    return {
        outcome: done.outcome, error: done.error?.message, lines: done.user?.lines?.filter((line) => !isIdle(line)), calls: done.rules?.map(({ calls, late }) => [calls, late]),
        requests, cancelled: worker.cancelled.length, warnings: worker.warnings.map(({ text }) => text),
    };
}

test('what can be seen of an exchange is the same with and without the short way', { timeout: 300_000 }, async (context) => {
    for (const [name, body] of Object.entries({ ...scenes, ...socketScenes })) {
        await context.test(name, limit, async (inner) => {
            const [short, long] = await Promise.all([play(inner, body, []), play(inner, body, without)]);
            assert.deepEqual(short, long);
            assert.equal(short.outcome, 'completed');
            assert.ok(short.lines.length > 0);
        });
    }
});

const npm = process.env.AFTERLOGIN_NPM;
const folders = [npm, '/usr/share/nodejs'].filter((folder) => folder !== undefined);
const tell = `
    const tellError = (error) => log(error.name, error.message, error.code, error.errno, error.syscall, error.response?.status);
    const attempt = async (task) => { try { await task(); } catch (error) { tellError(error); } };`;

/** What libraries do, by the package that they are. */
const libraries = {
    axios: `(async () => { ${tell}
        const axios = require('axios');
        const show = ({ status, statusText, headers, data, request }) => log(status, statusText, headers, data, request.path, request.res?.complete);
        await attempt(async () => show(await axios.get(base + '/json', { timeout: 3000 })));
        await attempt(async () => show(await axios.post(base + '/json', { a: 'ä' }, { headers: { authorization: 'Bearer a' } })));
        await attempt(async () => show(await axios.get(base + '/redirect')));
        await attempt(async () => show(await axios.get(base + '/redirect', { maxRedirects: 0 })));
        await attempt(async () => show(await axios.get(base + '/gzip')));
        await attempt(async () => show(await axios.get(base + '/none')));
        await attempt(async () => show(await axios.head(base + '/json')));
        await attempt(async () => show(await axios.get(base + '/failing')));
        await attempt(async () => show(await axios.get(base + '/refused')));
        await attempt(async () => show(await axios.get(base + '/reset')));
        await attempt(async () => show(await axios.post(base + '/redirect', 'text', { headers: { 'content-type': 'text/plain' } })));
        await attempt(async () => show(await axios.put(base + '/json', Buffer.alloc(100000, 'a'))));
        await attempt(async () => show(await axios.get(base + '/json', { auth: { username: 'a', password: 'b' }, params: { q: 'ä' }, validateStatus: null })));
        await attempt(async () => show(await axios.get(base + '/held', { timeout: 20 })));
        await attempt(async () => show(await axios.get(base + '/large', { maxContentLength: 1000 })));
        await attempt(async () => show(await axios.get(base + '/json', { httpsAgent: new https.Agent({ keepAlive: true }) })));
        await attempt(async () => { const { data } = await axios.get(base + '/large', { responseType: 'stream' }); let length = 0; for await (const part of data) length += part.length; log(length); });
        const source = axios.CancelToken.source();
        setTimeout(() => source.cancel('enough'), 20);
        await attempt(async () => show(await axios.get(base + '/held', { cancelToken: source.token })));
        settle();
    })();`,
    'follow-redirects': `
        const { https: following } = require('follow-redirects');
        const ask = (name, method, then) => {
            const request = following.request({ ...require('url').parse(base + name), method, timeout: 1000 }, (response) => {
                log(response.statusCode, response.responseUrl); text(response, then);
            });
            request.on('error', (error) => { log(error.name, error.message, error.code); then(); });
            if (method === 'POST') request.write('a');
            request.end(method === 'POST' ? 'b' : undefined);
        };
        ask('/redirect', 'POST', () => ask('/redirect', 'GET', () => ask('/reset', 'POST', () => ask('/failing', 'GET', settle))));`,
    'node-fetch': `(async () => { ${tell}
        const nodeFetch = require('node-fetch');
        const show = async (response) => log(response.status, response.statusText, response.headers.raw(), response.url, await response.text());
        await attempt(async () => show(await nodeFetch(base + '/json', { method: 'POST', body: 'b' })));
        await attempt(async () => show(await nodeFetch(base + '/redirect')));
        await attempt(async () => show(await nodeFetch(base + '/gzip')));
        await attempt(async () => show(await nodeFetch(base + '/refused')));
        await attempt(async () => show(await nodeFetch(base + '/reset')));
        await attempt(async () => show(await nodeFetch(base + '/failing')));
        await attempt(async () => show(await nodeFetch(base + '/none', { method: 'HEAD' })));
        await attempt(async () => show(await nodeFetch(base + '/redirect', { redirect: 'error' })));
        await attempt(async () => show(await nodeFetch(base + '/json', { agent: new https.Agent({ keepAlive: true }) })));
        await attempt(async () => show(await nodeFetch(base + '/large', { size: 1000 })));
        await attempt(async () => { let length = 0; for await (const part of (await nodeFetch(base + '/large')).body) length += part.length; log(length); });
        await attempt(async () => show(await nodeFetch(base + '/held', { timeout: 20 })));
        settle();
    })();`,
    request: `const request = require('request');
        const asked = [
            { method: 'POST', url: '/json', json: { a: 1 } }, { url: '/redirect' }, { url: '/gzip', gzip: true }, { method: 'HEAD', url: '/json' }, { url: '/none' },
            { url: '/failing', json: true }, { url: '/refused' }, { url: '/reset' }, { url: '/held', timeout: 20 }, { url: '/json', forever: true },
            { url: '/json', pool: { maxSockets: 1 } }, { url: '/large', time: true },
        ];
        const next = () => {
            const options = asked.shift();
            if (options === undefined) { settle(); return; }
            request({ ...options, url: base + options.url }, (error, response, body) => {
                log(error?.message, error?.code, response?.statusCode, response?.headers, String(body?.length ?? body)); next();
            });
        };
        next();`,
};

test('libraries see the same with and without the short way', { timeout: 120_000 }, async (context) => {
    for (const [name, body] of Object.entries(libraries)) {
        const isThere = name === 'request' || folders.some((folder) => fs.existsSync(path.join(folder, name)));
        await context.test(name, { ...limit, skip: !isThere && `the package ${name} is not installed` }, async (inner) => {
            const load = { directory: npm === undefined ? null : path.dirname(npm), moduleDirectories: folders };
            const [short, long] = await Promise.all([play(inner, body, [], load), play(inner, body, without, load)]);
            assert.deepEqual(short, long);
            assert.deepEqual([short.outcome, short.error], ['completed', undefined]);
        });
    }
});

test('a host on a Node with other parsers than it knows does not begin, and says which Node to use', limit, async (context) => {
    const worker = await new Worker({ flags: ['--require', path.join(__dirname, 'support/otherparsers.js')] }).start();
    context.after(() => worker.stop());
    await assert.rejects(worker.load(['function (user, context, callback) { callback(null, user, context); }']), /the host ended \(70\)/);
    assert.match(worker.output, /^rule host: Node v[\d.]+ has other HTTP parsers .*: run rules with Node 18, 20, 22 or 24\n$/);
});

test('nothing that is deprecated is told, whatever a request goes through', limit, async (context) => {
    const worker = await host(context, [`function (user, context, callback) {
        const https = require('https');
        const ask = (options, then) => https.get('https://api.example/', options, (response) => response.resume().on('end', then));
        ask({}, () => ask({ agent: new https.Agent({ keepAlive: true }), highWaterMark: 100 }, () => ask({ cert: '' }, () => callback(null, user, context))));
    }`], { flags: ['--pending-deprecation'] });
    const { outcome } = await worker.evaluate({ user_id: 'a' }, {});
    assert.equal(outcome, 'completed');
    assert.equal(worker.requests.length, 3);
    assert.equal(worker.output, '');
});
