'use strict';

// The messages of worker and rule host, byte for byte as Tests/Contract has them: the worker's tests read the same files.

const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Frame, kinds, headerBytes } = require('../../Sources/RuleHost/JavaScript/frames');
const { FrameWriter } = require('../../Sources/RuleHost/JavaScript/framewriter');

const folder = path.join(__dirname, '../Contract');
const hex = (bytes) => Buffer.from(bytes).toString('hex');
/** The host holds it as text, a character for each byte. */
const secretOf = (text) => Buffer.from(text, 'hex').toString('latin1');
const bytesOf = (text) => new Uint8Array(Buffer.from(text, 'hex'));

/** What the host reads of each kind that the worker sends. */
const readers = {
    load: (frame) => JSON.parse(frame.text()),
    evaluate(frame) {
        const { secret, head, userText: user, contextText: context } = frame.evaluate();
        return { secret: hex(Buffer.from(secret, 'latin1')), head: JSON.parse(head), user, context };
    },
    response(frame) {
        const { number: request, text } = frame.numberedPart();
        return { request, head: JSON.parse(text), body: hex(frame.rest()) };
    },
    failed: (frame) => ({ request: frame.number(), failure: JSON.parse(frame.text()) }),
    cancel: readNothing,
    end: readNothing,
    ping: readNothing,
    retire: readNothing,
};
readers.evaluateAlone = readers.evaluate;

function readNothing(frame) {
    assert.equal(frame.rest().length, 0);
    return {};
}

/** How the host writes each kind that it sends. */
const writers = {
    done(writer, evaluation, { secret, head, ...states }) {
        writer.sendDone(evaluation, secretOf(secret), { head: JSON.stringify(head), ...states });
    },
    request(writer, evaluation, { secret, request, head, body }) {
        writer.sendRequest(evaluation, secretOf(secret), request, JSON.stringify(head), bytesOf(body));
    },
    waits(writer, evaluation, { secret, ...head }) {
        writer.sendWaits(evaluation, secretOf(secret), JSON.stringify(head));
    },
    cancelRequest(writer, evaluation, { request }) {
        writer.sendNumber(kinds.cancelRequest, evaluation, request);
    },
    pong: (writer, evaluation) => writer.send(kinds.pong, evaluation, ''),
};
for (const kind of ['loaded', 'refused', 'console', 'warning']) {
    writers[kind] = (writer, evaluation, message) => writer.send(kinds[kind], evaluation, JSON.stringify(message));
}

const nameOf = (kind) => Object.keys(kinds).find((name) => kinds[name] === kind);

test('every message is read and written as the contract has it', () => {
    const seen = new Set();
    for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.json'))) {
        for (const { what, kind, evaluation, message, bytes } of JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'))) {
            const name = nameOf(kind);
            const place = `${file}: ${what}`;
            seen.add(name);
            if (writers[name] !== undefined) {
                const writer = new FrameWriter();
                writers[name](writer, evaluation, message);
                assert.equal(hex(writer.output.subarray(0, writer.used)), bytes, place);
                continue;
            }
            const all = Buffer.from(bytes, 'hex');
            assert.equal(all.readUInt32LE(0), all.length - headerBytes, place);
            assert.deepEqual([all[4], all.readUInt32LE(5)], [kind, evaluation], place);
            assert.deepEqual(readers[name](new Frame(kind, evaluation, all, headerBytes, all.length)), message, place);
        }
    }
    assert.deepEqual([...seen].sort(), Object.keys(kinds).sort());
});
