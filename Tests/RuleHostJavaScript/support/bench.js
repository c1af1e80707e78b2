'use strict';

// Processor time of a rule host per login, with 256 evaluations in flight, each with one request:
//     AFTERLOGIN_NPM=FOLDER/node_modules node Tests/RuleHostJavaScript/support/bench.js [fetch axios request https none]

const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('./worker');

const concurrency = 256;
const warmUp = 10_000;
const measured = Number(process.env.LOGINS ?? 20_000);
const address = 'https://api.example/profiles/auth0%7C1';

const rules = {
    none: 'function (user, context, callback) { user.plan = "gold"; callback(null, user, context); }',
    fetch: `async function (user, context, callback) {
        const response = await fetch('${address}', { headers: { authorization: 'Bearer abc' } });
        user.plan = (await response.json()).plan;
        callback(null, user, context);
    }`,
    axios: `function (user, context, callback) {
        const axios = require('axios@0.19.2');
        axios.get('${address}', { headers: { authorization: 'Bearer abc' }, timeout: 5000 }).then(({ data }) => {
            user.plan = data.plan;
            callback(null, user, context);
        }, callback);
    }`,
    request: `function (user, context, callback) {
        const request = require('request');
        request.get({ url: '${address}', json: true, auth: { bearer: 'abc' } }, (error, response, body) => {
            if (error) return callback(error);
            user.plan = body.plan;
            callback(null, user, context);
        });
    }`,
    https: `function (user, context, callback) {
        require('https').get('${address}', { headers: { authorization: 'Bearer abc' } }, (response) => {
            let text = '';
            response.on('data', (data) => { text += data; });
            response.on('end', () => { user.plan = JSON.parse(text).plan; callback(null, user, context); });
        });
    }`,
    nodefetch: `async function (user, context, callback) {
        const response = await require('node-fetch')('${address}', { headers: { authorization: 'Bearer abc' } });
        user.plan = (await response.json()).plan;
        callback(null, user, context);
    }`,
};

const user = {
    user_id: 'auth0|5f7c8ec7c33c6c004bbafe82', email: 'ada@example.com', email_verified: true, name: 'Ada', nickname: 'ada',
    picture: 'https://example.com/a.png', created_at: '2024-01-01T00:00:00Z', updated_at: '2024-01-01T00:00:00Z',
    identities: [{ user_id: '5f7c8ec7c33c6c004bbafe82', provider: 'auth0', connection: 'users', isSocial: false }],
    last_ip: '203.0.113.7', logins_count: 12,
};
const context = {
    tenant: 'example', clientID: 'c1', clientName: 'App', connection: 'users', protocol: 'oidc-basic-profile', sessionID: 'abc',
    stats: { loginsCount: 12 }, request: { ip: '203.0.113.7', userAgent: 'Mozilla/5.0', hostname: 'example.eu.auth0.com',
        query: { scope: 'openid' }, geoip: { country_code: 'DE' } }, authentication: { methods: [] }, authorization: { roles: [] },
};

/** Processor time of a process in microseconds, with the threads it has. */
function processorTime(pid) {
    let total = 0;
    for (const thread of fs.readdirSync(`/proc/${pid}/task`)) {
        total += Number(fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    }
    return total / 1000;
}

async function measure(name) {
    const npm = process.env.AFTERLOGIN_NPM;
    const worker = await new Worker({
        answer: () => ({ status: 200, body: '{"plan":"gold"}' }),
        flags: (process.env.FLAGS ?? '').split(' ').filter(Boolean),
        node: process.env.NODE,
    }).start();
    worker.requests = { push() {} };
    const problems = await worker.load([rules[name]], {
        directory: npm === undefined ? null : path.dirname(npm),
        limits: { turn: 60_000 },
    });
    if (problems.problems !== undefined) throw new Error(JSON.stringify(problems));
    const userText = JSON.stringify(user);
    const contextText = JSON.stringify(context);
    const login = async () => {
        const done = await worker.evaluate(userText, contextText);
        if (done.outcome !== 'completed' || done.user.plan !== 'gold') throw new Error(JSON.stringify(done));
    };
    const run = async (count) => {
        let left = count;
        await Promise.all(Array.from({ length: concurrency }, async () => {
            while (left > 0) {
                left -= 1;
                await login();
            }
        }));
    };
    await run(warmUp);
    const before = processorTime(worker.process.pid);
    const start = process.hrtime.bigint();
    await run(measured);
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const microseconds = (processorTime(worker.process.pid) - before) / measured;
    const resident = Number(fs.readFileSync(`/proc/${worker.process.pid}/statm`, 'utf8').split(' ')[1]) * 4096;
    console.log(`${name}: ${microseconds.toFixed(1)} µs per login, ${Math.round(measured / seconds)} logins/s, ${Math.round(resident / 1e6)} MB`);
    if (process.env.PROFILE) {
        worker.socket.end();
        await worker.closed;
    }
    await worker.stop();
}

(async () => {
    const names = process.argv.slice(2);
    for (const name of names.length > 0 ? names : Object.keys(rules)) await measure(name);
})();
