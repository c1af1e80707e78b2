'use strict';

// What became of an evaluation: the parts of the frame `done`.

const { stringify } = require('./intrinsics');
const { MetadataWrites } = require('./metadata');

const { round } = Math;

/**
 * A state that is empty is as it was given. `before…` is the state before the first rule of which a request *failed so*: its answer, or
 * its failure, says nothing of this login, or which waited for a promise of another login that such a failure rejected (*borrowed*);
 * else that before the rule that failed.
 * @typedef {{head: string, user: string, context: string, beforeUser: string, beforeContext: string}} Result
 */

/**
 * The result of an evaluation that is over.
 * @param {import('./evaluation').Evaluation} evaluation
 * @returns {Result}
 */
function resultOf(evaluation) {
    const { outcome, culprit, error, userText, contextText, next } = evaluation;
    const failure = culprit === null ? '' : `,"rule":${culprit.index},"error":${stringify(error)}`;
    return made(evaluation, `{"outcome":"${outcome}"${failure}`, next, userText, contextText);
}

/**
 * The result of an evaluation that the worker ended: as it was before the first rule that was not complete.
 * @param {import('./evaluation').Evaluation} evaluation
 * @param {import('./rulerun').RuleRun | undefined} incomplete undefined where that rule has not begun
 * @returns {Result}
 */
function endedOf(evaluation, incomplete) {
    const rule = incomplete === undefined ? evaluation.next : incomplete.index;
    const { userText, contextText } = incomplete ?? evaluation;
    return made(evaluation, `{"outcome":"ended","rule":${rule}`, rule, userText, contextText);
}

/**
 * The result where user, context and metadata are too large together: the last rule's fault.
 * @param {number} rule
 * @returns {Result}
 */
function tooLarge(rule) {
    const error = { name: 'LimitError', message: 'user, context and metadata are too large together (64 MB are allowed): keep less of what APIs answer' };
    const head = `{"outcome":"limit","rule":${rule},"error":${stringify(error)},"rules":[],${MetadataWrites.noneText},"unsupported":[]}`;
    return { head, user: '', context: '', beforeUser: '', beforeContext: '' };
}

/** @param {number} end of the rules that it is about: the first one that is not */
function made(evaluation, opening, end, userText, contextText) {
    const { runs, givenUserText, givenContextText } = evaluation;
    const head = `${opening},"rules":[${rulesText(runs, end)}],${effectsText(evaluation, end)}`;
    const before = firstNotItsOwn(runs) ?? retriedRule(evaluation);
    const changed = (text, given) => (text === given ? '' : text);
    return {
        head: before === null ? `${head}}` : `${head},"before":${beforeText(evaluation, before)}}`,
        user: changed(userText, givenUserText),
        context: changed(contextText, givenContextText),
        beforeUser: before === null ? '' : changed(before.userText, givenUserText),
        beforeContext: before === null ? '' : changed(before.contextText, givenContextText),
    };
}

/** The first rule whose doing may not be its own: a request of it failed so, or one of another login whose promise it waited for. */
function firstNotItsOwn(runs) {
    for (let index = 0; index < runs.length; index += 1) {
        if (runs[index].failedSo || runs[index].borrowedFailure()) return runs[index];
    }
    return null;
}

function beforeText(evaluation, before) {
    const borrowed = before.borrowedFailure() ? ',"borrowed":true' : '';
    return `{"rule":${before.index},${effectsText(evaluation, before.index)}${borrowed}}`;
}

/** A rule that failed after calls, or after writes of metadata: where it runs again, it runs as if it had not. */
function retriedRule({ culprit, outcome }) {
    if (culprit === null || outcome === 'denied') return null;
    return culprit.calls > 0 || culprit.writes !== null ? culprit : null;
}

function rulesText(runs, end) {
    let text = '';
    for (let at = 0; at < runs.length; at += 1) {
        const { index, milliseconds, calls, late } = runs[at];
        if (index >= end) break;
        text += `${at === 0 ? '' : ','}{"rule":${index},"ms":${round(milliseconds * 1000) / 1000},"calls":${calls}`
            + `,"late":${late === null ? '[]' : stringify(late)}}`;
    }
    return text;
}

/**
 * What rules wrote and asked for. What the rule wrote that ended the chain is kept, since rules deny with plain errors too; but where one
 * of its requests failed so it runs again, and writes again.
 */
function effectsText({ runs, culprit, outcome, unsupported }, end) {
    let writes = null;
    for (let at = 0; at < runs.length; at += 1) {
        const run = runs[at];
        if (run.index >= end) break;
        const isDropped = run === culprit && outcome !== 'denied' && run.failedSo;
        if (run.writes === null || isDropped) continue;
        if (writes === null) writes = new MetadataWrites();
        writes.merge(run.writes);
    }
    const names = unsupported.length === 0 ? '[]'
        : stringify(unsupported.filter(({ rule }) => rule < end).map(({ name }) => name));
    return `${writes === null ? MetadataWrites.noneText : writes.text()},"unsupported":${names}`;
}

module.exports = { resultOf, endedOf, tooLarge };
