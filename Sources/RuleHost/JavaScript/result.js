'use strict';

// The head of the frame `done`: what became of an evaluation.

const { stringify } = require('./intrinsics');
const { MetadataWrites } = require('./metadata');

/** @param {import('./evaluation').Evaluation} evaluation */
function headOf(evaluation) {
    const { outcome, runs, unsupported } = evaluation;
    return `{"outcome":"${outcome}"${failureText(evaluation)},"rules":[${rulesText(runs)}],${writesText(evaluation)}`
        + `,"unsupported":${unsupported.length === 0 ? '[]' : stringify(unsupported)}}`;
}

/** The head where user, context and metadata are too large together: the last rule's fault. */
function tooLargeHead(rule) {
    const error = { name: 'LimitError', message: 'user, context and metadata are too large together' };
    return `{"outcome":"limit","rule":${rule},"error":${stringify(error)},"rules":[],${MetadataWrites.noneText},"unsupported":[]}`;
}

function failureText({ culprit, error }) {
    return culprit === null ? '' : `,"rule":${culprit.index},"error":${stringify(error)}`;
}

function rulesText(runs) {
    let text = '';
    for (let index = 0; index < runs.length; index += 1) {
        const run = runs[index];
        const milliseconds = Math.round(run.milliseconds * 1000) / 1000;
        text += `${index === 0 ? '' : ','}{"rule":${run.index},"ms":${milliseconds},"calls":${run.calls}`
            + `,"late":${run.late === null ? '[]' : stringify(run.late)}}`;
    }
    return text;
}

function writesText({ runs, culprit, outcome }) {
    let writes = null;
    for (let index = 0; index < runs.length; index += 1) {
        const run = runs[index];
        const isDropped = run === culprit && outcome !== 'denied';
        if (run.writes === null || isDropped) continue;
        if (writes === null) writes = new MetadataWrites();
        writes.merge(run.writes);
    }
    return writes === null ? MetadataWrites.noneText : writes.text();
}

module.exports = { headOf, tooLargeHead };
