import Kafka

/// What a login has been through, for its next attempt.
package struct RetryState: Sendable {
    /// The chain as far as it came; nil before the first attempt.
    ///
    /// Durable parking (a later issue) writes this.
    var chain: ChainState?
    /// Milliseconds since 1970.
    var firstAttempt: Int64?

    package init() {}
}

/// What one attempt of a login came to.
enum PipelineOutcome: Sendable {
    case result(ResultRecord)
    /// A rule failed in a way that another attempt may mend.
    case retry(RetryState, after: Duration, reason: String)
    /// Something is away; no attempt is counted.
    case outage(any Outage, RetryState)
    /// The worker stops; nothing is published.
    case stopped
}

/// One login from its event to its result: the rules, attempts, limits, and what a verdict becomes.
package struct LoginPipeline: Sendable {
    let chain: any ChainEvaluator
    let builder: ResultBuilder
    let attempts: Int
    let maxAge: Duration
    let backoff: Backoff
    let metrics: Metrics
    var wallClock: @Sendable () -> Int64 = LoginPipeline.milliseconds
    var random: @Sendable () -> Double = Backoff.random

    /// A server may ask for hours; the login waits in memory, so it is asked again sooner.
    static let longestRetryAfter = Duration.seconds(300)

    package init(_ configuration: Configuration, chain: any ChainEvaluator, chainNames: [String], metrics: Metrics) {
        self.chain = chain
        self.builder = ResultBuilder(source: configuration.results.source, chain: chainNames)
        self.attempts = configuration.rules.attempts
        self.maxAge = configuration.rules.maxAge
        self.backoff = Backoff(configuration.rules.backoff)
        self.metrics = metrics
    }

    func process(
        _ record: KafkaRecord,
        _ event: Result<LoginEvent, DecodingFailure>,
        _ retry: RetryState
    ) async -> PipelineOutcome {
        switch event {
        case .success(let event): return await self.process(event, retry)
        case .failure(let failure):
            let description = FailureDescription(reason: "undecodable", message: failure.description)
            return .result(self.builder.failure(record, description))
        }
    }

    private func process(_ event: LoginEvent, _ retry: RetryState) async -> PipelineOutcome {
        let now = self.wallClock()
        var retry = retry
        let first = retry.firstAttempt ?? now
        retry.firstAttempt = first
        let start = retry.chain ?? ChainState(user: event.user, context: event.context)
        let (state, verdict) = await self.chain.evaluate(start, id: event.id, time: event.time)
        switch verdict {
        case .completed: return .result(self.builder.update(event, state))
        case .denied(let rule, let message):
            return .result(self.builder.denial(event, state, rule: rule, message: message))
        case .failed(let failure):
            return self.failed(failure, state, event, Attempt(first: first, last: now))
        case .outage(let outage):
            retry.chain = state
            return .outage(outage, retry)
        case .stopped: return .stopped
        }
    }

    private struct Attempt {
        var first: Int64
        var last: Int64
    }

    private func failed(
        _ failure: RuleFailure,
        _ state: ChainState,
        _ event: LoginEvent,
        _ attempt: Attempt
    ) -> PipelineOutcome {
        func result(_ reason: String, _ message: String) -> PipelineOutcome {
            .result(
                self.builder.failure(
                    event.record,
                    FailureDescription(
                        reason: reason,
                        message: message,
                        rule: failure.rule,
                        attempts: state.attempt,
                        firstAttempt: attempt.first,
                        lastAttempt: attempt.last
                    )
                )
            )
        }
        guard failure.isRetryable else { return result(failure.reason.rawValue, failure.message) }
        guard state.attempt < self.attempts else { return result("attempts-exhausted", failure.message) }
        let pause = max(
            self.backoff.delay(failures: state.attempt, fraction: self.random()),
            min(failure.retryAfter ?? .zero, Self.longestRetryAfter)
        )
        guard Duration.milliseconds(self.wallClock() - attempt.first) + pause < self.maxAge else {
            return result("too-old", failure.message)
        }
        self.metrics.add(.retries, 1, failure.rule)
        var retry = RetryState()
        retry.firstAttempt = attempt.first
        var state = state
        // The failed attempt leaves nothing behind but its number.
        state.reports.removeLast()
        state.attempt += 1
        retry.chain = state
        return .retry(retry, after: pause, reason: "\(failure.rule): \(failure.message)")
    }

    /// A result that its topic does not take becomes a failure.
    func tooLarge(_ record: KafkaRecord, _ message: String) -> ResultRecord {
        self.builder.failure(record, FailureDescription(reason: "result-too-large", message: message))
    }

    @Sendable static func milliseconds() -> Int64 { Int64(ContinuousClock().wallClock) * 1_000 }
}
