'use strict';

// The host's own modules, out of reach of rules: whoever had one could read what other logins hold, and speak in their name.

const path = require('node:path');
const { Module } = require('node:module');
const { refusal } = require('./errors');

const providedDirectory = path.join(__dirname, 'provided');

function isOwn(file) {
    return typeof file === 'string' && file.startsWith(__dirname + path.sep) && !file.startsWith(providedDirectory + path.sep);
}

/**
 * Takes them out of Node's cache, and refuses them by name. All are loaded by now.
 * @param {string | null} directory of the rules: what is `require.main` there is a module of theirs
 */
function hideOwnModules(directory) {
    for (const file of Object.keys(Module._cache)) if (isOwn(file)) delete Module._cache[file];
    const main = new Module(path.join(directory ?? providedDirectory, 'rules.js'));
    main.filename = main.id;
    process.mainModule = main;
    // Node's own `require` has it too.
    Module.prototype.require.main = main;
    const { _resolveFilename: resolve } = Module;
    Module._resolveFilename = function resolveForRules(...parameters) {
        const file = Reflect.apply(resolve, this, parameters);
        if (isOwn(file)) throw refusal(`Cannot find module '${parameters[0]}' (it is the rule host's own: name yours otherwise)`, 'MODULE_NOT_FOUND');
        return file;
    };
}

module.exports = { hideOwnModules, providedDirectory };
