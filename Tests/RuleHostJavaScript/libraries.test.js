'use strict';

// HTTP libraries over the in-memory sockets, unmodified.

const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const { host, header } = require('./support/worker');

const limit = { timeout: 60_000 };
const npm = process.env.AFTERLOGIN_NPM;
const onlyWithPackages = { ...limit, skip: npm === undefined && 'AFTERLOGIN_NPM names no folder of packages' };

/** Evaluates a rule whose body has `done(error)`, with answers by path. */
async function run(context, body, answer, load) {
    const worker = await host(context, [
        `function (user, context, callback) { const done = (error) => callback(error, user, context); ${body} }`,
    ], { answer, load });
    return { worker, done: await worker.evaluate({ user_id: 'a' }, {}) };
}

test('request: JSON, forms, query strings, credentials', limit, async (context) => {
    const { worker, done } = await run(context, `
        const request = require('request');
        request({ url: 'https://api.example/one', qs: { a: 'x y', b: [1, 2] }, json: true }, (error, response, body) => {
            user.one = [error, response.statusCode, body.n];
            request.post('https://api.example/two', { form: { a: 1, 'b c': 'ü' } }, (error, response, body) => {
                user.two = body;
                request.put({ uri: 'https://me:secret@api.example/three', json: { deep: { x: 1 } } }, (error, response, body) => {
                    user.three = body;
                    done();
                });
            });
        });`, () => ({ body: '{"n":7}' }));
    assert.equal(done.outcome, 'completed');
    assert.deepEqual(done.user.one, [null, 200, 7]);
    assert.equal(done.user.two, '{"n":7}');
    assert.deepEqual(done.user.three, { n: 7 });
    const [one, two, three] = worker.requests;
    assert.equal(one.url, 'https://api.example/one?a=x%20y&b[0]=1&b[1]=2'.replace(/\[/g, '%5B').replace(/\]/g, '%5D'));
    assert.equal(two.body, 'a=1&b%20c=%C3%BC');
    assert.equal(header(two, 'content-type'), 'application/x-www-form-urlencoded');
    assert.equal(three.method, 'PUT');
    assert.deepEqual(JSON.parse(three.body), { deep: { x: 1 } });
    assert.equal(header(three, 'authorization'), `Basic ${Buffer.from('me:secret').toString('base64')}`);
});

test('request: errors come to the callback, time-outs as those of an open connection', limit, async (context) => {
    const { done } = await run(context, `
        const request = require('request');
        request.get('https://api.example/refused', (error) => {
            user.refused = error.code;
            request.get({ url: 'https://api.example/hang', timeout: 50 }, (error) => { user.hang = [error.code, error.connect]; done(); });
        });`, ({ url }) => (url.endsWith('/hang') ? null
        : { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED', syscall: 'connect', address: '192.0.2.1', port: 443 }));
    assert.deepEqual(done.user, { user_id: 'a', refused: 'ECONNREFUSED', hang: ['ESOCKETTIMEDOUT', false] });
});

test('request: redirects of GET are followed, credentials stay with their host', limit, async (context) => {
    const { worker, done } = await run(context, `
        require('request').get({ url: 'https://api.example/a', headers: { Authorization: 'Bearer x' } }, (error, response, body) => {
            user.body = body; done(error);
        });`, ({ url }) => (url.endsWith('/a')
        ? { status: 302, headers: [['location', 'https://other.example/b']] } : { body: 'there' }));
    assert.equal(done.user.body, 'there');
    assert.equal(worker.requests[1].url, 'https://other.example/b');
    assert.equal(header(worker.requests[1], 'authorization'), undefined);
});

test('request: what is chained, written and piped into it', limit, async (context) => {
    const { worker, done } = await run(context, `
        const request = require('request');
        const { Readable } = require('stream');
        request.post('https://api.example/one', () => {
            const two = request.put('https://api.example/two', () => {
                Readable.from(['pi', 'ped']).pipe(request.post('https://api.example/three', (error, response) => {
                    user.address = response.request.uri.href;
                    done(error);
                }));
            });
            two.write('writ');
            two.end('ten');
        }).form({ a: "(1)" }).auth('me', 'secret').qs({ q: 'x|y' });`);
    assert.equal(done.outcome, 'completed');
    const [one, two, three] = worker.requests;
    assert.equal(one.url, 'https://api.example/one?q=x%7Cy');
    assert.equal(one.body, 'a=%281%29');
    assert.equal(header(one, 'authorization'), `Basic ${Buffer.from('me:secret').toString('base64')}`);
    assert.deepEqual([two.method, two.body], ['PUT', 'written']);
    assert.equal(three.body, 'piped');
    assert.equal(done.user.address, 'https://api.example/three');
});

test('request: forms with files, cookies, text as JSON', limit, async (context) => {
    const { worker, done } = await run(context, `
        const request = require('request');
        const jar = request.jar();
        const formData = { field: 'x', file: { value: Buffer.from('y'), options: { filename: 'y.txt', contentType: 'text/plain' } } };
        request.post({ url: 'https://api.example/one', formData, jar }, () => {
            request.post({ url: 'https://api.example/two', jar, json: true, body: 'text' }, (error) => {
                user.cookies = jar.getCookieString('https://api.example/');
                done(error);
            });
        });`, ({ url }) => ({ headers: url.endsWith('/one') ? [['set-cookie', 'a=1; Path=/'], ['set-cookie', 'b=2']] : [], body: '{}' }));
    assert.equal(done.user.cookies, 'a=1; b=2');
    const [one, two] = worker.requests;
    const [, boundary] = /^multipart\/form-data; boundary=(.+)$/.exec(header(one, 'content-type'));
    assert.equal(one.body, [
        `--${boundary}`, 'Content-Disposition: form-data; name="field"', '', 'x',
        `--${boundary}`, 'Content-Disposition: form-data; name="file"; filename="y.txt"', 'Content-Type: text/plain', '', 'y',
        `--${boundary}--`, '',
    ].join('\r\n'));
    assert.equal(header(two, 'cookie'), 'a=1; b=2');
    assert.equal(two.body, '"text"');
});

test('request: what it cannot do is an error, not left out', limit, async (context) => {
    const { worker, done } = await run(context, `
        const request = require('request');
        request({ url: 'https://api.example', oauth: { consumer_key: 'k' } }, (error) => {
            user.oauth = error.message;
            request({ url: 'https://api.example', agentOptions: { cert: 'c' } }, (error) => { user.cert = error.message; done(); });
        });`);
    assert.match(done.user.oauth, /npm install request/);
    assert.match(done.user.cert, /client certificates/);
    assert.equal(worker.requests.length, 0);
});

test('fetch: bodies, headers, statuses, failures', limit, async (context) => {
    const { worker, done } = await run(context, `
        (async () => {
            const response = await fetch('https://api.example/x', {
                method: 'POST', headers: { 'X-One': '1' }, body: JSON.stringify({ a: 1 }),
            });
            user.status = response.status;
            user.ok = response.ok;
            user.header = response.headers.get('x-two');
            user.text = await response.text();
            try { await fetch('https://api.example/refused'); } catch (error) { user.failure = [error.name, error.cause.code]; }
            done();
        })();`, ({ url }) => (url.endsWith('refused') ? { code: 'ECONNREFUSED', message: 'refused' }
        : { status: 404, headers: [['x-two', '2']], body: 'none' }));
    assert.equal(done.outcome, 'completed', JSON.stringify(done));
    assert.deepEqual(done.user, {
        user_id: 'a', status: 404, ok: false, header: '2', text: 'none', failure: ['TypeError', 'ECONNREFUSED'],
    });
    assert.equal(header(worker.requests[0], 'x-one'), '1');
    assert.equal(worker.requests[0].body, '{"a":1}');
});

const axiosRule = (name) => `
    const axios = require('${name}');
    axios.post('https://api.example/token', { grant: 1 })
        .then(({ data }) => axios.get('https://api.example/profile', { headers: { Authorization: 'Bearer ' + data.token } }))
        .then(({ data }) => { user.plan = data.plan; return axios.get('https://api.example/missing'); })
        .catch((error) => { user.status = error.response.status; return axios.get('https://api.example/hang', { timeout: 50 }); })
        .catch((error) => { user.code = error.code; done(); });`;

function axiosAnswer({ url }) {
    switch (new URL(url).pathname) {
    case '/token': return { body: '{"token":"t"}' };
    case '/profile': return { body: '{"plan":"gold"}' };
    case '/hang': return null;
    default: return { status: 404, body: '{}' };
    }
}

test('axios 0.19.2: the real package', onlyWithPackages, async (context) => {
    const { worker, done } = await run(context, axiosRule('axios@0.19.2'), axiosAnswer, { moduleDirectories: [npm] });
    assert.deepEqual(done.user, { user_id: 'a', plan: 'gold', status: 404, code: 'ECONNABORTED' });
    assert.equal(header(worker.requests[1], 'authorization'), 'Bearer t');
});

test('axios: Debian\'s package', { ...limit, skip: !fs.existsSync('/usr/share/nodejs/axios') }, async (context) => {
    const load = { moduleDirectories: ['/usr/share/nodejs'] };
    const { worker, done } = await run(context, axiosRule('axios@0.19.2'), axiosAnswer, load);
    assert.deepEqual(done.user, { user_id: 'a', plan: 'gold', status: 404, code: 'ECONNABORTED' });
    assert.match(JSON.stringify(worker.loaded.notes), /0\.19\.2/);
});

test('node-fetch 2: the real package', onlyWithPackages, async (context) => {
    const { done } = await run(context, `
        const fetch = require('node-fetch');
        fetch('https://api.example/x', { method: 'POST', body: new URLSearchParams({ a: '1' }), timeout: 1000 })
            .then((response) => response.json()).then((body) => { user.n = body.n; done(); }, done);
    `, () => ({ body: '{"n":3}' }), { moduleDirectories: [npm] });
    assert.equal(done.user.n, 3);
});

test('packages without a network work as they are', onlyWithPackages, async (context) => {
    const { done } = await run(context, `
        const jwt = require('jsonwebtoken');
        const _ = require('lodash');
        const moment = require('moment');
        user.subject = jwt.verify(jwt.sign({ sub: 'a' }, 'secret'), 'secret').sub;
        user.chunks = _.chunk([1, 2, 3], 2);
        user.year = moment('2026-11-24').year();
        require('xml2js').parseString('<a><b>1</b></a>', (error, result) => { user.b = result.a.b[0]; done(error); });
    `, undefined, { moduleDirectories: [npm] });
    assert.deepEqual(done.user, { user_id: 'a', subject: 'a', chunks: [[1, 2], [3]], year: 2026, b: '1' });
});
