'use strict';

// The `auth0` object of rules. It is one object for all logins; whose token and whose writes it means is decided by
// the rule that runs.

const { nextTick, Promise } = require('./intrinsics');
const { current } = require('./attribution');
const { refusal } = require('./errors');
const { MetadataWrites } = require('./metadata');

/**
 * Collects a write of metadata.
 * @returns {object} what the Management API would have answered: the user with the merged metadata
 */
function collect(kind, userId, patch) {
    const name = kind === 'user' ? 'updateUserMetadata' : 'updateAppMetadata';
    const run = current();
    if (run === undefined || run.evaluation.isOver) {
        throw refusal(`auth0.users.${name} was called after the rule was over: nothing was written`);
    }
    const { evaluation } = run;
    if (typeof userId !== 'string' || (userId !== evaluation.userId && userId !== evaluation.user.user_id)) {
        throw refusal(`auth0.users.${name} can only write to the user who logged in, not to ${String(userId)}`);
    }
    if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) {
        throw refusal(`auth0.users.${name} needs an object`);
    }
    if (run.writes === null) run.writes = new MetadataWrites();
    const written = run.writes.write(kind, patch);
    const field = kind === 'user' ? 'user_metadata' : 'app_metadata';
    const merged = { ...evaluation.user[field], ...written };
    for (const key of Object.keys(merged)) if (merged[key] === null) delete merged[key];
    return { user_id: userId, [field]: merged };
}

function updating(kind) {
    return function updateMetadata(userId, patch, callback) {
        if (typeof callback === 'function') {
            let user;
            try {
                user = collect(kind, userId, patch);
            } catch (error) {
                nextTick(callback, error);
                return undefined;
            }
            nextTick(callback, null, user);
            return undefined;
        }
        return new Promise((resolve) => {
            resolve(collect(kind, userId, patch));
        });
    };
}

/**
 * @param {string} domain of the tenant
 * @returns {object} the `auth0` of rules
 */
function makeAuth0(domain) {
    return Object.freeze({
        domain,
        baseUrl: `https://${domain}/api/v2`,
        /** The token that the worker fetched for this login's rules. */
        get accessToken() {
            return current()?.evaluation.accessToken;
        },
        users: Object.freeze({
            updateUserMetadata: updating('user'),
            updateAppMetadata: updating('app'),
        }),
    });
}

module.exports = { makeAuth0 };
