import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginKafka
import AfterloginObservability
import AfterloginSystem
import AfterloginTestSupport
import AfterloginWaiting
import Testing

@testable import AfterloginDelivery
@testable import AfterloginEgress
@testable import AfterloginRules

@Suite("What an attempt of a login comes to", .timeLimit(.minutes(1)))
struct LoginPipelineTests {
    /// One verdict for each attempt, the last one for all further ones; each failed so at one API.
    private final class Chain: ChainEvaluator {
        private let verdicts: [ChainVerdict]
        private let failsAt: Destination?
        private let clock: ManualClock
        private let seen = Mutex<[Int]>([])
        var attempts: [Int] { self.seen.withLock { $0 } }

        init(_ verdicts: [ChainVerdict], failsAt: Destination? = nil, clock: ManualClock = ManualClock()) {
            self.verdicts = verdicts
            self.failsAt = failsAt
            self.clock = clock
        }

        func evaluate(_ state: ChainState, for login: EvaluatedLogin) async -> (ChainState, ChainVerdict) {
            var state = state
            let count = self.seen.withLock { seen in
                seen.append(state.attempt)
                return seen.count
            }
            let verdict = self.verdicts[min(count, self.verdicts.count) - 1]
            if let failsAt, case .failed = verdict { self.callFailed(login, at: failsAt) }
            if let failsAt, case .keptBack = verdict { self.callFailed(login, at: failsAt) }
            if case .failed(let failure) = verdict {
                state.reports.append(
                    RuleReport(name: failure.rule, outcome: .failed, milliseconds: 1, calls: 1, attempts: state.attempt)
                )
            }
            return (state, verdict)
        }

        private func callFailed(_ login: EvaluatedLogin, at destination: Destination) {
            login.scope.login.callFailed(at: destination, .answer, isForgiven: false, now: self.clock.now)
        }
    }

    private static let value = #"{"user":{"user_id":"auth0|1","name":"Ada"},"context":{}}"#
    private static let record = KafkaRecord(
        topicPartition: TopicPartition(topic: "logins", partition: 3),
        offset: 42,
        timestamp: 1_000,
        key: [1],
        value: Array(value.utf8)
    )
    private static var event: Result<LoginEvent, DecodingFailure> { NativeEventDecoder().decode(self.record) }

    private static let route = Route.call(rule: "r", host: "api.example", port: 443)
    private static let me = LoginIdentity(number: 7, user: LoginUser(key: 7))

    private static func failure(_ reason: RuleFailure.Reason = .ruleError, retryable: Bool = true) -> ChainVerdict {
        .failed(RuleFailure(rule: "r", reason: reason, message: "m", isRetryable: retryable))
    }

    private func pipeline(
        _ chain: Chain,
        attempts: Int = 3,
        waits: Bool = true,
        clock: ManualClock = ManualClock()
    ) -> LoginPipeline {
        var egress = EgressSettings()
        egress.waiting.attempts = attempts
        egress.waiting.maxAge = .seconds(3_600)
        (egress.waiting.backoffBase, egress.waiting.backoffCap) = (.seconds(1), .seconds(4))
        var pipeline = LoginPipeline(
            DeliverySettings(),
            chain: chain,
            chainNames: ["r"],
            board: DestinationBoard(
                egress.waiting(forOutages: waits),
                log: .silent,
                clock: clock
            ),
            waitsForOutages: waits,
            metrics: Metrics(),
            clock: clock
        )
        pipeline.random = { 0.5 }
        return pipeline
    }

    /// Another user's call to the same API gets through.
    private func somebodyElseGetsThrough(_ pipeline: LoginPipeline) async {
        let scope = CallScope(
            LoginCalls(number: 8, user: LoginUser(key: 8), firstAttempt: pipeline.clock.now)
        )
        let entry = await pipeline.board.enter(Self.route, scope, deadline: pipeline.clock.now + .seconds(20))
        guard case .send(let ticket) = entry else {
            Issue.record("\(entry)")
            return
        }
        _ = pipeline.board.ended(ticket, .gotThrough, .success(HTTPResponse(status: 200)), error: "", scope)
    }

    private static func header(_ result: ResultRecord, _ name: String) -> String? {
        result.headers.first { $0.name == "afterlogin-\(name)" }?.value.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Rules deny with plain errors too: Auth0 would have stored what was written before.
    @Test func aFailureIsPrecededByWhatRulesWrote() async throws {
        for writes in [true, false] {
            let pipeline = self.pipeline(Chain([Self.failure(retryable: false)]))
            var chain = ChainState(
                user: try JSONText(validating: Array(#"{"user_id":"auth0|1"}"#.utf8)),
                context: .emptyObject
            )
            if writes { chain.metadata.app.write("claimed", JSONText(.bool(true))) }
            var retry = RetryState()
            retry.chain = chain
            guard case .result(let result) = await pipeline.process(Self.record, Self.event, retry, Self.me) else {
                Issue.record("no result")
                return
            }
            #expect(result.kind == .failure && result.reason == "rule-error")
            #expect(result.preceding.count == (writes ? 1 : 0))
            guard let changes = result.preceding.first else { continue }
            let event = try JSONValue(parsing: changes.value ?? [])
            #expect(changes.kind == .changes && changes.key == Array("auth0|1".utf8))
            #expect(event["type"]?.string == "io.afterlogin.login.failed")
            #expect(event["data"]?["changes"] == ["app_metadata": ["set": ["claimed": true], "removed": []]])
            #expect(event["data"]?["failure"] == ["reason": "rule-error", "message": "m", "rule": "r"])
            #expect(event["data"]?["user"] == nil)
            let builder = pipeline.builder
            let login = try Self.event.get()
            #expect(event["id"]?.string == builder.id(login, "io.afterlogin.login.failed"))
            #expect(event["id"]?.string != builder.id(login))
        }
    }

    /// `global.token ||= fetch(…)`: while the token is away no host helps those who wait for another login's promise.
    @Test func whoWaitsForAPromiseThatWasEndedWaitsForWhatThatWaitedFor() async throws {
        let route = Route.grant("of the tenant")
        let names = ["another", route.answers.description]
        let pipeline = self.pipeline(Chain([.unjudged(taintedBy: names)]))
        guard case .waits(let before) = await pipeline.process(Self.record, Self.event, RetryState(), Self.me),
            case .host = before.wait
        else {
            Issue.record("nothing is away")
            return
        }
        guard case .send(let ticket) = await pipeline.board.enter(route, nil, deadline: pipeline.clock.now) else {
            Issue.record("nothing is away")
            return
        }
        _ = pipeline.board.ended(ticket, .tokenRefused, .success(HTTPResponse(status: 500)), error: "", nil)
        guard case .waits(let after) = await pipeline.process(Self.record, Self.event, RetryState(), Self.me),
            case .away(route.answers, _) = after.wait
        else {
            Issue.record("it does not wait for the token")
            return
        }
        #expect(after.calls?.attempts.failures == 0)
    }

    @Test func aCompletedChainIsAnUpdateAndADeniedOneADenial() async throws {
        let update = await self.pipeline(Chain([.completed])).process(Self.record, Self.event, RetryState(), Self.me)
        guard case .result(let result) = update else {
            Issue.record("\(update)")
            return
        }
        #expect(result.kind == .update && result.key == Array("auth0|1".utf8) && result.reason == nil)
        let denial = await self.pipeline(Chain([.denied(rule: "r", message: "no")]))
            .process(Self.record, Self.event, RetryState(), Self.me)
        guard case .result(let denied) = denial else {
            Issue.record("\(denial)")
            return
        }
        #expect(denied.kind == .denial)
        let value = try JSONValue(parsing: denied.value ?? [])
        #expect(value["data"]?["denial"] == ["name": "r", "message": "no"])
    }

    @Test(arguments: [
        (RuleFailure.Reason.ruleError, "rule-error"), (.ruleTimeout, "rule-timeout"), (.limit, "limit"),
        (.crashed, "crashed"),
    ])
    func whatNoAttemptCanMendFailsAtOnce(reason: RuleFailure.Reason, name: String) async {
        let chain = Chain([Self.failure(reason, retryable: false)])
        let outcome = await self.pipeline(chain).process(Self.record, Self.event, RetryState(), Self.me)
        guard case .result(let result) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(result.kind == .failure && result.reason == name && result.value == Self.record.value)
        #expect(result.key == [1])
        #expect(Self.header(result, "attempts") == "1" && Self.header(result, "rule") == "r")
        #expect(Self.header(result, "offset") == "42" && Self.header(result, "partition") == "3")
        #expect(Self.header(result, "first-attempt") == "2027-01-15T08:00:00.000Z")
    }

    /// What a login is after another attempt, which is made when its back-off is over.
    private func next(_ pipeline: LoginPipeline, _ clock: ManualClock, _ retry: RetryState) async -> PipelineOutcome {
        if let until = retry.until, until > clock.now { clock.advance(by: until - clock.now) }
        return await pipeline.process(Self.record, Self.event, retry, Self.me)
    }

    @Test func attemptsCountWhereSomebodyElseGotThroughAndTheirPausesGrow() async {
        let clock = ManualClock()
        let chain = Chain([Self.failure()], failsAt: Self.route.answers, clock: clock)
        let pipeline = self.pipeline(chain, clock: clock)
        var retry = RetryState()
        var pauses: [Duration] = []
        for _ in 0..<3 {
            guard case .waits(let next) = await self.next(pipeline, clock, retry) else {
                Issue.record("it does not wait")
                return
            }
            #expect(next.reason == "r: m" && next.chain?.reports.isEmpty == true)
            pauses.append((next.until ?? clock.now) - clock.now)
            clock.advance(by: .milliseconds(1))
            await self.somebodyElseGetsThrough(pipeline)
            retry = next
        }
        #expect(pauses == [.milliseconds(750), .milliseconds(1_500), .seconds(3)])
        guard case .result(let result) = await self.next(pipeline, clock, retry) else {
            Issue.record("no end")
            return
        }
        #expect(result.reason == "attempts-exhausted" && Self.header(result, "rule") == "r")
        #expect(chain.attempts == [1, 2, 3])
    }

    @Test func anOutageFailsNobodyHoweverOftenItsLoginsRunAgain() async {
        let clock = ManualClock()
        let chain = Chain([Self.failure()], failsAt: Self.route.answers, clock: clock)
        let pipeline = self.pipeline(chain, clock: clock)
        var retry = RetryState()
        for _ in 0..<50 {
            guard case .waits(let next) = await self.next(pipeline, clock, retry) else {
                Issue.record("an outage ended the login")
                return
            }
            retry = next
        }
        #expect(chain.attempts.count == 50)
    }

    @Test func withoutAnybodyWhoWaitsForARepairEveryAttemptCounts() async {
        let clock = ManualClock()
        let chain = Chain([Self.failure()], failsAt: Self.route.answers, clock: clock)
        let pipeline = self.pipeline(chain, waits: false, clock: clock)
        var retry = RetryState()
        for _ in 0..<3 {
            guard case .waits(let next) = await self.next(pipeline, clock, retry) else {
                Issue.record("it does not wait")
                return
            }
            retry = next
        }
        guard case .result(let result) = await self.next(pipeline, clock, retry) else {
            Issue.record("no end")
            return
        }
        #expect(result.reason == "attempts-exhausted" && chain.attempts == [1, 2, 3])
    }

    @Test func aLoginThatWaitedForTooLongFailsAsTooOld() async {
        let clock = ManualClock()
        let pipeline = self.pipeline(Chain([.away(Self.route.answers)]), clock: clock)
        guard case .waits(let retry) = await self.next(pipeline, clock, RetryState()) else {
            Issue.record("it does not wait")
            return
        }
        #expect(retry.until == clock.now + .seconds(3_600))
        guard case .result(let result) = await self.next(pipeline, clock, retry) else {
            Issue.record("no end")
            return
        }
        #expect(result.reason == "too-old")
    }

    @Test func whatIsAwayCostsNoAttempt() async {
        let clock = ManualClock()
        let chain = Chain([.away(Self.route.answers), .away(Self.route.answers), .completed])
        let pipeline = self.pipeline(chain, clock: clock)
        var retry = RetryState()
        for _ in 0..<2 {
            guard case .waits(let next) = await pipeline.process(Self.record, Self.event, retry, Self.me) else {
                Issue.record("it does not wait")
                return
            }
            #expect(next.reason == "api.example:443 (rule r) is away")
            retry = next
        }
        guard case .result(let result) = await pipeline.process(Self.record, Self.event, retry, Self.me) else {
            Issue.record("no result")
            return
        }
        #expect(result.kind == .update && chain.attempts == [1, 1, 1])
    }

    private static var kept: ChainVerdict {
        let state = ChainState(user: JSONText(["user_id": "auth0|1"]), context: JSONText([:]))
        return .keptBack(KeptBack(verdict: .completed, after: state, before: state))
    }

    @Test func aSwallowedFailureOfAnOutageRunsAgainUntilItIsOver() async {
        let clock = ManualClock()
        let chain = Chain([Self.kept, Self.kept, Self.kept, .completed], failsAt: Self.route.answers, clock: clock)
        let pipeline = self.pipeline(chain, clock: clock)
        var retry = RetryState()
        for _ in 0..<3 {
            guard case .waits(let next) = await self.next(pipeline, clock, retry) else {
                Issue.record("a poorer update was published")
                return
            }
            retry = next
        }
        guard case .result(let result) = await self.next(pipeline, clock, retry) else {
            Issue.record("no end")
            return
        }
        #expect(result.kind == .update && chain.attempts.count == 4)
    }

    @Test func aSwallowedFailureStandsWhereOthersGetThroughAgainAndAgain() async {
        let clock = ManualClock()
        let chain = Chain([Self.kept, Self.kept, .completed], failsAt: Self.route.answers, clock: clock)
        let pipeline = self.pipeline(chain, clock: clock)
        var retry = RetryState()
        for _ in 0..<2 {
            guard case .waits(let next) = await self.next(pipeline, clock, retry) else {
                Issue.record("it stands too early")
                return
            }
            clock.advance(by: .milliseconds(1))
            await self.somebodyElseGetsThrough(pipeline)
            retry = next
        }
        // The kept verdict, and then the rest of the chain.
        guard case .result(let result) = await pipeline.process(Self.record, Self.event, retry, Self.me) else {
            Issue.record("it does not stand")
            return
        }
        #expect(result.kind == .update && chain.attempts.count == 3)
    }

    @Test func aWorkerThatStopsPublishesNothing() async {
        let outcome = await self.pipeline(Chain([.stopped])).process(Self.record, Self.event, RetryState(), Self.me)
        guard case .stopped = outcome else {
            Issue.record("\(outcome)")
            return
        }
    }

    @Test func whatCannotBeDecodedRunsNoRule() async {
        let chain = Chain([.completed])
        let failure = DecodingFailure(description: "no JSON")
        let outcome = await self.pipeline(chain).process(Self.record, .failure(failure), RetryState(), Self.me)
        guard case .result(let result) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(result.reason == "undecodable" && Self.header(result, "attempts") == "0" && chain.attempts.isEmpty)
        #expect(Self.header(result, "message") == "no JSON")
        let large = self.pipeline(chain).tooLarge(Self.record, "too large")
        #expect(large.reason == "result-too-large" && large.value == Self.record.value)
    }
}
