'use strict';

// What is done with bytes that rules must not see. A rule may replace what Node would call for it: these are taken as they
// are before any rule runs, and none of them looks for others.

const { allocUnsafeSlow, concat } = Buffer;
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

/** Bytes of their own: what a buffer is a part of can be had from it. */
function copyOf(bytes) {
    const copy = allocUnsafeSlow(bytes.length);
    setBytes(copy, bytes);
    return copy;
}

module.exports = {
    allocUnsafeSlow, concat, write, text, writeLatin, latin, readUInt32, writeUInt32, slice, setBytes, max, copyOf,
};
