import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginObservability
import AfterloginRules
import AfterloginSystem
import AfterloginWaiting
import Testing

@testable import AfterloginEgress

/// A rule made of a closure.
private struct ClosureRule: Rule {
    let name: String
    let order: Int
    let body: @Sendable (inout Login, any RuleServices) async throws -> Void

    init(
        _ name: String,
        order: Int,
        _ body: @escaping @Sendable (inout Login, any RuleServices) async throws -> Void
    ) {
        self.name = name
        self.order = order
        self.body = body
    }

    func evaluate(_ login: inout Login, using services: any RuleServices) async throws {
        try await self.body(&login, services)
    }
}

@Suite(.timeLimit(.minutes(1)))
struct NativeRuleTests {
    private struct Broken: Error {}

    private func chain(
        _ rules: [any Rule],
        egress: ScriptedEgress = ScriptedEgress(),
        timeout: Duration = .seconds(20)
    )
        async throws -> RuleChain
    {
        var configuration = RuleSettings(file: "afterlogin.yaml")
        configuration.rules.timeout = timeout
        let loader = RuleChainLoader(
            configuration: configuration,
            nativeRules: rules,
            egress: egress,
            log: Log(level: .error),
            metrics: Metrics()
        )
        return try await loader.load().chain
    }

    private func state(_ user: String = #"{"user_id":"auth0|1"}"#) throws -> ChainState {
        try ChainState(user: JSONText(validating: Array(user.utf8)), context: JSONText(validating: Array("{}".utf8)))
    }

    @Test func aRuleThatChangesTheUsersIDIsWarnedAndLaterOnesSeeIt() async throws {
        let chain = try await self.chain([
            ClosureRule("other", order: 1) { login, _ in login.user["user_id"] = "auth0|2" },
            ClosureRule("sees", order: 2) { login, _ in #expect(login.user["user_id"]?.string == "auth0|2") },
            ClosureRule("takes away", order: 3) { login, _ in login.user["user_id"] = nil },
        ])
        let (state, verdict) = await chain.evaluate(try self.state(), for: .test())
        guard case .completed = verdict else {
            Issue.record("\(verdict)")
            return
        }
        #expect(state.reports.map { $0.warnings.count { $0.contains("user.user_id") } } == [1, 0, 1])
    }

    @Test func rulesRunInOrderAndSeeWhatEarlierOnesLeft() async throws {
        let chain = try await self.chain([
            ClosureRule("second", order: 2) { login, _ in
                #expect(login.user["seen"]?.int == 1)
                login.updateAppMetadata(["plan": "gold"])
            },
            ClosureRule("first", order: 1) { login, _ in login.user["seen"] = 1 },
        ])
        let (after, verdict) = await chain.evaluate(try self.state(), for: .test())
        guard case .completed = verdict else { return #expect(Bool(false), "\(verdict)") }
        #expect(after.user["seen"]?.value == 1)
        #expect(after.metadata.app.set.map(\.name) == ["plan"])
        #expect(after.reports.map(\.name) == ["first", "second"])
        #expect(after.next == 2)
    }

    @Test func aDenialKeepsWhatEarlierRulesWroteAndItsOwnMetadata() async throws {
        let chain = try await self.chain([
            ClosureRule("writes", order: 1) { login, _ in login.updateUserMetadata(["seen": true]) },
            ClosureRule("denies", order: 2) { login, _ in
                login.user["dropped"] = true
                login.updateAppMetadata(["denied": true])
                throw Denial("not today")
            },
            ClosureRule("never", order: 3) { _, _ in Issue.record("ran after a denial") },
        ])
        let (after, verdict) = await chain.evaluate(try self.state(), for: .test())
        guard case .denied("denies", "not today") = verdict else { return #expect(Bool(false), "\(verdict)") }
        #expect(after.user["dropped"] == nil)
        #expect(after.metadata.user.set.map(\.name) == ["seen"])
        #expect(after.metadata.app.set.map(\.name) == ["denied"])
        #expect(after.reports.last?.outcome == .denied)
    }

    private struct UnexpectedStatus: Error { let status: Int, path: String? }
    private enum Trouble: Error {
        case tooMany(count: Int)
        case noAnswer
    }
    private struct Described: Error, CustomStringConvertible { let description = "the customer has two numbers" }

    @Test(
        arguments: [
            (UnexpectedStatus(status: 500, path: "/search"), "unexpected status: status 500, path /search"),
            (UnexpectedStatus(status: 500, path: nil), "unexpected status: status 500, path none"),
            (Trouble.tooMany(count: 3), "trouble: too many: count 3"), (Trouble.noAnswer, "trouble: no answer"),
            (Broken(), "broken"), (Described(), "the customer has two numbers"),
            (
                HTTPFailure(kind: .nameNotFound, message: "getaddrinfo ENOTFOUND a.example", code: "ENOTFOUND"),
                "getaddrinfo ENOTFOUND a.example (ENOTFOUND)"
            ),
        ] as [(any Error, String)]
    )
    func whatARuleThrowsIsToldInWords(error: any Error, words: String) async throws {
        let chain = try await self.chain([ClosureRule("throws", order: 1) { _, _ in throw error }])
        let (_, verdict) = await chain.evaluate(try self.state(), for: .test())
        guard case .failed(let failure) = verdict else { return #expect(Bool(false), "\(verdict)") }
        #expect(failure.message == words)
    }

    @Test func aFailureKeepsTheMetadataOfItsRuleAndOfEarlierOnes() async throws {
        let chain = try await self.chain([
            ClosureRule("writes", order: 1) { login, _ in login.updateUserMetadata(["seen": true]) },
            ClosureRule("fails", order: 2) { login, _ in
                login.user["dropped"] = true
                login.updateAppMetadata(["claimed": true])
                throw Broken()
            },
        ])
        let (after, verdict) = await chain.evaluate(try self.state(), for: .test())
        guard case .failed = verdict else { return #expect(Bool(false), "\(verdict)") }
        #expect(after.metadata.user.set.map(\.name) == ["seen"])
        #expect(after.metadata.app.set.map(\.name) == ["claimed"])
        #expect(after.user["dropped"] == nil)
    }

    @Test(arguments: [true, false])
    func aFailureIsRetryableOnlyWhenARetryableCallFailedInside(retryable: Bool) async throws {
        let egress = ScriptedEgress { _ in
            .response(
                HTTPResponse(status: retryable ? 503 : 404),
                CallOutcome(
                    failedSo: retryable,
                    failedAt: retryable ? .answers(rule: "calls", host: "api.example.com", port: 443) : nil
                )
            )
        }
        let chain = try await self.chain(
            [
                ClosureRule("writes", order: 1) { login, _ in login.user["kept"] = true },
                ClosureRule("calls", order: 2) { login, services in
                    login.user["dropped"] = true
                    _ = try await services.send(HTTPRequest("GET", "https://api.example.com/"))
                    throw Broken()
                },
            ],
            egress: egress
        )
        let (after, verdict) = await chain.evaluate(try self.state(), for: .test())
        guard case .failed(let failure) = verdict else { return #expect(Bool(false), "\(verdict)") }
        #expect(failure.rule == "calls" && failure.reason == .ruleError)
        #expect(failure.isRetryable == retryable)
        // A retry starts at the failed rule, from the state before it.
        #expect(after.next == 1)
        #expect(after.user["kept"] != nil && after.user["dropped"] == nil)
        #expect(after.reports.map(\.calls) == [0, 1])
    }

    @Test func anOutageIsReportedWhateverTheRuleMakesOfIt() async throws {
        let chain = try await self.chain(
            [
                ClosureRule("swallows", order: 1) { _, services in
                    _ = try? await services.send(HTTPRequest("GET", "https://api.example.com/"), token: "profiles")
                }
            ],
            egress: ScriptedEgress { _ in .away(.grant("for profiles")) }
        )
        let (after, verdict) = await chain.evaluate(try self.state(), for: .test())
        guard case .away(.grant("for profiles")) = verdict else { return #expect(Bool(false), "\(verdict)") }
        #expect(after.next == 0)
    }

    /// The retry starts at the rule that met the outage, so what the rules before it made must be there.
    @Test func anOutageKeepsWhatEarlierRulesWrote() async throws {
        let isAway = Mutex(true)
        let chain = try await self.chain(
            [
                ClosureRule("writes", order: 1) { login, _ in
                    login.user["kept"] = true
                    login.context["plan"] = "gold"
                    login.updateAppMetadata(["seen": true])
                },
                ClosureRule("asks", order: 2) { login, services in
                    login.user["dropped"] = true
                    _ = try await services.send(HTTPRequest("GET", "https://api.example.com/"), token: "profiles")
                },
            ],
            egress: ScriptedEgress { _ in
                isAway.withLock { exchange(&$0, with: false) }
                    ? .away(.grant("for profiles")) : .response(HTTPResponse(status: 200), CallOutcome())
            }
        )
        let (between, first) = await chain.evaluate(try self.state(), for: .test())
        guard case .away = first else { return #expect(Bool(false), "\(first)") }
        #expect(between.next == 1 && between.reports.map(\.name) == ["writes"])
        #expect(between.user["kept"] != nil && between.context["plan"]?.string == "gold")
        #expect(between.user["dropped"] == nil, "of the rule that runs again")
        let (after, second) = await chain.evaluate(between, for: .test())
        guard case .completed = second else { return #expect(Bool(false), "\(second)") }
        #expect(after.user["kept"] != nil && after.context["plan"]?.string == "gold")
        #expect(after.metadata.app.set.map(\.name) == ["seen"])
        #expect(after.reports.map(\.name) == ["writes", "asks"])
    }

    @Test func aRuleThatIgnoresItsDeadlineIsLeftBehind() async throws {
        // Never finished; the continuation is kept so that it does not count as leaked while the test runs.
        let chain = try await self.chain(
            [
                ClosureRule("hangs", order: 1) { _, _ in
                    let stream = AsyncStream<Void> { _ in }
                    for await _ in stream {}
                    while !Task.isCancelled { await Task.yield() }
                    throw CancellationError()
                }
            ],
            timeout: .milliseconds(50)
        )
        let (_, verdict) = await chain.evaluate(try self.state(), for: .test())
        guard case .failed(let failure) = verdict else { return #expect(Bool(false), "\(verdict)") }
        #expect(failure.reason == .ruleTimeout)
        #expect(!failure.isRetryable)
    }

    /// What was away when it asked is what its login waits for, whatever it does with the rest of its time.
    @Test func aRuleThatGoesOnUntilItsDeadlineWaitsForWhatWasAway() async throws {
        let api = Destination.connection(host: "api.example", port: 443)
        let chain = try await self.chain(
            [
                ClosureRule("stubborn", order: 1) { _, services in
                    do { _ = try await services.send(HTTPRequest("GET", "https://api.example/")) } catch {}
                    while !Task.isCancelled { await Task.yield() }
                }
            ],
            egress: ScriptedEgress { _ in .away(api) },
            timeout: .milliseconds(50)
        )
        let (_, verdict) = await chain.evaluate(try self.state(), for: .test())
        guard case .away(let destination) = verdict else { return #expect(Bool(false), "\(verdict)") }
        #expect(destination == api)
    }

    @Test func twoRulesOfOneOrderOrNameAreRefused() async throws {
        await #expect(throws: RuleChainRefusal.self) {
            _ = try await self.chain([
                ClosureRule("same", order: 1) { _, _ in },
                ClosureRule("same", order: 1) { _, _ in },
            ])
        }
    }

    @Test func anEmptyChainIsRefused() async throws {
        await #expect(throws: RuleChainRefusal.self) { _ = try await self.chain([]) }
    }
}
