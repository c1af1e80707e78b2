import AfterloginJSON
import Foundation

/// One rule that does to its host what `user.mode` says, and a folder with everything a run needs.
final class HostileChain {
    static let secret = "a-secret-of-the-tenant"

    private static let rule = """
        async function hostile(user, context, callback) {
            const attempt = (body) => {
                try { user.seen = String(body()); } catch (error) { user.seen = `refused: ${error.code || error.name}`; }
                callback(null, user, context);
            };
            switch (user.mode) {
            case 'loop': for (;;) { }
            case 'promises': { const again = () => Promise.resolve().then(again); again(); return; }
            case 'regexp': /^(a+)+$/.test('a'.repeat(50) + '!'); return callback(null, user, context);
            case 'never': return;
            case 'memory': { const kept = []; for (;;) kept.push(new Array(1e6).fill(kept.length)); }
            case 'late': setTimeout(() => { throw new Error('thrown late'); }, 10); return;
            case 'twice': callback(null, user, context); callback(null, user, context); return;
            case 'rejects': throw new Error('rejected');
            case 'exit': return attempt(() => process.exit(3));
            case 'socket': return attempt(() => new (process.binding('tcp_wrap').TCP)(0));
            case 'file': return attempt(() => require('fs').readFileSync('/etc/passwd', 'utf8'));
            case 'program': return attempt(() => {
                const run = require('child_process').spawnSync('/bin/true');
                if (run.error) throw run.error;
                return 'it ran';
            });
            case 'signal': return attempt(() => process.kill(process.ppid, 'SIGKILL'));
            case 'prints':
                process.stdout.write('printed by a rule\\n');
                console.log('logged by a rule');
                return callback(null, user, context);
            case 'nonsense': require('fs').writeSync(3, Buffer.alloc(64, 0xff)); return;
            case 'secret':
                console.log(`${configuration.CLIENT_SECRET} Bearer abcdefgh.ijklmnop`);
                throw new Error(`https://me:pass-in-url@api.example/?access_token=token-in-query ${configuration.CLIENT_SECRET}`);
            case 'denied with a secret':
                return callback(new UnauthorizedError(`not with ${configuration.CLIENT_SECRET}`));
            case 'late secret':
                setTimeout(() => { throw new Error(`late ${configuration.CLIENT_SECRET}`); }, 10);
                return callback(null, user, context);
            case 'token': {
                const reply = await fetch(configuration.TOKEN_URL, {
                    method: 'POST',
                    headers: { 'content-type': 'application/json' },
                    body: JSON.stringify({
                        grant_type: 'client_credentials', client_id: 'sandbox-client', client_secret: 'sandbox-secret',
                        audience: 'https://profiles.example/api',
                    }),
                });
                const token = (await reply.json()).access_token;
                console.log(`got ${token}`, { authorization: `Bearer ${token}` });
                setTimeout(() => { throw new Error(`late ${token}`); }, 10);
                user.reversed = [...token].reverse().join('');
                return callback(null, user, context);
            }
            case 'large': user.large = 'x'.repeat(3e6); return callback(null, user, context);
            case 'claims':
                await auth0.users.updateAppMetadata(user.user_id, { claimed: true });
                return callback(new Error('already claimed'));
            case 'denied': return callback(new UnauthorizedError('not today'));
            case 'call': {
                try { await fetch(configuration.CLOSED); } catch (error) { return callback(error); }
                return callback(null, user, context);
            }
            case 'writes':
                user.app_metadata = Object.assign({}, user.app_metadata, { plan: 'gold' });
                user.nickname = 'changed';
                delete user.gone;
                context.idToken['https://example.com/plan'] = 'gold';
                context.accessToken['https://example.com/plan'] = 'gold';
                context.redirect = { url: 'https://example.com/consent' };
                context.multifactor = { provider: 'any' };
                await auth0.users.updateAppMetadata(user.user_id, user.app_metadata);
                return callback(null, user, context);
            default: user.seen = 'fine'; callback(null, user, context);
            }
        }
        """

    let folder: TemporaryFolder
    private let closedPort: Int

    init() throws {
        self.folder = try TemporaryFolder()
        self.closedPort = try FreePort.take()
        try self.folder.write(Self.rule, to: "rules/hostile.js")
        try self.folder.write(#"{"order": 1, "enabled": true, "stage": "login_success"}"#, to: "rules/hostile.json")
        try self.folder.write("function (user, context, callback) { callback(null); }", to: "rules/next.js")
        try self.folder.write(#"{"order": 2, "enabled": true, "stage": "login_success"}"#, to: "rules/next.json")
        try self.folder.write(Self.secret, to: "secret")
        let configuration = """
            rules:
              directory: \(self.folder.path)/rules
              timeout: 3s
              attempts: 1
              host: { turn: 500ms, memory: 250MB }
            egress: { allow: ["127.0.0.1:\(self.closedPort)"], attempts: 1 }
            configuration:
              CLIENT_SECRET: ${file:\(self.folder.path)/secret}
              TOKEN_URL: https://127.0.0.1/oauth/token
              CLOSED: http://127.0.0.1:\(self.closedPort)/
            admin: { listen: none }
            """
        try self.folder.write(configuration, to: "afterlogin.yaml")
    }

    /// `run` over these lines, to its end.
    func run(_ lines: String, _ words: String...) throws -> ChildProcess {
        let process = try ChildProcess(
            Executables.afterlogin,
            ["run", "--config", "\(self.folder.path)/afterlogin.yaml", "--input", "-"] + words,
            input: lines
        )
        process.wait()
        return process
    }

    /// `run` on Kafka; it goes on until it is told to stop.
    func start(_ settings: String...) throws -> ChildProcess {
        try ChildProcess(
            Executables.afterlogin,
            ["run", "--config", "\(self.folder.path)/afterlogin.yaml"] + settings.flatMap { ["--set", $0] }
        )
    }

    static func event(_ mode: String, user: String, id: String = "e") -> String {
        #"{"id":"\#(id)","time":"2026-11-24T10:00:00Z","user":{"user_id":"\#(user)","mode":"\#(mode)","gone":1},"context":{"idToken":{},"accessToken":{}}}"#
    }
}

/// What `run` wrote, a line each.
struct ResultLines {
    var updates: [JSONValue] = []
    var denials: [JSONValue] = []
    var failures: [JSONValue] = []
    /// What rules wrote of logins that failed: no results of their own.
    var changes: [JSONValue] = []
    var all: [JSONValue] { self.updates + self.denials + self.failures }

    init(_ text: String) throws {
        for line in text.split(separator: "\n") {
            let value = try JSONValue(parsing: Array(line.utf8))
            switch value["type"]?.string {
            case "io.afterlogin.user.enriched": self.updates.append(value)
            case "io.afterlogin.login.denied": self.denials.append(value)
            case "io.afterlogin.login.failed": self.changes.append(value)
            default: self.failures.append(value)
            }
        }
    }

    func update(of user: String) -> JSONValue? { self.updates.first { $0["subject"]?.string == user } }

    func failure(of user: String) -> JSONValue? {
        self.failures.first { $0["value"]?.string?.contains("\"\(user)\"") ?? false }?["failure"]
    }
}
