'use strict';

// From the frame `load` to functions that can be called: every rule is compiled, and every module that it names is
// looked for. All problems are reported at once.

const vm = require('node:vm');
const crypto = require('node:crypto');
const querystring = require('node:querystring');
const errors = require('./errors');
const { makeAuth0 } = require('./auth0');
const { ModuleSet, isVersion } = require('./modules');
const { requiredModules } = require('./scanner');

/** Globals of Auth0's sandbox that are modules: taken from what is installed, when a rule uses them. */
const legacyGlobals = {
    request: 'request', _: 'lodash', async: 'async', jwt: 'jsonwebtoken', uuid: 'uuid', ip: 'ip', q: 'q', Q: 'q',
    xtend: 'xtend', xml2js: 'xml2js', bcrypt: 'bcrypt', moment: 'moment', xmldom: 'xmldom', xpath: 'xpath',
    cheerio: 'cheerio', azure_storage: 'azure-storage', mongo: 'mongodb', pg: 'pg', mysql: 'mysql', sqlserver: 'tedious',
    cassandra: 'node-cassandra-cql', couchbase: 'couchbase', postgres: 'pg', pubnub: 'pubnub', knex: 'knex',
    sanitizer: 'sanitizer', raven: 'raven', loggly: 'loggly', easyXml: 'easyxml', nodemailer: 'nodemailer',
};

/** Where V8 says that a syntax error is: the first line of its stack, and the caret under the line. */
function syntaxPosition(error, source) {
    const lines = String(error.stack).split('\n');
    const found = /:(\d+)$/.exec(lines[0]);
    const caret = lines.findIndex((line) => /^\s*\^+\s*$/.test(line));
    const sourceLines = source.split('\n');
    let line = found === null ? 1 : Number(found[1]);
    let column = caret === -1 ? 1 : lines[caret].indexOf('^') + 1;
    if (line > sourceLines.length) {
        // It is missing something at the end.
        line = sourceLines.length;
        while (line > 1 && sourceLines[line - 1].trim() === '') line -= 1;
        column = sourceLines[line - 1].length + 1;
    }
    return { line, column };
}

const parameters = [
    'require', 'configuration', 'auth0', 'UnauthorizedError', 'ValidationError', 'WrongUsernameOrPasswordError',
    'crypto', 'querystring',
];

/**
 * Compiles a rule: a function expression, with comments around it and a semicolon after it if it likes.
 * @returns {Function} the rule
 */
function compile(source, file, values) {
    // An assignment takes both, and needs no search for the end of the expression. The source begins on a line of its
    // own, so that lines and columns are the file's.
    const code = `var rule =\n${source}\n;return rule;`;
    const options = { filename: file, lineOffset: -1 };
    const loader = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER;
    if (loader !== undefined) options.importModuleDynamically = loader;
    return vm.compileFunction(code, parameters, options)(...values);
}

/** Loads a set of rules. */
class Loader {
    /** @param {object} load the payload of the frame */
    constructor(load) {
        this.load = load;
        this.problems = [];
        this.notes = [];
        this.noted = new Set();
        this.modules = new ModuleSet(load.directory ?? null, load.moduleDirectories ?? []);
        // Frozen: a key that one rule writes for another would be missing in the host beside this one.
        const configuration = Object.freeze({ ...load.configuration });
        this.values = [
            this.modules.require, configuration, makeAuth0(load.tenant?.domain ?? ''), errors.UnauthorizedError,
            errors.ValidationError, errors.WrongUsernameOrPasswordError, crypto, querystring,
        ];
    }

    /** @returns {{name: string, call: Function}[]} as many as there are rules without problems */
    rules() {
        const loaded = [];
        for (const { name, file, source } of this.load.rules) {
            const text = source.charCodeAt(0) === 0xfeff ? source.slice(1) : source;
            const call = this.compiled(name, file, text);
            this.checkModules(name, file, text);
            if (call !== null) loaded.push({ name, call });
        }
        this.defineLegacyGlobals();
        return loaded;
    }

    compiled(name, file, source) {
        let rule;
        try {
            rule = compile(source, file, this.values);
        } catch (error) {
            const position = error instanceof SyntaxError ? syntaxPosition(error, source) : { line: 1, column: 1 };
            this.problems.push({ rule: name, file, ...position, reason: `${error?.name}: ${error?.message}` });
            return null;
        }
        if (typeof rule !== 'function') {
            const reason = 'a rule is one function expression: function (user, context, callback) { … }';
            this.problems.push({ rule: name, file, line: 1, column: 1, reason });
            return null;
        }
        // Stacks then name the rule.
        if (rule.name === 'rule') Object.defineProperty(rule, 'name', { value: name, configurable: true });
        return rule;
    }

    /** Looks for every module that the rule names. */
    checkModules(name, file, source) {
        for (const { id, isOptional, line, column } of requiredModules(source)) {
            let module;
            try {
                module = this.modules.resolve(id);
            } catch (error) {
                if (isOptional) continue;
                this.problems.push({ rule: name, file, line, column, reason: error.message.split('\n')[0] });
                continue;
            }
            const { asked, version } = module;
            if (asked === undefined || version === undefined || isVersion(version, asked) || this.noted.has(id)) continue;
            this.noted.add(id);
            const text = `${module.name}@${asked} is asked for, ${module.name} ${version} is installed and used`;
            this.notes.push({ rule: name, line, column, text });
        }
    }

    /** Gives rules the modules that were global in Auth0's sandbox, where they use the name and it can be had. */
    defineLegacyGlobals() {
        for (const [name, id] of Object.entries(legacyGlobals)) {
            const isUsed = this.load.rules.some(({ source }) => new RegExp(`(?<![\\w$.])${name}(?![\\w$])`).test(source));
            if (!isUsed || name in globalThis) continue;
            try {
                this.modules.resolve(id);
            } catch {
                // Left undefined: where a rule really uses it, that is a ReferenceError with its name.
                continue;
            }
            Object.defineProperty(globalThis, name, {
                configurable: true,
                enumerable: false,
                get: () => this.modules.require(id),
                set: (value) => Object.defineProperty(globalThis, name, { value, writable: true, configurable: true }),
            });
        }
    }
}

module.exports = { Loader, compile };
