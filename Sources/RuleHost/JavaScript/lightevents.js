'use strict';

// What a light socket emits as it opens and as it closes, in the order of one with streams.
//
// What is given to a tick can be had by whoever watches what Node does: it is the socket, never its far end.

const { nextTick, PrivateSet } = require('./intrinsics');
const { stages } = require('./farend');
const { hostEnd, connected } = require('./sockets');

/** Events of a socket that opens. A light one opens when somebody asks for that before it is used. */
const opening = new PrivateSet(['connect', 'secureConnect', 'ready', 'lookup']);

/** @returns {boolean} whether a socket is about to open, as somebody has asked for that */
function isOpening(socket) {
    const farEnd = hostEnd(socket);
    if (!farEnd.isOpening && !farEnd.hasOpened && !farEnd.hasRead) {
        farEnd.isOpening = true;
        nextTick(open, socket);
    }
    return farEnd.isOpening;
}

function open(socket) {
    const farEnd = hostEnd(socket);
    farEnd.isOpening = false;
    farEnd.hasOpened = true;
    connected(socket);
}

/** The end of a socket whose answer was the last one. */
function finish(socket) {
    const farEnd = hostEnd(socket);
    const hasStreams = () => farEnd.stage === stages.full && !farEnd.isClosing;
    // Listeners look at it, and may give it streams: these emit what is left.
    if (hasStreams()) return;
    if (farEnd.stage === stages.ended && !farEnd.hasEnded) socket.emit('end');
    socket.emit('finish');
    if (hasStreams()) return;
    const { timeout } = socket;
    socket.setTimeout(0);
    socket.timeout = timeout;
    if (farEnd.stage !== stages.full) farEnd.stage = stages.destroyed;
    farEnd.cancel();
    nextTick(close, socket);
}

function close(socket) {
    socket.emit('close', false);
}

module.exports = { opening, isOpening, finish };
