'use strict';

// The `auth0` object of rules. It is one object for all logins; whose token and whose writes it means is decided by
// the rule that runs.

const { nextTick, parse, stringify, Promise } = require('./intrinsics');
const { current } = require('./attribution');
const { refusal } = require('./errors');
const { fetch } = require('./fetch');
const { MetadataWrites } = require('./metadata');
const { isRefusedKey } = require('./state');
const { activities } = require('./rulework');

const fields = { user: 'user_metadata', app: 'app_metadata' };

/** Auth0 answers 400 to such a write; here it is part of the result, and said. */
function reportRefusedKeys(run, written) {
    for (const key of Object.keys(written)) {
        if (!isRefusedKey(key)) continue;
        const text = `app_metadata.${key}: Auth0 does not take this name in app_metadata`;
        if (run.late === null || !run.late.includes(text)) run.noteLate(text);
    }
}

/**
 * Collects a write of metadata of the user who logged in.
 * @returns {object} what the Management API would have answered: the user with the merged metadata
 */
function collect(run, kind, patch) {
    const { user } = run.evaluation;
    run.stirred(activities.metadata);
    if (run.writes === null) run.writes = new MetadataWrites();
    const written = run.writes.write(kind, patch);
    if (kind === 'app') reportRefusedKeys(run, written);
    const field = fields[kind];
    const merged = { ...user?.[field], ...written };
    for (const key of Object.keys(merged)) if (merged[key] === null) delete merged[key];
    return { ...user, [field]: merged };
}

/**
 * Writes the metadata of another user (one that is about to be linked, say): that is not part of this login's result.
 * @returns {Promise<object>} that user
 */
async function patchOther(baseUrl, userId, kind, patch, accessToken) {
    const response = await fetch(`${baseUrl}/users/${encodeURIComponent(userId)}`, {
        method: 'PATCH',
        headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' },
        body: stringify({ [fields[kind]]: patch }),
    });
    const text = await response.text();
    if (response.ok) return parse(text);
    const error = new Error(`the Management API answered ${response.status} ${text.slice(0, 200)}`);
    error.name = 'APIError';
    error.statusCode = response.status;
    throw error;
}

/** @returns {object | Promise<object>} the user who was written to */
function write(baseUrl, kind, userId, patch) {
    const name = kind === 'user' ? 'updateUserMetadata' : 'updateAppMetadata';
    const run = current();
    if (run === undefined || (run.evaluation.isOver && !run.evaluation.isEnded)) {
        throw refusal(`auth0.users.${name} was called after the rule was over, and nothing was written: call it before the callback, or await it`);
    }
    const { evaluation } = run;
    if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) {
        throw refusal(`auth0.users.${name} takes an object, as in auth0.users.${name}(user.user_id, { plan: 'gold' })`);
    }
    // Another id, whoever wrote it into `user.user_id`, is another account.
    if (typeof userId === 'string' && userId === evaluation.userId) return collect(run, kind, patch);
    if (typeof userId === 'string' && userId !== '' && evaluation.accessToken !== undefined) {
        return patchOther(baseUrl, userId, kind, patch, evaluation.accessToken);
    }
    throw refusal(`auth0.users.${name} can only write to the user who logged in, not to ${String(userId)}:`
        + ' write user.user_id, or set tenant.client_id to an application that may use the Management API');
}

function updating(baseUrl, kind) {
    return function updateMetadata(userId, patch, callback) {
        if (typeof callback !== 'function') {
            return new Promise((resolve) => {
                resolve(write(baseUrl, kind, userId, patch));
            });
        }
        let user;
        try {
            user = write(baseUrl, kind, userId, patch);
        } catch (error) {
            nextTick(callback, error);
            return undefined;
        }
        if (user instanceof Promise) user.then((found) => callback(null, found), callback);
        else nextTick(callback, null, user);
        return undefined;
    };
}

/**
 * @param {string} domain of the tenant
 * @returns {object} the `auth0` of rules
 */
function makeAuth0(domain) {
    const baseUrl = `https://${domain}/api/v2`;
    return Object.freeze({
        domain,
        baseUrl,
        /** The token that the worker fetched for this login's rules. */
        get accessToken() {
            return current()?.evaluation.accessToken;
        },
        users: Object.freeze({
            updateUserMetadata: updating(baseUrl, 'user'),
            updateAppMetadata: updating(baseUrl, 'app'),
        }),
    });
}

module.exports = { makeAuth0 };
