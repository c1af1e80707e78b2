'use strict';

// Plays the worker: starts a rule host as the worker does, speaks frames with it over a Unix socket on descriptor 3,
// reads descriptor 4, and answers requests with a function of the test.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const main = path.join(__dirname, '../../../Sources/RuleHost/JavaScript/main.js');

const secretBytes = 16;
const kinds = {
    load: 1, evaluate: 2, response: 3, failed: 4, cancel: 5, ping: 6, retire: 7, evaluateAlone: 8, end: 9,
    loaded: 65, refused: 66, done: 67, request: 68, cancelRequest: 69, console: 70, warning: 71, pong: 72, waits: 73,
};

function part(bytes) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return Buffer.concat([length, bytes]);
}

function number(value) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
}

/** Parts, as many as there are, and the rest behind them. */
function takeParts(payload, count) {
    const parts = [];
    let start = 0;
    for (let index = 0; index < count; index += 1) {
        const end = start + 4 + payload.readUInt32LE(start);
        parts.push(payload.subarray(start + 4, end));
        start = end;
    }
    return [...parts, payload.subarray(start)];
}

/** A rule host and its far end. */
class Worker {
    /**
     * @param {{answer?: Function, flags?: string[], node?: string}} options
     */
    constructor(options = {}) {
        this.answer = options.answer ?? (() => ({ status: 200, body: '{}' }));
        this.options = options;
        this.evaluations = new Map();
        /** The secret of each evaluation, by its number. */
        this.secrets = new Map();
        this.waits = [];
        this.waiting = new Map();
        this.lastEvaluation = 0;
        this.consoleLines = [];
        this.warnings = [];
        this.requests = [];
        this.cancelled = [];
        this.output = '';
        this.lastWords = '';
        this.unread = Buffer.alloc(0);
    }

    async start() {
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rulehost-'));
        const address = path.join(folder, 'frames');
        const server = net.createServer();
        await new Promise((resolve) => server.listen(address, resolve));
        const connected = new Promise((resolve) => server.once('connection', resolve));
        const near = net.connect(address);
        this.socket = await connected;
        await new Promise((resolve) => (near.connecting ? near.once('connect', resolve) : resolve()));
        this.process = spawn(this.options.node ?? process.execPath, ['--zero-fill-buffers', ...(this.options.flags ?? []), main], {
            stdio: ['ignore', 'pipe', 'pipe', near._handle, 'pipe'],
            env: { TZ: 'UTC' },
        });
        near.destroy();
        server.close();
        fs.rmSync(folder, { recursive: true });
        this.process.stdout.on('data', (data) => { this.output += data; });
        this.process.stderr.on('data', (data) => { this.output += data; });
        this.process.stdio[4].on('data', (data) => { this.lastWords += data; });
        this.closed = new Promise((resolve) => this.process.once('close', (code, signal) => {
            resolve({ code, signal });
            this.closedWith = { code, signal };
            const death = new Error(`the host ended (${code ?? signal}): ${this.lastWords}${this.output}`);
            for (const { reject } of this.evaluations.values()) reject(death);
            this.loading?.reject(death);
        }));
        this.socket.on('data', (data) => this.arrived(data));
        this.socket.on('error', () => {});
        return this;
    }

    send(kind, evaluation, ...payload) {
        const bytes = Buffer.concat(payload.map((value) => (typeof value === 'string' ? Buffer.from(value) : value)));
        const header = Buffer.alloc(9);
        header.writeUInt32LE(bytes.length, 0);
        header[4] = kind;
        header.writeUInt32LE(evaluation, 5);
        this.socket.write(Buffer.concat([header, bytes]));
    }

    /** Loads rules: sources, or `{name, file, source}`. */
    load(rules, overrides = {}) {
        const payload = {
            directory: null,
            moduleDirectories: [],
            configuration: {},
            tenant: { domain: 'tenant.example' },
            ...overrides,
            limits: {
                turn: 1000, memory: 300 << 20, consoleBytes: 8192, maxBodyBytes: 10 << 20, quiet: 5000, ...overrides.limits,
            },
            rules: rules.map((rule, index) => (typeof rule === 'string'
                ? { name: `rule${index}`, file: `/rules/rule${index}.js`, source: rule } : rule)),
        };
        this.ruleCount = rules.length;
        return new Promise((resolve, reject) => {
            this.loading = { resolve, reject };
            this.send(kinds.load, 0, JSON.stringify(payload));
        });
    }

    /** Evaluates; resolves with head, user and context, which are undefined where they are unchanged. */
    evaluate(user, context, overrides = {}, kind = kinds.evaluate) {
        this.lastEvaluation += 1;
        const evaluation = this.lastEvaluation;
        const head = { from: 0, to: this.ruleCount, timeout: 5000, ...overrides };
        const result = new Promise((resolve, reject) => this.evaluations.set(evaluation, { resolve, reject }));
        const secret = randomBytes(secretBytes);
        this.secrets.set(evaluation, secret);
        this.send(
            kind,
            evaluation,
            secret,
            part(Buffer.from(JSON.stringify(head))),
            part(Buffer.from(typeof user === 'string' ? user : JSON.stringify(user))),
            typeof context === 'string' ? context : JSON.stringify(context),
        );
        return result;
    }

    /** Ends an evaluation; its promise resolves with the `done` that answers. */
    end(evaluation) {
        this.send(kinds.end, evaluation);
    }

    retire() {
        this.send(kinds.retire, 0);
    }

    /** The payload behind the secret, which must be that of the evaluation. */
    behindSecret(evaluation, payload) {
        assert.deepEqual(payload.subarray(0, secretBytes), this.secrets.get(evaluation));
        return payload.subarray(secretBytes);
    }

    cancel(evaluation) {
        this.send(kinds.cancel, evaluation);
        this.evaluations.delete(evaluation);
    }

    ping() {
        return new Promise((resolve) => {
            this.onPong = resolve;
            this.send(kinds.ping, 0);
        });
    }

    arrived(data) {
        this.unread = this.unread.length === 0 ? data : Buffer.concat([this.unread, data]);
        let start = 0;
        while (this.unread.length - start >= 9) {
            const end = start + 9 + this.unread.readUInt32LE(start);
            if (end > this.unread.length) break;
            this.handle(this.unread[start + 4], this.unread.readUInt32LE(start + 5), this.unread.subarray(start + 9, end));
            start = end;
        }
        this.unread = this.unread.subarray(start);
    }

    handle(kind, evaluation, payload) {
        switch (kind) {
        case kinds.loaded:
            this.loading.resolve(JSON.parse(payload));
            break;
        case kinds.refused:
            this.loading.resolve(JSON.parse(payload));
            break;
        case kinds.done: {
            const parts = takeParts(this.behindSecret(evaluation, payload), 4);
            const parsed = (bytes) => (bytes.length === 0 ? undefined : JSON.parse(bytes));
            const [head, ...states] = parts.map(parsed);
            const [user, context, beforeUser, beforeContext] = states;
            const { resolve } = this.evaluations.get(evaluation);
            this.evaluations.delete(evaluation);
            resolve({ ...head, user, context, beforeUser, beforeContext });
            break;
        }
        case kinds.request:
            this.requested(evaluation, this.behindSecret(evaluation, payload));
            break;
        case kinds.waits:
            this.waits.push({ evaluation, ...JSON.parse(this.behindSecret(evaluation, payload)) });
            this.onWaits?.();
            break;
        case kinds.cancelRequest:
            this.cancelled.push({ evaluation, number: payload.readUInt32LE(0) });
            this.onCancelRequest?.();
            break;
        case kinds.console:
            this.consoleLines.push({ evaluation, ...JSON.parse(payload) });
            break;
        case kinds.warning:
            this.warnings.push({ evaluation, ...JSON.parse(payload) });
            this.onWarning?.();
            break;
        case kinds.pong:
            this.onPong?.();
            break;
        default:
            throw new Error(`unknown kind ${kind}`);
        }
    }

    async requested(evaluation, payload) {
        const end = 4 + payload.readUInt32LE(0);
        const requestNumber = payload.readUInt32LE(4);
        const request = {
            evaluation,
            number: requestNumber,
            ...JSON.parse(payload.subarray(8, end)),
            body: payload.subarray(end).toString(),
            bytes: Buffer.from(payload.subarray(end)),
        };
        this.requests.push(request);
        this.onRequest?.();
        let answer = this.answer(request);
        if (typeof answer?.then === 'function') answer = await answer;
        if (answer === null || answer === undefined) return;
        this.answerRequest(request, answer);
    }

    /** Answers a request, or lets it fail: `{status, body, …}` or `{code, …}`. */
    answerRequest({ evaluation, number: requestNumber }, answer) {
        if (answer.code !== undefined) {
            this.send(kinds.failed, evaluation, number(requestNumber), JSON.stringify(answer));
            return;
        }
        const { status = 200, reason = 'OK', headers = [['content-type', 'application/json']], body = '', failedSo } = answer;
        this.send(
            kinds.response,
            evaluation,
            part(Buffer.concat([number(requestNumber), Buffer.from(JSON.stringify({ status, reason, headers, failedSo }))])),
            body,
        );
    }

    async stop() {
        this.loading = null;
        this.evaluations.clear();
        this.socket.destroy();
        if (this.closedWith === undefined) this.process.kill('SIGKILL');
        await this.closed;
    }
}

/** The value of a header of a request. */
function header(request, name) {
    return request.headers.find(([key]) => key.toLowerCase() === name)?.[1];
}

/**
 * A started host with rules in it, which ends with the test.
 * @param {import('node:test').TestContext} context
 */
async function host(context, rules, options = {}) {
    const worker = await new Worker(options).start();
    context.after(() => worker.stop());
    const loaded = await worker.load(rules, options.load);
    if (loaded.problems !== undefined && !options.mayRefuse) throw new Error(JSON.stringify(loaded.problems));
    worker.loaded = loaded;
    return worker;
}

module.exports = { Worker, host, header, kinds, part, number };
