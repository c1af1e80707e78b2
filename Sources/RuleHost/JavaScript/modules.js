'use strict';

// `require` of rules: Node's own, from the rules' folder, with `name@version`, further folders of modules after the
// rules' own, and at last the modules that the host provides.

const fs = require('node:fs');
const path = require('node:path');
const { createRequire, Module, isBuiltin } = require('node:module');
const { nextTick, apply } = require('./intrinsics');
const { current, outside, tracked, runOfRejection } = require('./attribution');
const { refusal } = require('./errors');
const { lockLateModule } = require('./locking');
const { hideOwnModules, providedDirectory } = require('./ownmodules');

const provided = new Set(['request']);
/** Of a file that the kernel keeps from rules. */
const unreadable = 'is outside of the rules\' folder, and they cannot read it';

/** `name`, `@scope/name`, with or without `@version`, with or without a path inside. */
const pattern = /^((?:@[^/@]+\/)?[^/@.][^/@]*)(?:@([^/]+))?(\/.*)?$/;

/**
 * @param {string} id as a rule writes it
 * @returns {{name: string, version?: string, path: string} | null} null for paths
 */
function parseId(id) {
    const match = pattern.exec(id);
    return match === null ? null : { name: match[1], version: match[2], path: match[3] ?? '' };
}

/** Whether an installed version is the one that was asked for; `4` and `4.17` ask for less. */
function isVersion(installed, asked) {
    return installed === asked || installed.startsWith(`${asked}.`) || asked === 'latest' || asked === '*';
}

/** Modules whose promises lose track of whose they are, unless told not to; also where another package asks for them. */
const trackless = /(?:^|[\\/])(bluebird|q)(?:[\\/]|$)/;

const isTracked = Symbol('isTracked');

/** Their queues are shared by all who run. That of bluebird is emptied by the end of each turn, which is one evaluation's. */
function keepTrack(exports) {
    if (typeof exports !== 'function' || exports[isTracked] === true) return exports;
    exports[isTracked] = true;
    if (typeof exports.setScheduler === 'function') {
        exports.setScheduler((empty) => nextTick(empty));
        exports.config?.({ asyncHooks: true });
        const { getNewLibraryCopy } = exports;
        if (typeof getNewLibraryCopy === 'function') exports.getNewLibraryCopy = () => keepTrack(getNewLibraryCopy());
        // It tells of all rejections at once, later.
        const { _setRejectionIsUnhandled: setUnhandled } = exports.prototype;
        exports.prototype._setRejectionIsUnhandled = function setRejectionIsUnhandled() {
            runOfRejection.set(this, current()?.owner);
            return apply(setUnhandled, this, []);
        };
    } else if (typeof exports.nextTick === 'function') {
        const { nextTick: queue } = exports;
        exports.nextTick = (task) => queue(tracked(task));
        exports.nextTick.runAfter = (task) => queue.runAfter(tracked(task));
    }
    return exports;
}

/** Characters of a file that the worker is sent, and such files. */
const maxTokenFile = 256 << 10;
const maxTokenFiles = 20;

/** Whether a file may be after the token that the worker fetches for rules: the worker looks at it with more care. */
function speaksOfToken(source) {
    return source.length <= maxTokenFile && source.includes('auth0')
        && (source.includes('accessToken') || source.includes('updateAppMetadata') || source.includes('updateUserMetadata'));
}

/** The modules that one set of rules can have. */
class ModuleSet {
    /**
     * @param {string | null} directory of the rules
     * @param {string[]} moduleDirectories searched after the rules' own `node_modules`
     */
    constructor(directory, moduleDirectories) {
        hideOwnModules(directory);
        // Node looks there after all `node_modules` on the way up; it reads the variable only here.
        process.env.NODE_PATH = moduleDirectories.join(path.delimiter);
        Module._initPaths();
        const load = Module._load;
        Module._load = function loadModule(...parameters) {
            const exports = apply(load, this, parameters);
            lockLateModule(parameters[0], exports);
            return trackless.test(parameters[0]) ? keepTrack(exports) : exports;
        };
        /** @type {Map<string, string>} files that were compiled since and speak of the token, with their sources */
        this.tokenFiles = new Map();
        const { tokenFiles } = this;
        const { _compile: compile } = Module.prototype;
        Module.prototype._compile = function compileModule(source, file, ...others) {
            if (tokenFiles.size < maxTokenFiles && speaksOfToken(source)) tokenFiles.set(file, source);
            return apply(compile, this, [source, file, ...others]);
        };
        this.allLoaded = () => {
            Module.prototype._compile = compile;
        };
        delete process.env.NODE_PATH;
        this.directory = directory;
        this.nodeRequire = createRequire(path.join(directory ?? providedDirectory, 'rules.js'));
        /** @type {Map<string, unknown>} what rules asked for already */
        this.loaded = new Map();
        /** @type {Map<string, string>} file of a module, version in its package */
        this.versions = new Map();
        this.require = (id) => {
            const found = this.loaded.get(id);
            return found === undefined ? this.load(id) : found;
        };
        this.require.resolve = (id) => this.resolve(id).file;
        this.require.cache = this.nodeRequire.cache;
    }

    /**
     * Finds a module.
     * @returns {{file: string, name: string, asked?: string, version?: string}}
     * @throws an error with a message for the rule's author
     */
    resolve(id) {
        if (typeof id !== 'string' || id === '') throw new TypeError("require takes the name of a module, as in require('axios')");
        const parsed = id.startsWith('node:') || isBuiltin(id) ? null : parseId(id);
        if (parsed === null) {
            return { file: this.nodeRequire.resolve(id), name: id };
        }
        const { name, version: asked } = parsed;
        if (isBuiltin(name)) return { file: this.nodeRequire.resolve(name + parsed.path), name, asked };
        const file = this.find(name, asked, parsed.path, id);
        return { file, name, asked, version: this.versionOf(name, file) };
    }

    find(name, asked, inside, id) {
        try {
            return this.nodeRequire.resolve(name + inside);
        } catch (error) {
            if (error.code !== 'MODULE_NOT_FOUND') throw error;
            if (provided.has(name) && inside === '') return path.join(providedDirectory, `${name}.js`);
            const where = this.linkTarget(name);
            if (where !== null) {
                throw refusal(`Cannot find module '${id}' (${where}, where a link leads, ${unreadable}: copy it beside the rules)`, 'MODULE_NOT_FOUND');
            }
            const packageName = asked === undefined ? name : `${name}@${asked}`;
            const missing = refusal(`Cannot find module '${id}' (npm install ${packageName}, beside the rules)`, 'MODULE_NOT_FOUND');
            missing.missing = { name, asked };
            throw missing;
        }
    }

    /** Where a link beside the rules leads out of their folder, or null. */
    linkTarget(name) {
        if (this.directory === null) return null;
        try {
            const target = fs.realpathSync(path.join(this.directory, 'node_modules', name));
            return path.relative(fs.realpathSync(this.directory), target).startsWith('..') ? target : null;
        } catch {
            return null;
        }
    }

    /** Those of the files that speak of the token which a module has loaded, itself or through others. */
    tokenFilesOf(file) {
        const found = [];
        const { cache } = this.nodeRequire;
        const seen = new Set();
        const open = this.tokenFiles.size > 0 && cache[file] !== undefined ? [cache[file]] : [];
        while (open.length > 0) {
            const module = open.pop();
            if (seen.has(module)) continue;
            seen.add(module);
            if (this.tokenFiles.has(module.filename)) found.push(module.filename);
            open.push(...module.children);
        }
        return found;
    }

    /** The version in the `package.json` that a file belongs to. */
    versionOf(name, file) {
        if (this.versions.has(file)) return this.versions.get(file);
        let version;
        for (let folder = path.dirname(file); folder !== path.dirname(folder); folder = path.dirname(folder)) {
            try {
                const description = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
                if (description.name === name) {
                    version = description.version;
                    break;
                }
            } catch {
                // No description here, or none that can be read: further up.
            }
        }
        this.versions.set(file, version);
        return version;
    }

    load(id) {
        const { file } = this.resolve(id);
        // What a module starts when it is loaded belongs to no login.
        const exports = outside(() => this.nodeRequire(file));
        this.loaded.set(id, exports);
        return exports;
    }
}

module.exports = { ModuleSet, isVersion, unreadable };
