'use strict';

// A user or a context between two rules, as text: what a failed rule leaves behind, and what is sent on.

const { stringify, PrivateSet } = require('./intrinsics');

const { keys, hasOwn } = Object;
const { isArray } = Array;
// What a rule has frozen stays as it is.
const { set, deleteProperty } = Reflect;

/** Nesting that every reader of JSON in the worker and behind it accepts. */
const deepest = 512;
const maxTextLength = 10 << 20;

/** Something that cannot be sent on; its message says why. */
class UnsendableError extends Error {
    constructor(message) {
        super(message);
        this.name = 'LimitError';
    }
}

/** Whether JSON text is nested deeper than allowed. */
function isTooDeep(text, maxDepth) {
    // Only a text with that many brackets can be: counting is quick, and nearly always enough.
    let brackets = 0;
    for (let at = text.indexOf('{'); at !== -1; at = text.indexOf('{', at + 1)) brackets += 1;
    for (let at = text.indexOf('['); at !== -1; at = text.indexOf('[', at + 1)) brackets += 1;
    if (brackets <= maxDepth) return false;
    let depth = 0;
    let isString = false;
    for (let at = 0; at < text.length; at += 1) {
        const unit = text.charCodeAt(at);
        if (isString) {
            if (unit === 0x5c) at += 1;
            else if (unit === 0x22) isString = false;
        } else if (unit === 0x22) {
            isString = true;
        } else if (unit === 0x7b || unit === 0x5b) {
            depth += 1;
            if (depth > maxDepth) return true;
        } else if (unit === 0x7d || unit === 0x5d) {
            depth -= 1;
        }
    }
    return false;
}

/**
 * The text of a user or context.
 * @param {string} what `user` or `context`, for the message
 * @param {string | undefined} before the text before the rule: if nothing changed, nothing is checked
 * @throws {UnsendableError}
 */
function textOf(what, value, before, maxDepth = deepest) {
    let text;
    try {
        text = stringify(value);
    } catch (error) {
        if (error instanceof RangeError && /string length/.test(error.message)) {
            throw new UnsendableError(`the ${what} is too large (${maxTextLength} characters are allowed)`);
        }
        if (error instanceof RangeError) {
            throw new UnsendableError(`the ${what} is nested too deep (more than ${maxDepth} levels): keep only what is needed of it`);
        }
        const reason = /circular/i.test(error?.message) ? 'it contains itself (a cycle): keep only what is needed of it' : String(error?.message);
        throw new UnsendableError(`the ${what} cannot be written as JSON: ${reason.split('\n')[0]}`);
    }
    if (text === before) return before;
    if (typeof text !== 'string' || text[0] !== '{') throw new UnsendableError(`the ${what} is not an object${what === 'metadata' ? '' : ': call back with user and context as they were given'}`);
    if (text.length > maxTextLength) {
        throw new UnsendableError(`the ${what} is too large (${text.length} characters, ${maxTextLength} are allowed)`);
    }
    if (isTooDeep(text, maxDepth)) throw new UnsendableError(`the ${what} is nested too deep (more than ${maxDepth} levels): keep only what is needed of it`);
    return text;
}

const containers = ['idToken', 'accessToken', 'samlConfiguration'];

/**
 * Gives a context the containers that rules write to without asking.
 * @returns {{name: string, value: object}[] | null} what was added
 */
function addContainers(context) {
    let added = null;
    for (let index = 0; index < containers.length; index += 1) {
        const name = containers[index];
        if (context[name] === undefined || context[name] === null) {
            const value = {};
            if (!set(context, name, value)) continue;
            if (added === null) added = [];
            added[added.length] = { name, value };
        }
    }
    return added;
}

/** Takes the added containers away again that no rule used, last one first. */
function removeUnusedContainers(context, added) {
    for (let index = added.length - 1; index >= 0; index -= 1) {
        const { name, value } = added[index];
        if (context[name] === value && keys(value).length === 0) deleteProperty(context, name);
    }
}

/** Names that Auth0 does not take in app_metadata: there the user's own field stays. */
const usersOwn = new PrivateSet([
    '__tenant', '_id', 'app_metadata', 'blocked', 'clientID', 'created_at', 'email', 'email_verified',
    'globalClientID', 'global_client_id', 'identities', 'lastIP', 'lastLogin', 'loginsCount', 'metadata', 'multifactor',
    'multifactor_last_modified', 'updated_at', 'user_id', 'user_metadata',
]);

/**
 * Puts the fields of app_metadata on the user itself, where Auth0's rules find them too, instead of fields of the same name.
 * @returns {{name: string, value: any, own: any, isOwn: boolean, isRemoved: boolean}[] | null} what was put there; `isOwn`: for `own`
 */
function mergeAppMetadata(user) {
    const metadata = user.app_metadata;
    if (typeof metadata !== 'object' || metadata === null || isArray(metadata)) return null;
    let merged = null;
    const names = keys(metadata);
    for (let index = 0; index < names.length; index += 1) {
        const name = names[index];
        const isOwn = hasOwn(user, name);
        if (name === '__proto__' || (isOwn && usersOwn.has(name))) continue;
        const value = metadata[name];
        if (merged === null) merged = [];
        merged[merged.length] = { name, value, own: isOwn ? user[name] : undefined, isOwn, isRemoved: false };
        set(user, name, value);
    }
    return merged;
}

/** Takes them away again, last one first, where the rule left them as they were. */
function removeMerged(user, merged) {
    for (let index = merged.length - 1; index >= 0; index -= 1) {
        const field = merged[index];
        const present = user[field.name];
        const isSame = present === field.value
            || (typeof present === 'object' && typeof field.value === 'object' && stringify(present) === stringify(field.value));
        field.isRemoved = isSame && (field.isOwn ? set(user, field.name, field.own) : deleteProperty(user, field.name));
        if (isSame) field.value = present;
    }
}

/** Puts back what was taken away, for the rules that follow. */
function restoreMerged(user, merged) {
    for (let index = 0; index < merged.length; index += 1) {
        const { name, value, isRemoved } = merged[index];
        if (isRemoved) set(user, name, value);
    }
}

module.exports = {
    UnsendableError, textOf, maxTextLength, isRefusedKey: (name) => usersOwn.has(name), addContainers, removeUnusedContainers, mergeAppMetadata, removeMerged, restoreMerged,
};
