import JSON
import Kafka
import Synchronization
import Testing

@testable import Afterlogin

@Suite("What an attempt of a login comes to")
struct LoginPipelineTests {
    /// One verdict for each attempt, the last one for all further ones.
    private final class Chain: ChainEvaluator {
        private let verdicts: [ChainVerdict]
        private let seen = Mutex<[Int]>([])
        var attempts: [Int] { self.seen.withLock { $0 } }

        init(_ verdicts: [ChainVerdict]) { self.verdicts = verdicts }

        func evaluate(_ state: ChainState, id: String, time: String) async -> (ChainState, ChainVerdict) {
            var state = state
            let count = self.seen.withLock { seen in
                seen.append(state.attempt)
                return seen.count
            }
            let verdict = self.verdicts[min(count, self.verdicts.count) - 1]
            if case .failed(let failure) = verdict {
                state.reports.append(
                    RuleReport(name: failure.rule, outcome: .failed, milliseconds: 1, calls: 1, attempts: state.attempt)
                )
            }
            return (state, verdict)
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

    private static func failure(
        _ reason: RuleFailure.Reason = .ruleError,
        retryable: Bool = true,
        after: Duration? = nil
    ) -> ChainVerdict {
        .failed(RuleFailure(rule: "r", reason: reason, message: "m", isRetryable: retryable, retryAfter: after))
    }

    private func pipeline(
        _ chain: Chain,
        attempts: Int = 3,
        wallClock: @escaping @Sendable () -> Int64 = { 5_000 }
    ) -> LoginPipeline {
        var configuration = Configuration()
        configuration.rules.attempts = attempts
        configuration.rules.maxAge = .seconds(3_600)
        configuration.rules.backoff = .init(base: .seconds(1), cap: .seconds(4))
        var pipeline = LoginPipeline(configuration, chain: chain, chainNames: ["r"], metrics: Metrics())
        pipeline.wallClock = wallClock
        pipeline.random = { 0.5 }
        return pipeline
    }

    private static func header(_ result: ResultRecord, _ name: String) -> String? {
        result.headers.first { $0.name == "afterlogin-\(name)" }?.value.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func aCompletedChainIsAnUpdateAndADeniedOneADenial() async throws {
        let update = await self.pipeline(Chain([.completed])).process(Self.record, Self.event, RetryState())
        guard case .result(let result) = update else {
            Issue.record("\(update)")
            return
        }
        #expect(result.kind == .update && result.key == Array("auth0|1".utf8) && result.reason == nil)
        let denial = await self.pipeline(Chain([.denied(rule: "r", message: "no")]))
            .process(Self.record, Self.event, RetryState())
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
        let outcome = await self.pipeline(chain).process(Self.record, Self.event, RetryState())
        guard case .result(let result) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(result.kind == .failure && result.reason == name && result.value == Self.record.value)
        #expect(result.key == [1])
        #expect(Self.header(result, "attempts") == "1" && Self.header(result, "rule") == "r")
        #expect(Self.header(result, "offset") == "42" && Self.header(result, "partition") == "3")
        #expect(Self.header(result, "first-attempt") == "1970-01-01T00:00:05.000Z")
    }

    @Test func attemptsAreCountedAndTheirPausesGrow() async {
        let chain = Chain([Self.failure()])
        let pipeline = self.pipeline(chain)
        var retry = RetryState()
        var pauses: [Duration] = []
        for _ in 0..<2 {
            guard case .retry(let next, let pause, let reason) = await pipeline.process(Self.record, Self.event, retry)
            else {
                Issue.record("no retry")
                return
            }
            #expect(reason == "r: m")
            // What a failed attempt did is forgotten.
            #expect(next.chain?.reports.isEmpty == true && next.firstAttempt == 5_000)
            retry = next
            pauses.append(pause)
        }
        #expect(pauses == [.milliseconds(500), .seconds(1)])
        guard case .result(let result) = await pipeline.process(Self.record, Self.event, retry) else {
            Issue.record("no end")
            return
        }
        #expect(result.reason == "attempts-exhausted" && Self.header(result, "attempts") == "3")
        #expect(chain.attempts == [1, 2, 3])
    }

    @Test(arguments: [(30, 30), (100_000, 300), (0, 0)])
    func aServerMayAskForPatienceWithinLimits(seconds: Int, waits: Int) async {
        let chain = Chain([Self.failure(after: .seconds(seconds))])
        guard case .retry(_, let pause, _) = await self.pipeline(chain).process(Self.record, Self.event, RetryState())
        else {
            Issue.record("no retry")
            return
        }
        #expect(pause == max(.milliseconds(500), .seconds(waits)))
    }

    @Test func aLoginThatIsTooOldFailsInsteadOfWaiting() async {
        let chain = Chain([Self.failure()])
        var retry = RetryState()
        retry.firstAttempt = 5_000 - 3_600_000
        let outcome = await self.pipeline(chain).process(Self.record, Self.event, retry)
        guard case .result(let result) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(result.reason == "too-old")
    }

    @Test func anOutageCostsNoAttempt() async {
        let chain = Chain([.outage(BriefOutage()), .outage(BriefOutage()), .completed])
        let pipeline = self.pipeline(chain)
        var retry = RetryState()
        for _ in 0..<2 {
            guard case .outage(_, let next) = await pipeline.process(Self.record, Self.event, retry) else {
                Issue.record("no outage")
                return
            }
            retry = next
        }
        guard case .result(let result) = await pipeline.process(Self.record, Self.event, retry) else {
            Issue.record("no result")
            return
        }
        #expect(result.kind == .update && chain.attempts == [1, 1, 1])
    }

    @Test func aWorkerThatStopsPublishesNothing() async {
        let outcome = await self.pipeline(Chain([.stopped])).process(Self.record, Self.event, RetryState())
        guard case .stopped = outcome else {
            Issue.record("\(outcome)")
            return
        }
    }

    @Test func whatCannotBeDecodedRunsNoRule() async {
        let chain = Chain([.completed])
        let failure = DecodingFailure(description: "no JSON")
        let outcome = await self.pipeline(chain).process(Self.record, .failure(failure), RetryState())
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
