import AfterloginRuleHost
import Testing

/// A rule that hurts its host when the user says so, and waits for an answer otherwise.
struct HostileRule: CustomTestStringConvertible, Sendable {
    var name: String
    var body: String
    /// The start of the culprit's outcome.
    var outcome: String

    var testDescription: String { self.name }

    var source: String {
        """
        function (user, context, callback) {
            if (user.hostile) { \(self.body); return; }
            fetch('http://api.example/').then(() => callback(null, user, context), callback);
        }
        """
    }
}

@Suite("Rules that hurt their host", .serialized, .timeLimit(.minutes(1)))
struct HostileRuleTests {
    static let killing = [
        HostileRule(name: "endless loop", body: "while (true) {}", outcome: "limit: one turn"),
        HostileRule(
            name: "endless promises",
            body: "(async () => { while (true) await 1; })()",
            outcome: "limit: one turn"
        ),
        HostileRule(
            name: "regular expression",
            body: "/^(a+)+$/.test('a'.repeat(40) + '!')",
            outcome: "limit: one turn"
        ),
        HostileRule(
            name: "memory",
            body: "const kept = []; (function grow() { kept.push(Buffer.alloc(8 << 20, 1)); setTimeout(grow, 0); })()",
            outcome: "limit: used more than"
        ),
        HostileRule(
            name: "nonsense on the frames' descriptor",
            body: "require('fs').writeSync(3, 'this is no frame at all')",
            outcome: "crashed: "
        ),
        HostileRule(
            name: "the watchdog's words, with somebody else's number",
            body: "const fs = require('fs'); fs.writeSync(4, 'turn 1 0\\n'); fs.writeSync(3, 'no frame')",
            // On the host where it is alone, that number is its own.
            outcome: "limit: one turn"
        ),
        HostileRule(
            name: "the watchdog's word for what cannot be",
            body: "const fs = require('fs'); fs.writeSync(4, 'nonsense\\n'); fs.writeSync(3, 'no frame')",
            outcome: "crashed: the watchdog of its rule host was tampered with: look at the packages that it loads"
        ),
        HostileRule(
            name: "an exception that nobody may catch",
            body: "process._events = Object.freeze({}); setTimeout(() => { throw new Error('late'); }, 1)",
            outcome: "crashed: "
        ),
    ]

    @Test(arguments: killing)
    func theCulpritFailsAndTheOthersRunAgain(_ rule: HostileRule) async throws {
        try await RunningHosts.with(rule.source) { hosts in
            let clients = (0..<8).map { _ in HoldingClient() }
            let others = await withTaskGroup(of: String.self) { group in
                for client in clients { group.addTask { await hosts.evaluate(client: client).summary } }
                for client in clients { await client.seen() }
                let culprit = await hosts.evaluate(#"{"hostile":true}"#).summary
                #expect(culprit.hasPrefix(rule.outcome), "\(culprit)")
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(others == Array(repeating: "completed", count: 8))
            #expect(clients.allSatisfy { $0.restarts > 0 })
            #expect(!hosts.witness.deaths.isEmpty)
            #expect(hosts.witness.deaths.compactMap(\.culprit).count == 1)
        }
    }

    /// A package must not gain what the rule that needs it may not do (A33): it knows the numbers of others, not their secrets.
    @Test(arguments: ["67", "68", "73"])
    func whoSpeaksForOthersIsNotHeard(_ kind: String) async throws {
        let rule = """
            function (user, context, callback) {
                if (user.hostile) {
                    const u32 = (number) => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(number); return bytes; };
                    const part = (text) => Buffer.concat([u32(text.length), Buffer.from(text)]);
                    const nothing = '{"set":{},"removed":[]}';
                    const head = `{"outcome":"completed","rules":[],"userMetadata":${nothing},"appMetadata":${nothing},"unsupported":[]}`;
                    const request = '{"rule":0,"method":"GET","url":"http://forged.example/","headers":[],"remaining":1}';
                    const payload = Buffer.concat([Buffer.alloc(16), ...{
                        67: [part(head), part('{"forged":true}'), part(''), part('')],
                        68: [part('1234' + request)],
                        73: [Buffer.from('{"rule":0}')],
                    }[\(kind)]]);
                    for (let number = 1; number < 20; number += 1) {
                        require('fs').writeSync(3, Buffer.concat([u32(payload.length), Buffer.from([\(kind)]), u32(number), payload]));
                    }
                    return;
                }
                fetch('http://api.example/').then(() => callback(null, user, context), callback);
            }
            """
        try await RunningHosts.with(rule) { hosts in
            let clients = (0..<8).map { _ in HoldingClient() }
            let others = await withTaskGroup(of: String.self) { group in
                for client in clients {
                    group.addTask {
                        let outcome = await hosts.evaluate(#"{"own":true}"#, client: client)
                        return "\(outcome.summary) \(outcome.user ?? "as it was")"
                    }
                }
                for client in clients { await client.seen() }
                let culprit = await hosts.evaluate(#"{"hostile":true}"#).summary
                #expect(culprit.hasPrefix("crashed: ") && culprit.contains("without its secret"), "\(culprit)")
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(others == Array(repeating: "completed as it was", count: 8))
            #expect(clients.allSatisfy { !$0.urls.contains("http://forged.example/") })
        }
    }

    /// One at a time, sixty of them took as many hosts (B5).
    @Test func oneAmongSixtyIsFoundWithinAFewDeaths() async throws {
        let rule = """
            function (user, context, callback) {
                fetch('http://api.example/').then(() => {
                    if (user.hostile) require('fs').writeSync(3, 'this is no frame at all');
                    else setTimeout(() => callback(null, user, context), 100);
                });
            }
            """
        try await RunningHosts.with(rule) { hosts in
            let clients = (0..<60).map { _ in HoldingClient() }
            let others = await withTaskGroup(of: String.self) { group in
                for client in clients { group.addTask { await hosts.evaluate(client: client).summary } }
                for client in clients { await client.seen() }
                let culprit = await hosts.evaluate(#"{"hostile":true}"#, client: HoldingClient.open()).summary
                #expect(culprit.hasPrefix("crashed: "), "\(culprit)")
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(others == Array(repeating: "completed", count: 60))
            // One with all, and one for each time that they are halved: 61, 31, 16, 8, 4, 2, 1. One at a time would be as many hosts as evaluations.
            #expect(hosts.witness.deaths.count <= 7)
            #expect(hosts.witness.started.count <= 12)
            #expect(hosts.witness.deaths.compactMap(\.culprit).count == 1)
        }
    }

    /// What runs alone after it must not be blamed for it.
    @Test func whatARuleLeavesBehindIsNotTheNextOnes() async throws {
        let rule = """
            function (user, context, callback) {
                if (user.kills) { require('fs').writeSync(3, Buffer.alloc(64, 0xff)); return; }
                fetch('http://api.example/').then(() => {
                    if (user.leaves) setTimeout(() => { for (;;) {} }, 50).unref();
                    setTimeout(() => callback(null, user, context), user.leaves ? 0 : 200);
                });
            }
            """
        try await RunningHosts.with(rule) { hosts in
            let (leaving, waiting) = (HoldingClient(), HoldingClient())
            async let first = hosts.evaluate(#"{"leaves":true}"#, client: leaving)
            await leaving.seen()
            async let second = hosts.evaluate(client: waiting)
            await waiting.seen()
            let third = await hosts.evaluate(#"{"kills":true}"#)
            #expect(await first.summary == "completed")
            #expect(await second.summary == "completed")
            #expect(third.summary.hasPrefix("crashed: "), "\(third.summary)")
            #expect(hosts.witness.deaths.compactMap(\.culprit).count == 1)
        }
    }

    /// What can't be put back fails the rule and ends the host; nobody else is blamed.
    @Test func whatAllLoginsShareIsWholeAgainOnTheNextHost() async throws {
        let rule = HostileRule(
            name: "other promises for ever",
            body: "Object.defineProperty(Promise.prototype, 'then', { value() {}, configurable: false })",
            outcome: "limit: "
        )
        try await RunningHosts.with(rule.source) { hosts in
            let client = HoldingClient()
            async let other = hosts.evaluate(client: client)
            await client.seen()
            let culprit = await hosts.evaluate(#"{"hostile":true}"#).summary
            #expect(culprit.hasPrefix("limit: changed what all logins share: Promise.prototype.then"), "\(culprit)")
            #expect(await other.summary == "completed")
            #expect(await hosts.evaluate(client: HoldingClient.open()).summary == "completed")
            #expect(hosts.witness.deaths.count == 1)
        }
    }

    /// It runs in everybody's turns.
    @Test(arguments: ["throw new Error('spoilt')", "if (user.hostile) for (;;) {}"])
    func anAsynchronousHookIsItsOwnRulesOnly(_ body: String) async throws {
        let hooks = ["init", "before", "after", "destroy", "promiseResolve"].map { "\($0)() { \(body) }" }
        let install = "require('async_hooks').createHook({ \(hooks.joined(separator: ", ")) }).enable()"
        let rule = HostileRule(name: "hooks", body: "\(install); setTimeout(callback, 1, null, user)", outcome: "")
        try await RunningHosts.with(rule.source) { hosts in
            let clients = (0..<8).map { _ in HoldingClient() }
            let others = await withTaskGroup(of: String.self) { group in
                for client in clients { group.addTask { await hosts.evaluate(client: client).summary } }
                for client in clients { await client.seen() }
                let culprit = await hosts.evaluate(#"{"hostile":true}"#, deadline: .seconds(15)).summary
                #expect(
                    culprit.hasPrefix("error: spoilt") || culprit.hasPrefix("limit: one turn"),
                    "\(culprit)"
                )
                for client in clients { client.letGo() }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(others == Array(repeating: "completed", count: 8))
        }
    }

    @Test(arguments: [
        "process.exit(1)", "process.abort()", "process.kill(process.ppid, 9)", "process.binding('tcp_wrap')",
    ])
    func endingTheProcessFailsTheRuleAndNothingElse(_ call: String) async throws {
        let rule = HostileRule(name: call, body: call, outcome: "error: ")
        try await RunningHosts.with(rule.source) { hosts in
            let client = HoldingClient()
            async let other = hosts.evaluate(client: client)
            await client.seen()
            let culprit = await hosts.evaluate(#"{"hostile":true}"#).summary
            #expect(culprit.hasPrefix("error: ") && culprit.contains("not available to rules"), "\(culprit)")
            client.letGo()
            #expect(await other.summary == "completed")
            #expect(hosts.witness.deaths.isEmpty)
        }
    }
}
