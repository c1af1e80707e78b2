'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/**
 * A folder of rules with these files in it, for the time of a test.
 * @param {import('node:test').TestContext} context
 * @param {Object<string, string>} files by their paths in it
 * @returns {string}
 */
function folder(context, files) {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rules-'));
    context.after(() => fs.rmSync(directory, { recursive: true }));
    for (const [name, text] of Object.entries(files)) {
        fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
        fs.writeFileSync(path.join(directory, name), text);
    }
    return directory;
}

module.exports = { folder };
