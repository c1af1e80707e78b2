'use strict';

// What is done with bytes that rules must not see. A rule may replace what Node would call for it: these are taken as they
// are before any rule runs, and none of them looks for others.

const { isDataView } = require('node:util/types');

const { allocUnsafeSlow, concat, from } = Buffer;
const proto = Buffer.prototype;
/** A method, uncurried: `call(object, …)`. */
const uncurry = (method) => Function.prototype.call.bind(method);
const write = uncurry(proto.utf8Write);
const text = uncurry(proto.utf8Slice);
const writeLatin = uncurry(proto.latin1Write);
const latin = uncurry(proto.latin1Slice);
const readUInt32 = uncurry(proto.readUInt32LE);
const writeUInt32 = uncurry(proto.writeUInt32LE);
const slice = uncurry(proto.subarray);
const setBytes = uncurry(Uint8Array.prototype.set);
const { max } = Math;
/** What a view of bytes says of itself, where a rule cannot have it say something else. */
const fieldsOf = (prototype) => {
    const getter = (name) => uncurry(Object.getOwnPropertyDescriptor(prototype, name).get);
    return { buffer: getter('buffer'), offset: getter('byteOffset'), length: getter('byteLength') };
};
const ofArrays = fieldsOf(Object.getPrototypeOf(Uint8Array.prototype));
const ofDataViews = fieldsOf(DataView.prototype);

/** Bytes of their own: what a buffer is a part of can be had from it. */
function copyOf(bytes) {
    const copy = allocUnsafeSlow(bytes.length);
    setBytes(copy, bytes);
    return copy;
}

/**
 * Bytes of a rule as they are, whatever fields and methods of its own it gave them: with a longer length they would be sent with what lies
 * beside them.
 * @param {ArrayBufferView} view
 * @returns {Buffer} the same bytes, no copy
 */
function plain(view) {
    const of = isDataView(view) ? ofDataViews : ofArrays;
    return from(of.buffer(view), of.offset(view), of.length(view));
}

module.exports = {
    plain, allocUnsafeSlow, concat, write, text, writeLatin, latin, readUInt32, writeUInt32, slice, setBytes, max, copyOf,
};
