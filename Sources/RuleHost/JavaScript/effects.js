'use strict';

// What rules change of the context that only a login in progress has a use for: here it can have no effect any more.

const { parse, stringify } = require('./intrinsics');

/** Besides `redirect` and `multifactor`, which may be anything. */
const names = ['samlConfiguration', 'addonConfiguration', 'primaryUser'];

/** These fields as the login had them. */
class GivenEffects {
    /** @param {string} contextText */
    constructor(contextText) {
        this.contextText = contextText;
        this.given = null;
    }

    /**
     * @param {object} context as a rule left it
     * @returns {string[] | null} which are not as they were given
     */
    changed(context) {
        let changed = null;
        for (let index = 0; index < names.length; index += 1) {
            const value = context[names[index]];
            if (value === undefined || value === null) continue;
            // Read again only where a login has one of them.
            if (this.given === null) this.given = parse(this.contextText);
            const given = this.given[names[index]];
            const text = stringify(value);
            // Rules find an empty container where the login has none.
            if (text === stringify(given) || (given === undefined && text === '{}')) continue;
            if (changed === null) changed = [];
            changed[changed.length] = names[index];
        }
        return changed;
    }
}

module.exports = { GivenEffects };
