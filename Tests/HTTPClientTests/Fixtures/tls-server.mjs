// A TLS server for the tests: its arguments are http1 or http2, key and certificate as PEM, and options of TLS.
// Its first line is its port; the others say what happens: `connection`, `request METHOD PATH`, and `goodbye` when `/goaway` has
// ended its connection.
import http2 from 'node:http2';
import https from 'node:https';

const [kind, pem, options] = process.argv.slice(2);
const print = (line) => process.stdout.write(`${line}\n`);
process.stdin.resume().on('end', () => process.exit(0));

const settings = { key: pem, cert: pem, ...(0, eval)(options) };
const server =
    kind === 'http2' ? http2.createSecureServer({ allowHTTP1: true, ...settings }) : https.createServer(settings);

/** Requests of `/together/N` are answered once N of them are there. */
const waiting = [];

const answers = {
    echo(request, response) {
        const chunks = [];
        request.on('data', (chunk) => chunks.push(chunk));
        request.on('end', () => {
            response.writeHead(200, { 'x-version': request.httpVersion, 'x-seen': JSON.stringify(request.headers) });
            response.end(Buffer.concat(chunks));
        });
    },
    bytes: (request, response, count) => response.end(Buffer.alloc(Number(count), 'x')),
    cookies(request, response) {
        response.writeHead(200, { 'set-cookie': ['a=1', 'b=2', 'c=3'] });
        response.end();
    },
    together(request, response, count) {
        waiting.push(response);
        if (waiting.length < Number(count)) return;
        for (const each of waiting.splice(0)) each.end('together');
    },
    fail: (request, response) => response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR),
    cut(request, response) {
        response.write('half');
        response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    },
    goaway(request, response) {
        // Node may send what is left of a response while it closes the stream: a session that is closed before or just then
        // ends without the response's end, on Node 18 in every second run. So it is closed when the event loop is back.
        const { session } = request.stream;
        session.socket.once('finish', () => print('goodbye'));
        request.stream.once('close', () => setImmediate(() => session.close()));
        response.end('bye');
    },
};

server.on('secureConnection', () => print('connection'));
server.on('tlsClientError', (error) => print(`refused ${error.code}`));
server.on('sessionError', () => {});
server.on('request', (request, response) => {
    print(`request ${request.method} ${request.url}`);
    response.on('error', () => {});
    const [, name, argument] = request.url.split('?')[0].split('/');
    answers[name](request, response, argument);
});
server.listen(0, '127.0.0.1', () => print(server.address().port));
