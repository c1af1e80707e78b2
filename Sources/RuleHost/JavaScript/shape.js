'use strict';

// Whether a source has the form of a rule: what compiles, and would still fail every login, is said when the rules are loaded.

const form = 'function (user, context, callback) { … }';
/** How the last parameter of a rule is called. */
const callbackName = /^_?(callback|cb|done|next)$/i;

/**
 * Before a source is compiled.
 * @param {string} code of the source, with blanks for all that is not code
 * @returns {{offset: number, reason: string} | undefined}
 */
function objectionToSource(code) {
    if (/^[\s;]*$/.test(code)) return { offset: 0, reason: `holds no code: write ${form}, or "enabled": false into its .json` };
    const action = /\bexports\s*\.\s*(on(?:Execute|Continue)\w+)\s*=/.exec(code);
    if (action !== null) {
        return {
            offset: action.index,
            reason: `is an Action (exports.${action[1]}), which runs in Auth0 itself: a rule is ${form}`,
        };
    }
    const statement = /^[ \t]*(import\b(?!\s*\()|export\b)/m.exec(code);
    if (statement !== null) {
        return {
            offset: statement.index,
            reason: `is an ES module: write const name = require('name') for import, inside of ${form}`,
        };
    }
    return undefined;
}

/**
 * After V8 refused it: what stands where the rule should.
 * @param {string} code
 * @returns {{offset: number, reason: string} | undefined}
 */
function objectionToSyntax(code) {
    const found = /^\s*(const|let|var|class|if|for|return|try|throw)\b/.exec(code);
    if (found === null) return undefined;
    return {
        offset: found[0].length - found[1].length,
        reason: `${found[1]} stands where the rule should: a rule is one expression, ${form}; move the rest into the function, `
            + 'or end the file with module.exports = NAME_OF_THE_FUNCTION',
    };
}

/** The parameters of a function whose text begins at `at`, as they are written; undefined where that is not a function. */
function parametersAt(code, at) {
    const head = /^(?:async\b\s*)?(?:function\b\s*\*?\s*[\w$]*\s*)?(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\)|([\w$]+)(?=\s*=>))/.exec(code.slice(at));
    if (head === null) return undefined;
    return (head[1] ?? head[2]).split(',').map((name) => name.trim()).filter((name) => name !== '');
}

function looksLikeRule(parameters) {
    return parameters !== undefined && (parameters.length === 3 || parameters[0] === 'user')
        && (parameters.length < 3 || callbackName.test(parameters[2]) || parameters[0] === 'user');
}

/** The first function at the top level of the rest of a file that looks like a rule. */
function laterRule(code, from) {
    let depth = 0;
    for (let at = from; at < code.length; at += 1) {
        const unit = code[at];
        if (unit === '{') depth += 1;
        if (unit === '}') depth -= 1;
        if (depth > 0 || (unit !== 'a' && unit !== 'f') || /[\w$.]/.test(code[at - 1] ?? ' ')) continue;
        if (/^(async\s+)?function\b/.test(code.slice(at, at + 40)) && looksLikeRule(parametersAt(code, at))) return at;
    }
    return -1;
}

/**
 * Of a function that would be called as the rule.
 * @param {Function} rule
 * @param {string} source
 * @param {string} code
 * @returns {{offset: number, reason: string, isNote?: boolean} | undefined}
 */
function objectionToFunction(rule, source, code) {
    const text = Function.prototype.toString.call(rule);
    const start = Math.max(0, source.indexOf(text));
    if (/^class\b/.test(text)) return { offset: start, reason: `is a class, and rules are called without new: write ${form}` };
    const end = start + text.length;
    const parameters = parametersAt(code, start) ?? [];
    const name = rule.name === '' || rule.name === 'rule' ? 'the first function' : `the function ${rule.name}`;
    const isExported = /\bmodule\s*\.\s*exports\b/.test(code);
    const later = isExported ? -1 : laterRule(code, end);
    if (later !== -1) {
        const reason = looksLikeRule(parameters)
            ? `holds two rules, of which only the first would run: give the one that begins here a file of its own`
            : `${name} stands above the rule, and would run in its place: move it into the rule, or below it`;
        return { offset: looksLikeRule(parameters) ? later : start, reason };
    }
    if (rule.length > 3) {
        return { offset: start, reason: `${name} takes ${rule.length} parameters, and rules are given three: write ${form}` };
    }
    const body = code.slice(start, end);
    const isFree = /\barguments\b|\beval\b/.test(body) || parameters.some((parameter) => /\.\.\.|=/.test(parameter));
    if (isFree) return undefined;
    if (rule.length < 3) {
        const given = `(${parameters.join(', ')})`;
        return {
            offset: start,
            reason: `takes ${given} and no callback, so that no login would get past it: write ${form}, and callback(null, user, context) where it ends`,
        };
    }
    const uses = body.match(new RegExp(`(?<![\\w$.])${parameters[2].replace(/\$/g, '\\$&')}(?![\\w$])`, 'g')) ?? [];
    if (/^[\w$]+$/.test(parameters[2]) && uses.length < 2 && !/\bthrow\b/.test(body)) {
        return {
            offset: start,
            isNote: true,
            reason: `never calls its ${parameters[2]}: each login would fail at rules.timeout; end with ${parameters[2]}(null, user, context)`,
        };
    }
    return undefined;
}

module.exports = { objectionToSource, objectionToSyntax, objectionToFunction };
