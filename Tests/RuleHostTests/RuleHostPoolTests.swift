import AfterloginTestSupport
import Foundation
import Testing

@testable import AfterloginRuleHost

@Suite("The pool of rule hosts", .timeLimit(.minutes(1)))
struct RuleHostPoolTests {
    private static let fetching = """
        function (user, context, callback) {
            fetch('http://api.example/').then(() => { user.seen = true; callback(null, user, context); }, callback);
        }
        """
    private static let silent = "function (user, context, callback) { console.log('here'); }"

    @Test func aRuleChangesTheUser() async throws {
        try await RunningHosts.with(
            "function (user, context, callback) { user.seen = true; callback(null, user, context); }"
        ) {
            let outcome = await $0.evaluate(#"{"name":"Ada"}"#)
            #expect(outcome.summary == "completed")
            #expect(outcome.user == #"{"name":"Ada","seen":true}"#)
        }
    }

    @Test func manyInFlightOnOneHostGetTheirOwnResults() async throws {
        try await RunningHosts.with(Self.fetching) { hosts in
            let users = await withTaskGroup(of: (Int, String?).self) { group in
                for number in 0..<256 {
                    group.addTask {
                        let client = HoldingClient()
                        client.letGo()
                        return (number, await hosts.evaluate(#"{"n":\#(number)}"#, client: client).user)
                    }
                }
                return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            #expect(users == Dictionary(uniqueKeysWithValues: (0..<256).map { ($0, #"{"n":\#($0),"seen":true}"#) }))
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    @Test func allInFlightRunAgainWhenAHostIsKilledFromOutside() async throws {
        try await RunningHosts.with(Self.fetching) { hosts in
            let clients = (0..<32).map { _ in HoldingClient() }
            let outcomes = await withTaskGroup(of: String.self) { group in
                for client in clients { group.addTask { await hosts.evaluate(client: client).summary } }
                for client in clients { await client.seen() }
                if let process = hosts.witness.started.first?.process { kill(process, SIGKILL) }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes == Array(repeating: "completed", count: 32))
            #expect(clients.map(\.restarts) == Array(repeating: 1, count: 32))
            #expect(hosts.witness.deaths.count == 1)
            #expect(hosts.witness.deaths.first?.culprit == nil)
        }
    }

    @Test func anEvaluationIsCancelled() async throws {
        try await RunningHosts.with(Self.silent) { hosts in
            let (client, token) = (HoldingClient(), EvaluationToken())
            async let outcome = hosts.evaluate(client: client, token: token)
            await client.seen()
            hosts.pool.cancel(token)
            #expect(await outcome.summary == "cancelled")
            #expect(client.lines.first?.text == "here")
        }
    }

    @Test func theWorkersOwnDeadlineEndsWhatTheHostDoesNot() async throws {
        try await RunningHosts.with(Self.silent) { hosts in
            let outcome = await hosts.evaluate(deadline: .milliseconds(10))
            #expect(outcome.summary.hasPrefix("timeout: "))
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    @Test func shutdownEndsProcessesAndEvaluations() async throws {
        let process = try await RunningHosts.with(Self.silent) { hosts in
            let client = HoldingClient()
            async let outcome = hosts.evaluate(client: client)
            await client.seen()
            let process = try #require(hosts.witness.started.first?.process)
            #expect(kill(process, 0) == 0)
            await hosts.pool.shutdown()
            #expect(await outcome.summary == "stopped")
            #expect(await hosts.evaluate().summary == "stopped")
            return process
        }
        #expect(kill(process, 0) == -1)
    }

    @Test func rulesThatCannotBeReadAreRefusedWithTheirPlace() async throws {
        let refusal = await #expect(throws: RuleHostRefusal.self) {
            try await RunningHosts.with("function (user, context, callback) {\n    let = ;\n}") { _ in }
        }
        let problem = refusal?.problems.first
        #expect(problem?.rule == "tested")
        #expect(problem?.line == 2)
        #expect(problem.map { $0.column > 0 } == true)
    }

    @Test func whatIsPrintedBelowTheConsoleIsNoFrame() async throws {
        let rule = """
            function (user, context, callback) {
                require('fs').writeSync(1, 'to standard output\\n');
                callback(null, user, context);
            }
            """
        try await RunningHosts.with(rule) { hosts in
            #expect(await hosts.evaluate().summary == "completed")
            var lines = hosts.witness.printed.makeAsyncIterator()
            #expect(await lines.next() == "to standard output")
        }
    }

    @Test func whatARuleDoesAfterItsLoginIsWarnedOfNotWithoutEnd() async throws {
        let rule = """
            function (user, context, callback) {
                if (global.earlier) global.earlier(null);
                global.earlier = callback;
                callback(null, user, context);
            }
            """
        try await RunningHosts.with(rule) { hosts in
            for _ in 0..<200 { #expect(await hosts.evaluate().summary == "completed") }
            let warnings = hosts.witness.warnings
            #expect(warnings.first.map { $0.rule == 0 && $0.kind == "second-callback" } == true)
            #expect(warnings.count < 100)
        }
    }

    @Test func pipesThatTheHostHasClosedKeepNobodyBusy() async throws {
        let rule = """
            function (user, context, callback) {
                for (const descriptor of [1, 2, 4]) require('fs').closeSync(descriptor);
                setTimeout(() => callback(null, user, context), 1000);
            }
            """
        try await RunningHosts.with(rule) { hosts in
            let before = Self.processorTime(ofThreads: "afterlogin.rules")
            #expect(await hosts.evaluate().summary == "completed")
            #expect(Self.processorTime(ofThreads: "afterlogin.rules") - before < .milliseconds(300))
        }
    }

    /// What a program does that takes the rules and is not a proper host, and what is said of it.
    static let unwell = [
        (
            "shutdown($frames, 0)", "while (syswrite($frames, pong())) { select(undef, undef, undef, 0.1) }",
            "reads no frames"
        ),
        ("1", "sleep", "did not answer"),
        (
            "1", "while (syswrite($frames, pong())) { select(undef, undef, undef, 0.1) }",
            "does not read what it is sent"
        ),
    ]

    @Test(arguments: unwell)
    func anUnwellHostEndsBeforeItsEvaluationsDo(_ before: String, _ after: String, _ reason: String) async throws {
        let program = """
            #!/usr/bin/perl
            sub pong { pack('VCV', 0, 72, 0) }
            open(my $frames, '+<&=', 3) or die;
            sysread($frames, my $load, 1 << 16) or die;
            \(before) or die;
            syswrite($frames, pack('VCV', 24, 65, 0) . '{"node":"v0","notes":[]}');
            \(after);
            """
        let path = try self.executable(program)
        defer { unlink(path) }
        try await RunningHosts.with(Self.silent, confinement: .off, node: path, maxUnreadBytes: 1 << 20) { hosts in
            // More than a socket holds, where frames are to stay unread.
            let user =
                reason.hasPrefix("does not read") ? #"{"text":"\#(String(repeating: "x", count: 8 << 20))"}"# : "{}"
            let outcome = await hosts.evaluate(user, deadline: .seconds(4)).summary
            #expect(outcome.hasPrefix("crashed: ") && outcome.contains(reason), "\(outcome)")
            #expect(hosts.witness.deaths.count == 2)
        }
    }

    /// The worker looks at the size of its hosts itself: a rule can take the watchdog's descriptors.
    @Test func aHostThatGrowsWithoutAWordIsEndedFromOutside() async throws {
        let program = """
            #!/usr/bin/perl
            open(my $frames, '+<&=', 3) or die;
            sysread($frames, my $load, 1 << 16) or die;
            syswrite($frames, pack('VCV', 24, 65, 0) . '{"node":"v0","notes":[]}');
            sysread($frames, my $evaluate, 1 << 16) or die;
            # Not a constant, which Perl would make before it starts.
            my $kept = 'x' x (length($evaluate) * 0 + (340 << 20));
            sleep;
            """
        let path = try self.executable(program)
        defer { unlink(path) }
        try await RunningHosts.with(Self.silent, confinement: .off, node: path) { hosts in
            #expect(
                await hosts.evaluate(deadline: .seconds(30)).summary
                    == "limit: used more than 250 MB of memory (rules.host.memory): look for what it keeps of each login"
            )
            #expect(hosts.witness.deaths.count == 2, "\(hosts.witness.deaths)")
        }
    }

    /// Writes a program to a file of its own.
    private func executable(_ program: String) throws -> String {
        let path = "/tmp/afterlogin-unwell-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o700)
        try #require(file >= 0)
        defer { close(file) }
        #expect(program.withCString { write(file, $0, strlen($0)) } == program.utf8.count)
        return path
    }

    private static func processorTime(ofThreads name: String) -> Duration {
        var sum = Duration.zero
        for thread in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? [] {
            let folder = "/proc/self/task/\(thread)"
            guard let comm = try? String(contentsOfFile: "\(folder)/comm", encoding: .utf8),
                comm == "\(name.prefix(15))\n",
                let stat = try? String(contentsOfFile: "\(folder)/schedstat", encoding: .utf8),
                let nanoseconds = Int64(stat.prefix { $0 != " " })
            else { continue }
            sum += .nanoseconds(nanoseconds)
        }
        return sum
    }

    @Test func aHostSaysWhatItIs() async throws {
        try await RunningHosts.with(Self.silent, confinement: .required) { hosts in
            let status = try #require(hosts.witness.started.first)
            #expect(status.nodeVersion.hasPrefix("v"))
            #expect(status.residentBytes > 10 << 20)
            #expect(status.confinement.contains { $0.hasPrefix("landlock abi ") })
            #expect(status.confinement.contains("seccomp"))
            #expect(status.notEnforced.isEmpty)
        }
    }

    @Test func aPingIsAnsweredByTheThreadAndAtOnceAfterIt() async throws {
        let pool = try await RunningHosts.with(Self.silent) { hosts in
            #expect(await AnsweringThread.name(hosts.pool.ping).hasPrefix("afterlogin.rule"))
            return hosts.pool
        }
        #expect(await !AnsweringThread.name(pool.ping).hasPrefix("afterlogin.rule"))
    }
}
