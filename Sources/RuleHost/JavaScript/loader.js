'use strict';

// From the frame `load` to functions that can be called: every rule is compiled, and every module that it names is
// looked for. All problems are reported at once.

const path = require('node:path');
const vm = require('node:vm');
const { isModuleNamespaceObject } = require('node:util').types;
const crypto = require('node:crypto');
const querystring = require('node:querystring');
const errors = require('./errors');
const { makeAuth0 } = require('./auth0');
const { ModuleSet, isVersion, unreadable } = require('./modules');
const { scan, codeOf, positions } = require('./scanner');
const shape = require('./shape');

/** Globals of Auth0's sandbox that are modules: taken from what is installed, when a rule uses them. */
const legacyGlobals = {
    request: 'request', _: 'lodash', async: 'async', jwt: 'jsonwebtoken', uuid: 'uuid', ip: 'ip', q: 'q', Q: 'q',
    xtend: 'xtend', xml2js: 'xml2js', bcrypt: 'bcrypt', moment: 'moment', xmldom: 'xmldom', xpath: 'xpath',
    cheerio: 'cheerio', azure_storage: 'azure-storage', mongo: 'mongodb', pg: 'pg', mysql: 'mysql', sqlserver: 'tedious',
    cassandra: 'node-cassandra-cql', couchbase: 'couchbase', postgres: 'pg', pubnub: 'pubnub', knex: 'knex',
    sanitizer: 'sanitizer', raven: 'raven', loggly: 'loggly', easyXml: 'easyxml', nodemailer: 'nodemailer',
};

const legacyNames = new Set(Object.keys(legacyGlobals));

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
    'module', 'exports', 'require', 'configuration', 'auth0', 'UnauthorizedError', 'ValidationError',
    'WrongUsernameOrPasswordError', 'crypto', 'querystring',
];

/** The last major version of packages that became ES modules, for the hint: rules have `require`. */
const lastCommonJS = { 'node-fetch': '2', got: '11', nanoid: '3', chalk: '4', 'p-limit': '3', 'p-retry': '4', 'p-queue': '6', execa: '5' };

/** Comments, and then the directive, before a rule that is a file of its own to other tools. */
const directive = /^(?:\s|\/\/[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(["'])use strict\1[ \t]*;?/;
const generators = new Set(['[object GeneratorFunction]', '[object AsyncGeneratorFunction]']);

/** Runs code around the source of a rule, whose lines and columns stay the file's. */
function evaluate(before, source, after, file, values) {
    const options = { filename: file, lineOffset: -1 };
    const loader = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER;
    if (loader !== undefined) options.importModuleDynamically = loader;
    const module = { exports: {} };
    const code = `${before}\n${source}\n;${after}`;
    return vm.compileFunction(code, parameters, options)(module, module.exports, ...values);
}

/**
 * Compiles a rule: a function expression, with comments around it and a semicolon after it if it likes; or a module that
 * exports it.
 * @returns {Function} the rule
 */
function compile(source, file, values) {
    const strict = directive.exec(source);
    const text = strict === null ? source : strict[0].replace(/[^\n]/g, ' ') + source.slice(strict[0].length);
    const before = strict === null ? '' : '"use strict";';
    try {
        // An assignment takes comments and semicolon, and needs no search for the end of the expression.
        return evaluate(`${before}var rule =`, text, 'return rule;', file, values);
    } catch (error) {
        if (!/\bmodule\.exports\b/.test(source)) throw error;
        return evaluate(before, text, 'return module.exports;', file, values);
    }
}

/** Loads a set of rules. */
class Loader {
    /** @param {object} load the payload of the frame */
    constructor(load) {
        this.load = load;
        this.problems = [];
        this.notes = [];
        this.noted = new Set();
        /** Files of packages that may be after the token, with the rules that load them. @type {Map<string, Set<string>>} */
        this.tokenFiles = new Map();
        /** Packages that are not installed, with the versions that rules ask for. @type {Map<string, Set<string>>} */
        this.missing = new Map();
        this.modules = new ModuleSet(load.directory ?? null, load.moduleDirectories ?? []);
        // Frozen: a key that one rule writes for another would be missing in the host beside this one.
        const configuration = Object.freeze({ ...load.configuration });
        const auth0 = makeAuth0(load.tenant?.domain ?? '');
        const { UnauthorizedError, ValidationError, WrongUsernameOrPasswordError } = errors;
        this.values = [
            this.modules.require, configuration, auth0, UnauthorizedError, ValidationError, WrongUsernameOrPasswordError, crypto,
            querystring,
        ];
        // Also global: for `global.UnauthorizedError`, and for the rules' own modules.
        for (const [name, value] of Object.entries({
            configuration, auth0, UnauthorizedError, ValidationError, WrongUsernameOrPasswordError,
        })) Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
    }

    /** @returns {{name: string, call: Function}[]} as many as there are rules without problems */
    rules() {
        const loaded = [];
        for (const { name, file, source } of this.load.rules) {
            const text = source.charCodeAt(0) === 0xfeff ? source.slice(1) : source;
            const call = this.compiled(name, file, text);
            this.checkModules(name, file, text);
            if (call !== null) loaded.push({ name, call, leavesPromise: false });
        }
        this.modules.allLoaded();
        this.tellMissing();
        this.defineLegacyGlobals();
        return loaded;
    }

    /** @returns {{file: string, source: string, rules: string[]}[]} files of packages that may be after the token */
    filesForToken() {
        return Array.from(this.tokenFiles, ([file, rules]) => ({ file, source: this.modules.tokenFiles.get(file), rules: [...rules] }));
    }

    compiled(name, file, source) {
        const code = codeOf(source);
        const place = positions(source);
        const refuse = ({ offset, reason, isNote }) => {
            if (isNote) this.notes.push({ rule: name, file, ...place(offset), text: reason });
            else this.problems.push({ rule: name, file, ...place(offset), reason });
            return null;
        };
        const formal = shape.objectionToSource(code);
        if (formal !== undefined) return refuse(formal);
        let rule;
        try {
            rule = compile(source, file, this.values);
        } catch (error) {
            const statement = error instanceof SyntaxError ? shape.objectionToSyntax(code) : undefined;
            if (statement !== undefined) return refuse(statement);
            const position = error instanceof SyntaxError ? syntaxPosition(error, source) : { line: 1, column: 1 };
            this.problems.push({ rule: name, file, ...position, reason: `${error?.name}: ${error?.message}` });
            return null;
        }
        const isGenerator = generators.has(Object.prototype.toString.call(rule));
        if (typeof rule !== 'function' || isGenerator) {
            const reason = isGenerator ? 'a generator function does nothing when it is called: rules are ordinary or async functions'
                : 'a rule is one function expression: function (user, context, callback) { … }';
            this.problems.push({ rule: name, file, line: 1, column: 1, reason });
            return null;
        }
        const objection = shape.objectionToFunction(rule, source, code);
        if (objection !== undefined) {
            refuse(objection);
            if (!objection.isNote) return null;
        }
        // Stacks then name the rule.
        if (rule.name === 'rule') Object.defineProperty(rule, 'name', { value: name, configurable: true });
        return rule;
    }

    /** Loads every module that the rule names: now, and not while the first login waits for it. */
    checkModules(name, file, source) {
        const { modules, globals } = scan(source, legacyNames);
        for (const { id, isOptional, line, column } of modules) {
            this.loadModule(id, isOptional, { rule: name, file, line, column }, '', source);
        }
        for (const { name: global, isOptional, line, column } of globals) {
            if (global in globalThis) continue;
            const id = legacyGlobals[global];
            this.loadModule(id, isOptional, { rule: name, file, line, column }, `${global} was the module '${id}' in Auth0's sandbox: `);
        }
    }

    loadModule(id, isOptional, place, remark = '', source = '') {
        let module;
        let exports;
        try {
            module = this.modules.resolve(id);
            exports = this.modules.require(id);
        } catch (error) {
            if (isOptional) return;
            if (error?.missing !== undefined) this.miss(error.missing);
            this.problems.push({ ...place, reason: remark + this.reasonOf(error, id, module) });
            return;
        }
        if (!isOptional && isModuleNamespaceObject(exports) && exports.default !== undefined && takesWhole(source, place)) {
            this.problems.push({ ...place, reason: remark + this.reasonOf({ code: 'ERR_REQUIRE_ESM' }, id, module) });
            return;
        }
        for (const file of this.modules.tokenFilesOf(module.file)) {
            if (!this.tokenFiles.has(file)) this.tokenFiles.set(file, new Set());
            this.tokenFiles.get(file).add(place.rule);
        }
        const { asked, version } = module;
        if (asked === undefined || version === undefined || isVersion(version, asked) || this.noted.has(id)) return;
        this.noted.add(id);
        const { rule, line, column } = place;
        const text = `${module.name}@${asked} is asked for, ${module.name} ${version} is installed and used`;
        this.notes.push({ rule, line, column, text });
    }

    reasonOf(error, id, module) {
        if (error?.code === 'EACCES' && error.path !== undefined) return `module '${id}' cannot be loaded: ${error.path} ${unreadable}`;
        const text = String(error?.message ?? error).split('\n')[0];
        if (module === undefined) return text;
        if (error?.code !== 'ERR_REQUIRE_ESM') return `module '${id}' cannot be loaded: ${text}`;
        const installed = module.version === undefined ? module.name : `${module.name} ${module.version}`;
        const version = lastCommonJS[module.name];
        const hint = version === undefined ? 'install an older version that is CommonJS, npm install '
            + `${module.name}@VERSION` : `npm install ${module.name}@${version}`;
        return `${installed} is an ES module only, and require does not give what it exports: ${hint}`;
    }

    /** Notes a package that is not installed. */
    miss({ name, asked }) {
        if (!this.missing.has(name)) this.missing.set(name, new Set());
        if (asked !== undefined) this.missing.get(name).add(asked);
    }

    /** One line for all that is missing. */
    tellMissing() {
        if (this.missing.size < 2) return;
        const { directory } = this.load;
        const words = [];
        for (const [name, versions] of this.missing) {
            const [first] = versions;
            words.push(first === undefined ? name : `${name}@${first}`);
            if (versions.size < 2) continue;
            const text = `${name} is asked for in the versions ${[...versions].join(', ')}, and one folder can have one: all rules get that`;
            this.notes.push({ file: path.join(directory ?? '', 'package.json'), line: 0, column: 0, text });
        }
        const reason = `${words.length} packages are missing; all at once: npm install --prefix ${directory ?? '.'} ${words.join(' ')}`;
        this.problems.push({ file: directory ?? 'rules', line: 0, column: 0, reason });
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

/** Whether a rule takes what `require` gives as it is: no member of it, and no pattern. */
function takesWhole(source, { line, column }) {
    const lines = source.split('\n');
    const before = lines.slice(Math.max(0, line - 10), line - 1).concat(lines[line - 1].slice(0, column - 1)).join('\n');
    const after = lines.slice(line - 1, line + 2).join('\n').slice(column - 1);
    return !/\}\s*=\s*require\s*\(\s*$/.test(before) && !/^(["'`])[^"'`]*\1\s*\)\s*\??\s*[.[]/.test(after);
}

module.exports = { Loader, compile };
