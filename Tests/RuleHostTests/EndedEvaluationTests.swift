import AfterloginJSON
import AfterloginSystem
import Glibc
import Testing

@testable import AfterloginRuleHost

/// DESIGN: ending an evaluation rejects nothing, since other logins may keep its promises.
@Suite("Evaluations that are ended", .timeLimit(.minutes(1)))
struct EndedEvaluationTests {
    /// The usual form: who comes first asks for the token, the others wait for its promise.
    private static let keeping = """
        async function (user, context, callback) {
            if (user.calls) await fetch('http://api.example/own');
            else if (!user.plain) await (global.token ||= fetch('http://api.example/token'));
            user.process = process.pid;
            callback(null, user, context);
        }
        """

    private func process(_ outcome: EvaluationOutcome) throws -> Int32 {
        let user = try JSONText(validating: Array(try #require(outcome.user).utf8))
        return Int32(try #require(user["process"]?.int))
    }

    /// Ends one that waits for an answer.
    private func ended(_ hosts: RunningHosts, for destination: String, _ client: HoldingClient) async {
        let token = EvaluationToken()
        async let outcome = hosts.evaluate(client: client, token: token)
        await client.seen()
        hosts.pool.end(token, for: destination)
        #expect(await outcome.summary == "ended")
    }

    @Test func whatItAskedForIsStillAnswered() async throws {
        try await RunningHosts.with(Self.keeping) { hosts in
            let first = HoldingClient()
            await self.ended(hosts, for: "api.example", first)
            async let second = hosts.evaluate()
            await hosts.settled()
            first.letGo()
            #expect(await second.summary == "completed")
            #expect(first.urls == ["http://api.example/token"])
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    @Test func whatIsDoneOnATaintedHostIsSaidToBe() async throws {
        try await RunningHosts.with(Self.keeping) { hosts in
            func condition(_ outcome: EvaluationOutcome) -> HostCondition? {
                guard case .done(_, let condition) = outcome else { return nil }
                return condition
            }
            #expect(condition(await hosts.evaluate(#"{"plain":true}"#)) == .init(isTainted: false, taintedBy: []))
            let (client, token) = (HoldingClient(), EvaluationToken())
            async let told = hosts.evaluate(#"{"calls":true}"#, client: client, token: token)
            await client.seen()
            hosts.pool.told(token, of: "api.example")
            await hosts.settled()
            #expect(
                condition(await hosts.evaluate(#"{"plain":true}"#))
                    == .init(isTainted: true, taintedBy: ["api.example"])
            )
            hosts.pool.gotThrough(token, to: "api.example")
            await hosts.settled()
            #expect(condition(await hosts.evaluate(#"{"plain":true}"#)) == .init(isTainted: false, taintedBy: []))
            client.letGo()
            // Whatever stood in its way may have done so while the host was tainted.
            #expect(condition(await told) == .init(isTainted: true, taintedBy: []))
            await self.ended(hosts, for: "api.example", HoldingClient())
            #expect(
                condition(await hosts.evaluate(#"{"plain":true}"#))
                    == .init(isTainted: true, taintedBy: ["api.example"])
            )
        }
    }

    /// Its library has a time limit of its own: whoever keeps that promise fails in the same moment.
    @Test func aCallThatItsRuleGivesUpTaintsItsHostAtOnce() async throws {
        let rule = """
            async function (user, context, callback) {
                try {
                    await (global.kept ||= fetch('http://api.example/', { signal: AbortSignal.timeout(50) }));
                    callback(null, user, context);
                } catch (error) { callback(error); }
            }
            """
        try await RunningHosts.with(rule) { hosts in
            let client = HoldingClient()
            async let first = hosts.evaluate(client: client)
            await client.seen()
            async let second = hosts.evaluate()
            for outcome in await [first, second] {
                guard case .done(let reply, let condition) = outcome else {
                    Issue.record("\(outcome)")
                    continue
                }
                #expect(reply.outcome == .error)
                #expect(condition == .init(isTainted: true, taintedBy: ["api.example"]))
            }
        }
    }

    @Test func whatWaitsBeginsOnAFreshHostAndOthersGoOn() async throws {
        try await RunningHosts.with(Self.keeping) { hosts in
            let first = try self.process(await hosts.evaluate(#"{"plain":true}"#))
            await self.ended(hosts, for: "api.example", HoldingClient())
            let (client, token) = (HoldingClient(), EvaluationToken())
            async let waiting = hosts.evaluate(client: client, token: token, waitingFor: "api.example")
            // Others neither wait for the fresh host nor go there.
            #expect(try self.process(await hosts.evaluate(#"{"plain":true}"#)) == first)
            await client.seen()
            #expect(try self.process(await hosts.evaluate(#"{"plain":true}"#)) == first)
            #expect(try self.process(await hosts.evaluate(#"{"plain":true}"#, waitingFor: "other.example")) == first)
            hosts.pool.called(token, "api.example")
            hosts.pool.gotThrough(token, to: "api.example")
            for await process in hosts.witness.retirements.prefix(1) { #expect(process == first) }
            client.letGo()
            let fresh = try self.process(await waiting)
            #expect(fresh != first)
            #expect(try self.process(await hosts.evaluate()) == fresh)
            while kill(first, 0) == 0 { await hosts.settled() }
            #expect(hosts.witness.started.count == 2)
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    @Test func whatAvoidsTaintBeginsOnAFreshHostWhateverTaintedTheOthers() async throws {
        try await RunningHosts.with(Self.keeping) { hosts in
            let first = try self.process(await hosts.evaluate(#"{"plain":true}"#))
            await self.ended(hosts, for: "api.example", HoldingClient())
            let other = try self.process(await hosts.evaluate(#"{"plain":true}"#, avoidingTaint: true))
            #expect(other != first)
        }
    }

    /// What the host keeps stands between the login and the destination.
    @Test func aTaintedHostIsExchangedWhenOneThatWaitedEndsThereWithoutCalling() async throws {
        try await RunningHosts.with(Self.keeping) { hosts in
            let (client, token) = (HoldingClient(), EvaluationToken())
            async let told = hosts.evaluate(#"{"calls":true}"#, client: client, token: token)
            await client.seen()
            hosts.pool.told(token, of: "api.example")
            // The spare is tainted as well.
            let (otherClient, otherToken) = (HoldingClient(), EvaluationToken())
            async let other = hosts.evaluate(
                #"{"calls":true}"#,
                client: otherClient,
                token: otherToken,
                waitingFor: "api.example"
            )
            await otherClient.seen()
            hosts.pool.called(otherToken, "api.example")
            hosts.pool.told(otherToken, of: "api.example")
            let tainted = try self.process(await hosts.evaluate(#"{"plain":true}"#, waitingFor: "api.example"))
            for await process in hosts.witness.retirements.prefix(1) { #expect(process == tainted) }
            client.letGo()
            otherClient.letGo()
            #expect(await told.summary == "completed")
            #expect(await other.summary == "completed")
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    /// `global.conf ||= fetch(…)` that was rejected: nobody calls any more, so nothing else would ever replace the host.
    @Test func aTaintedHostIsExchangedWhenOneThatAvoidsTaintFailsThereWithoutCalling() async throws {
        let rule = """
            async function (user, context, callback) {
                if (user.calls) await fetch('http://api.example/own');
                if (user.fails) throw new Error(String(process.pid));
                callback(null, user, context);
            }
            """
        try await RunningHosts.with(rule) { hosts in
            var clients: [HoldingClient] = []
            // The spare is tainted as well.
            for avoids in [false, true] {
                let (client, token) = (HoldingClient(), EvaluationToken())
                clients.append(client)
                async let outcome = hosts.evaluate(
                    #"{"calls":true}"#,
                    client: client,
                    token: token,
                    avoidingTaint: avoids
                )
                await client.seen()
                hosts.pool.told(token, of: "api.example")
                client.letGo()
                #expect(await outcome.summary == "completed")
            }
            #expect(await hosts.evaluate(#"{"fails":true}"#, avoidingTaint: true).summary.contains("error"))
            for await _ in hosts.witness.retirements.prefix(1) {}
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    @Test func oneThatHasNotBegunIsEndedAtOnce() async throws {
        try await RunningHosts.with(Self.keeping, evaluations: 1) { hosts in
            let (client, token) = (HoldingClient(), EvaluationToken())
            async let first = hosts.evaluate(client: client)
            await client.seen()
            let outcome = Mutex<String?>(nil)
            // Beyond the limit it waits in the pool.
            let second = Task {
                let summary = await hosts.evaluate(#"{"plain":true}"#, token: token).summary
                outcome.withLock { $0 = summary }
            }
            while outcome.withLock({ $0 }) == nil {
                hosts.pool.end(token, for: "api.example")
                await hosts.settled()
            }
            await second.value
            #expect(outcome.withLock { $0 } == "ended before it began")
            client.letGo()
            #expect(await first.summary == "completed")
        }
    }

    @Test func oneWhoseHostDiesInBetweenIsEnded() async throws {
        try await RunningHosts.with(Self.keeping) { hosts in
            let process = try #require(hosts.witness.started.first?.process)
            let (client, token) = (HoldingClient(), EvaluationToken())
            async let outcome = hosts.evaluate(client: client, token: token)
            await client.seen()
            kill(process, SIGSTOP)
            hosts.pool.end(token, for: "api.example")
            await hosts.settled()
            kill(process, SIGKILL)
            #expect(await outcome.summary == "ended before it began")
            #expect(client.restarts == 0)
        }
    }

    @Test func howLongNoHostAnswersIsInTheStatus() async throws {
        try await RunningHosts.with(Self.keeping) { hosts in
            let process = try #require(hosts.witness.started.first?.process)
            let (client, token) = (HoldingClient(), EvaluationToken())
            async let outcome = hosts.evaluate(client: client, token: token)
            await client.seen()
            #expect(hosts.pool.status().absence == nil)
            kill(process, SIGSTOP)
            while hosts.pool.status().absence ?? .zero < .seconds(2), !Task.isCancelled { await Task.yield() }
            #expect(hosts.pool.status().absence ?? .zero >= .seconds(2))
            kill(process, SIGCONT)
            while hosts.pool.status().absence != nil, !Task.isCancelled { await Task.yield() }
            hosts.pool.cancel(token)
            _ = await outcome
        }
    }

    @Test func hostsThatLoadOrRetireTakeNoLogins() {
        func host(loaded: Bool, silent: Int = 0, age: Int = 60, retiring: Bool = false) -> RuleHostStatus {
            RuleHostStatus(
                process: 1,
                nodeVersion: "",
                age: .seconds(age),
                residentBytes: 0,
                inFlight: 0,
                evaluations: 0,
                deaths: 0,
                isRetiring: retiring,
                isLoaded: loaded,
                silent: .seconds(silent),
                taintedBy: [],
                confinement: [],
                notEnforced: []
            )
        }
        #expect([host(loaded: true)].absence == nil)
        #expect([host(loaded: true, silent: 9), host(loaded: true)].absence == nil)
        #expect([host(loaded: true, silent: 9), host(loaded: true, silent: 12)].absence == .seconds(9))
        #expect([host(loaded: false, age: 4), host(loaded: true, silent: 12)].absence == .seconds(12))
        #expect([host(loaded: false, age: 4), host(loaded: true, retiring: true)].absence == .seconds(4))
    }

    @Test func anEvaluationThatWaitsForAnEndedOnesPromiseSaysSo() async throws {
        try await RunningHosts.with(Self.keeping) { hosts in
            await self.ended(hosts, for: "api.example", HoldingClient())
            let (client, token) = (HoldingClient(), EvaluationToken())
            async let outcome = hosts.evaluate(client: client, token: token)
            await client.seen()
            #expect(client.isStuck)
            hosts.pool.end(token, for: nil)
            #expect(await outcome.summary == "ended")
        }
    }
}
