'use strict';

// What rules write with `auth0.users.updateUserMetadata` and `updateAppMetadata`: first-level merge, null deletes.

const { parse, stringify, PrivateMap } = require('./intrinsics');
const { UnsendableError, textOf, maxTextLength } = require('./state');

/** The result has some levels around it. */
const maxDepth = 500;

/** The writes of one rule, or of several in their order. */
class MetadataWrites {
    constructor() {
        this.user = new PrivateMap();
        this.app = new PrivateMap();
        this.isSealed = false;
        this.length = 0;
    }

    /**
     * Adds a write.
     * @param {'user' | 'app'} kind
     * @param {object} patch
     * @throws {UnsendableError}
     */
    write(kind, patch) {
        const text = textOf('metadata', patch, undefined, maxDepth);
        this.length += text.length;
        if (this.length > maxTextLength) throw new UnsendableError(`the metadata that the rule writes is too large (${maxTextLength} characters are allowed in all its writes)`);
        const copy = parse(text);
        // What comes after the rule has ended the chain is not part of the result.
        if (this.isSealed) return copy;
        const target = this[kind];
        for (const key of Object.keys(copy)) {
            // The last write decides the place too, as in the order of calls.
            target.delete(key);
            target.set(key, copy[key]);
        }
        return copy;
    }

    /** From here on nothing is added. */
    seal() {
        this.isSealed = true;
    }

    /** Adds what a later rule wrote. */
    merge(later) {
        for (const [key, value] of later.user) this.user.set(key, value);
        for (const [key, value] of later.app) this.app.set(key, value);
    }

    /** The fields of the frame `done`. */
    text() {
        return `"userMetadata":${changesText(this.user)},"appMetadata":${changesText(this.app)}`;
    }
}

MetadataWrites.noneText = '"userMetadata":{"set":{},"removed":[]},"appMetadata":{"set":{},"removed":[]}';

function changesText(writes) {
    const set = [];
    const removed = [];
    for (const [key, value] of writes) {
        if (value === null) removed.push(key);
        else set.push(`${stringify(key)}:${stringify(value)}`);
    }
    return `{"set":{${set.join(',')}},"removed":${stringify(removed)}}`;
}

module.exports = { MetadataWrites };
