'use strict';

// Finds `require('…')` and the use of globals in the source of a rule, without a parser: comments, strings, templates and
// regular expressions are stepped over, so that only code counts.

const space = /\s/;
const word = /[\w$]/;
/** Words after which a slash begins a regular expression, not a division. */
const beforeExpression = new Set(['return', 'typeof', 'case', 'in', 'of', 'delete', 'void', 'throw', 'new', 'else', 'do', 'await', 'yield', 'instanceof']);

/** Where a quoted string that begins at `start` ends. */
function endOfString(source, start) {
    const quote = source[start];
    let at = start + 1;
    while (at < source.length && source[at] !== quote && source[at] !== '\n') at += source[at] === '\\' ? 2 : 1;
    return at + 1;
}

function endOfRegExp(source, start) {
    let isClass = false;
    let at = start + 1;
    for (; at < source.length && source[at] !== '\n'; at += 1) {
        const unit = source[at];
        if (unit === '\\') at += 1;
        else if (unit === '[') isClass = true;
        else if (unit === ']') isClass = false;
        else if (unit === '/' && !isClass) return at + 1;
    }
    // Not a regular expression after all.
    return start + 1;
}

/** @param {string} source @returns {(offset: number) => {line: number, column: number}} */
function positions(source) {
    return (offset) => {
        const before = source.slice(0, offset);
        const line = before.split('\n').length;
        return { line, column: offset - before.lastIndexOf('\n') };
    };
}

/**
 * All `require` calls with a literal, and the given names where they are surely global: called or looked into, and nowhere
 * standing as they would have to where they are declared.
 * @param {string} source
 * @param {Set<string>} [names]
 * @returns {{modules: {id: string, isOptional: boolean, line: number, column: number}[],
 *     globals: {name: string, isOptional: boolean, line: number, column: number}[]}} optional is what stands inside of a `try`
 */
function scan(source, names = new Set()) {
    const found = [];
    const used = new Map();
    const declared = new Set();
    const place = positions(source);
    /** For each open `${` of a template: the depth of braces at which it closes. */
    const templates = [];
    let braces = 0;
    /** For each open `try`: the depth of braces at which it closes. */
    const tries = [];
    /** The last word or sign of code. */
    let last = '';
    let beforeLast = '';
    let at = 0;

    const stepOverTemplate = (start) => {
        let index = start;
        while (index < source.length) {
            if (source[index] === '\\') index += 2;
            else if (source[index] === '`') return index + 1;
            else if (source[index] === '$' && source[index + 1] === '{') {
                templates.push(braces);
                braces += 1;
                return index + 2;
            } else index += 1;
        }
        return index;
    };
    const sign = (text) => {
        beforeLast = last;
        last = text;
    };

    while (at < source.length) {
        const unit = source[at];
        if (space.test(unit)) {
            at += 1;
        } else if (unit === '/' && source[at + 1] === '/') {
            const end = source.indexOf('\n', at);
            at = end === -1 ? source.length : end;
        } else if (unit === '/' && source[at + 1] === '*') {
            const end = source.indexOf('*/', at + 2);
            at = end === -1 ? source.length : end + 2;
        } else if (unit === '"' || unit === "'") {
            const end = endOfString(source, at);
            if (last === '(' && beforeLast === 'require') noteRequire(found, source, at, end, place, tries.length > 0);
            sign(unit);
            at = end;
        } else if (unit === '`') {
            const end = stepOverTemplate(at + 1);
            const isPlain = source[end - 1] === '`';
            if (isPlain && last === '(' && beforeLast === 'require') noteRequire(found, source, at, end, place, tries.length > 0);
            sign(isPlain ? '`' : '{');
            at = end;
        } else if (unit === '/' && (/^[([{},;:=!&|?+\-*%~^<>]?$/.test(last) || beforeExpression.has(last))) {
            at = endOfRegExp(source, at);
            sign(')');
        } else if (word.test(unit)) {
            const start = at;
            while (at < source.length && word.test(source[at])) at += 1;
            const name = source.slice(start, at);
            if (last !== '.' && names.has(name)) {
                const isUsed = isUse(name, last, source.slice(at, at + 200).trimStart());
                if (isUsed === false) declared.add(name);
                if (isUsed === true && !used.has(name)) used.set(name, { name, isOptional: tries.length > 0, ...place(start) });
            }
            // A method of that name is another one's.
            sign(last === '.' ? `.${name}` : name);
        } else if (unit === '}' && templates.length > 0 && templates[templates.length - 1] === braces - 1) {
            templates.pop();
            braces -= 1;
            at = stepOverTemplate(at + 1);
            sign(source[at - 1] === '`' ? '`' : '{');
        } else {
            if (unit === '{') {
                if (last === 'try') tries.push(braces);
                braces += 1;
            }
            if (unit === '}') {
                braces -= 1;
                if (tries[tries.length - 1] === braces) tries.pop();
            }
            sign(unit);
            at += 1;
        }
    }
    return { modules: found, globals: [...used.values()].filter(({ name }) => !declared.has(name)) };
}

/**
 * Whether a name is called or looked into.
 * @returns {boolean | undefined} undefined where it is something else (the key of a property), false where it may be declared
 */
function isUse(name, before, after) {
    if (before === 'typeof' || before === 'function' || before === 'class') return false;
    if (after.startsWith('.') || after.startsWith('?.')) return true;
    const isInList = before === '{' || before === ',';
    if (after.startsWith(':') && isInList) return undefined;
    if (name === 'async' && /^[\w$([]/.test(after)) return undefined;
    if (after.startsWith('(')) return isInList ? undefined : true;
    return false;
}

/**
 * The source with blanks where it is not code: comments, and what stands in strings, templates and regular expressions. Offsets and lines
 * stay as they are.
 * @param {string} source
 * @returns {string}
 */
function codeOf(source) {
    let code = '';
    let at = 0;
    /** For each open `${` of a template: the depth of braces at which it closes. */
    const templates = [];
    let braces = 0;
    let last = '';
    const blank = (end) => {
        code += source.slice(at, end).replace(/[^\n]/g, ' ');
        at = end;
    };
    const stepOverTemplate = () => {
        let end = at + 1;
        while (end < source.length && source[end] !== '`' && !(source[end] === '$' && source[end + 1] === '{')) {
            end += source[end] === '\\' ? 2 : 1;
        }
        const isOpen = source[end] === '$';
        blank(Math.min(source.length, end + (isOpen ? 2 : 1)));
        last = isOpen ? '{' : '`';
        if (!isOpen) return;
        templates.push(braces);
        braces += 1;
    };
    while (at < source.length) {
        const unit = source[at];
        const pair = source.slice(at, at + 2);
        if (pair === '//' || pair === '/*') {
            const end = source.indexOf(pair === '//' ? '\n' : '*/', at + 2);
            blank(end === -1 ? source.length : end + (pair === '//' ? 0 : 2));
        } else if (unit === '"' || unit === "'") {
            blank(Math.min(source.length, endOfString(source, at)));
            last = unit;
        } else if (unit === '`' || (unit === '}' && templates.length > 0 && templates[templates.length - 1] === braces - 1)) {
            if (unit === '}') {
                templates.pop();
                braces -= 1;
            }
            stepOverTemplate();
        } else if (unit === '/' && (/^[([{},;:=!&|?+\-*%~^<>]?$/.test(last) || beforeExpression.has(last))) {
            blank(endOfRegExp(source, at));
            last = ')';
        } else {
            const [text] = /^[\w$]+|^[^]/.exec(source.slice(at, at + 200));
            if (text === '{') braces += 1;
            if (text === '}') braces -= 1;
            if (!space.test(text)) last = text;
            code += text;
            at += text.length;
        }
    }
    return code;
}

/** Notes a literal, where it is the whole argument. */
function noteRequire(found, source, start, end, place, isOptional) {
    const id = source.slice(start + 1, end - 1);
    if (id === '' || id.includes('\\') || !/^\s*[),]/.test(source.slice(end, end + 40))) return;
    found.push({ id, isOptional, ...place(start) });
}

module.exports = { scan, codeOf, positions };
