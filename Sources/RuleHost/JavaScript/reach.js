'use strict';

// Where rules may connect to, as far as a rule host can tell. The worker decides: this only saves a rule from being told that it is
// connected to what it will never reach.

const { PrivateSet } = require('./intrinsics');

/** `host:port`, `*.domain:port`; port 0 stands for the defaults of http and https. @type {Set<string> | null} */
let places = null;
/** Names and addresses that are written in one way only. */
const isPlain = /^(?=.*[a-z])[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?$|^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/;
/** `0x7f.1`, `1e1`: some resolvers read a number where the last part begins with a digit. */
const endsAsNumber = /(?:^|\.)\d[^.]*$/;
const isAddress = /^[\d.]+$/;

/** @param {string[] | undefined} list of the frame `load`; undefined where the worker alone knows */
function configure(list) {
    places = list === undefined ? null : new PrivateSet(list);
}

/**
 * Whether the worker refuses whatever is sent there. What is not certain is left to it.
 * @param {string} name
 * @param {number} port
 * @returns {boolean}
 */
function isRefused(name, port) {
    if (places === null) return false;
    let host = name.toLowerCase();
    if (host.endsWith('.')) host = host.slice(0, -1);
    if (!isPlain.test(host) || (endsAsNumber.test(host) && !isAddress.test(host))) return false;
    if (isListed(host, port)) return false;
    for (let at = host.indexOf('.'); at !== -1; at = host.indexOf('.', at + 1)) {
        if (isListed(`*${host.slice(at)}`, port)) return false;
    }
    return true;
}

function isListed(place, port) {
    return places.has(`${place}:${port}`) || ((port === 80 || port === 443 || port === 0) && places.has(`${place}:0`));
}

module.exports = { configure, isRefused };
