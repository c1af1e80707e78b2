'use strict';

// Plays scenes (see exchangescenes.js) in a plain Node, with a server on this machine in the place of the worker:
//     node plainnode.js SCENE …
// prints what each shows of itself as JSON.

const http = require('node:http');
const { scenes, prologue, answer, overHTTP } = require('./exchangescenes');
const { socketScenes } = require('./socketscenes');

/** Headers that this server sets itself, as the host does. */
const own = new Set(['transfer-encoding', 'content-length', 'connection', 'keep-alive']);

async function serve(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { code, status = 200, reason = 'OK', headers = [['content-type', 'application/json']], body = '' } = await answer({
        url: `http://server.example${request.url}`, body: Buffer.concat(parts).toString(),
    }) ?? { code: 'held' };
    if (code === 'held') return;
    if (code !== undefined) {
        request.socket.resetAndDestroy();
        return;
    }
    const bytes = Buffer.from(body);
    const written = headers.filter(([name]) => !own.has(name.toLowerCase())).flat();
    response.sendDate = false;
    response.writeHead(status, reason, status === 204 || status === 304 ? written : [...written, 'content-length', String(bytes.length)]);
    response.end(bytes);
}

function play(body, base) {
    return new Promise((resolve) => {
        const timer = setTimeout(resolve, 2000, ['it did not end']);
        const done = (lines) => {
            clearTimeout(timer);
            resolve([...lines]);
        };
        new Function('require', 'base', 'end', `${prologue} const done = () => end(lines); ${overHTTP(body)}`)(require, base, done);
    });
}

async function playAll(names) {
    const found = {};
    for (const name of names) {
        // One for each: the global agents of plain Node keep sockets.
        const server = http.createServer((request, response) => serve(request, response).catch(() => request.socket.destroy()));
        server.keepAliveTimeout = 0;
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        found[name] = await play(scenes[name] ?? socketScenes[name], `http://127.0.0.1:${server.address().port}`);
    }
    process.stdout.write(JSON.stringify(found), () => process.exit(0));
}

playAll(process.argv.slice(2));
