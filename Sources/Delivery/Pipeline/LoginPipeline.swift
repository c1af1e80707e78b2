package import AfterloginEgress
import AfterloginKafka
package import AfterloginObservability
package import AfterloginRules
package import AfterloginSystem
import AfterloginWaiting

/// What one attempt of a login came to.
enum PipelineOutcome: Sendable {
    case result(ResultRecord)
    /// It goes on later, from the state that it carries.
    case waits(RetryState)
    /// The worker stops; nothing is published.
    case stopped
}

/// Whose login it is, and which: what calls and waiting are kept by.
struct LoginIdentity: Sendable {
    /// Unique, and in the order of arrival.
    var number: UInt64
    var user: LoginUser
}

/// One login from its event to its result: the rules, what becomes of a failed call, and what a verdict becomes.
package struct LoginPipeline: Sendable {
    let chain: any ChainEvaluator
    let builder: ResultBuilder
    let board: DestinationBoard
    /// False where nobody waits for a repair: rules are told every failure, every attempt counts.
    let waitsForOutages: Bool
    let metrics: Metrics
    let notices: LoginNotices?
    let clock: any WorkerClock
    var random: @Sendable () -> Double = Backoff.random

    package init(
        _ configuration: DeliverySettings,
        chain: any ChainEvaluator,
        chainNames: [String],
        board: DestinationBoard,
        waitsForOutages: Bool = true,
        metrics: Metrics,
        notices: LoginNotices? = nil,
        clock: any WorkerClock = ContinuousClock()
    ) {
        self.chain = chain
        self.builder = ResultBuilder(source: configuration.results.source, chain: chainNames)
        self.board = board
        self.waitsForOutages = waitsForOutages
        self.metrics = metrics
        for rule in chainNames { _ = metrics.series(.retries, rule) }
        self.notices = notices
        self.clock = clock
    }

    func process(
        _ record: KafkaRecord,
        _ event: Result<LoginEvent, DecodingFailure>,
        _ retry: RetryState,
        _ identity: LoginIdentity,
        _ activity: LoginActivity = LoginActivity()
    ) async -> PipelineOutcome {
        switch event {
        case .success(let event): return await self.process(event, retry, identity, activity)
        case .failure(let failure):
            let description = FailureDescription(reason: "undecodable", message: failure.description)
            self.notices?.failed(description, place: record.place)
            return .result(self.builder.failure(record, description))
        }
    }

    private func process(
        _ event: LoginEvent,
        _ retry: RetryState,
        _ identity: LoginIdentity,
        _ activity: LoginActivity
    ) async -> PipelineOutcome {
        let attempt = Attempt(event, retry, identity, self.clock)
        switch self.resumed(attempt) {
        case .ended(let outcome): return outcome
        case .goesOn(let state, let waitedFor):
            let scope = CallScope(attempt.calls)
            attempt.calls.runBegan()
            let login = EvaluatedLogin(
                id: event.id,
                time: event.time,
                userID: event.userID,
                scope: scope,
                waitedFor: waitedFor,
                avoidsTaint: attempt.avoidsTaint,
                activity: activity
            )
            let (after, verdict) = await self.chain.evaluate(state, for: login)
            self.board.evaluationEnded(attempt.calls)
            return self.outcome(verdict, after, attempt)
        }
    }

    /// One attempt of one login.
    struct Attempt {
        let event: LoginEvent
        let retry: RetryState
        let calls: LoginCalls
        /// Milliseconds since 1970.
        let first: Int64
        let last: Int64

        init(_ event: LoginEvent, _ retry: RetryState, _ identity: LoginIdentity, _ clock: any WorkerClock) {
            self.event = event
            self.retry = retry
            self.calls =
                retry.calls
                ?? LoginCalls(number: identity.number, user: identity.user, firstAttempt: clock.now)
            self.last = Int64(clock.wallClock * 1_000)
            self.first = retry.firstAttempt ?? self.last
        }

        /// The chain as this attempt finds it.
        var start: ChainState {
            self.retry.chain ?? ChainState(user: self.event.user, context: self.event.context)
        }

        /// Something that another login left behind stood in its way.
        var avoidsTaint: Bool { if case .host = self.retry.wait { true } else { false } }

        /// What the next attempt starts from.
        func next(_ chain: ChainState, _ wait: RetryState.Wait) -> RetryState {
            RetryState(chain: chain, firstAttempt: self.first, calls: self.calls, wait: wait)
        }
    }

    // MARK: Before the rules

    private enum Resumption {
        case goesOn(ChainState, waitedFor: Destination?)
        case ended(PipelineOutcome)
    }

    /// What the end of a login's waiting brings.
    private func resumed(_ attempt: Attempt) -> Resumption {
        let retry = attempt.retry
        let chain = attempt.start
        switch retry.wait {
        case nil: return .goesOn(chain, waitedFor: nil)
        case .away(let destination, let until):
            self.board.left(attempt.calls)
            guard self.clock.now < until else {
                let failure = RuleFailure(
                    rule: "",
                    reason: .ruleError,
                    message:
                        "waited for \(destination) until rules.max_age was over: run it again from the failures, when that is back",
                    isRetryable: true
                )
                return self.gaveUp(failure, "too-old", chain, attempt)
            }
            return .goesOn(chain, waitedFor: destination)
        case .host: return .goesOn(chain, waitedFor: nil)
        case .backOff(let failure, _):
            return self.judged(self.judgement(attempt), failure, chain, attempt)
        case .kept(let kept, let until):
            self.board.left(attempt.calls)
            return self.decided(kept, until, attempt)
        }
    }

    private func judgement(_ attempt: Attempt) -> LoginAttempts.Judgement {
        self.board.judge { destinations, now in
            attempt.calls.judged { attempts in
                // Without a place to be judged by, as with too many of them, every attempt counts.
                guard !self.waitsForOutages || attempts.failedCalls.isEmpty else {
                    return attempts.backOffEnded(user: attempt.calls.user, destinations, now: now)
                }
                if now - attempts.firstAttempt >= destinations.settings.maxAge { return .tooOld }
                return attempts.failures >= destinations.settings.attempts ? .exhausted : .again(counted: true)
            }
        }
    }

    private func judged(
        _ judgement: LoginAttempts.Judgement,
        _ failure: RuleFailure,
        _ chain: ChainState,
        _ attempt: Attempt
    ) -> Resumption {
        switch judgement {
        case .again: return .goesOn(chain, waitedFor: attempt.calls.attempts.failedCalls.first?.destination)
        case .waits(let destination, _): return .ended(self.waits(for: destination, chain, attempt))
        case .exhausted: return self.gaveUp(failure, "attempts-exhausted", chain, attempt)
        case .tooOld: return self.gaveUp(failure, "too-old", chain, attempt)
        }
    }

    /// The next attempt is not made.
    private func gaveUp(
        _ failure: RuleFailure,
        _ reason: String,
        _ chain: ChainState,
        _ attempt: Attempt
    ) -> Resumption {
        .ended(.result(self.failure(failure, reason, chain, attempt, attempts: chain.attempt - 1)))
    }

    /// Whether a verdict that was kept back stands now.
    private func decided(_ kept: KeptBack, _ until: ContinuousClock.Instant, _ attempt: Attempt) -> Resumption {
        let verdict = KeptVerdict(user: attempt.calls.user)
        let decision = self.board.judge { destinations, now in
            attempt.calls.judged { attempts in
                now < until
                    ? verdict.somebodyGotThrough(attempts, destinations, now: now)
                    : verdict.backOffEnded(&attempts, destinations, now: now)
            }
        }
        switch decision {
        case .keeps: return .ended(.waits(attempt.next(kept.before, .kept(kept, until: until))))
        case .stands: return self.standing(kept, attempt)
        case .discarded(.waits(let destination, _)):
            return .ended(self.waits(for: destination, kept.before, attempt))
        case .discarded(.again), .discarded(.exhausted), .discarded(.tooOld):
            return .goesOn(kept.before, waitedFor: attempt.calls.attempts.failedCalls.first?.destination)
        }
    }

    private func standing(_ kept: KeptBack, _ attempt: Attempt) -> Resumption {
        switch kept.verdict {
        case .completed: .goesOn(kept.after, waitedFor: nil)
        case .denied(let rule, let message):
            .ended(.result(self.builder.denial(attempt.event, kept.after, rule: rule, message: message)))
        case .failed(let failure):
            .ended(.result(self.failure(failure, failure.reason.rawValue, kept.after, attempt)))
        }
    }

    // MARK: After the rules

    private func outcome(_ verdict: ChainVerdict, _ state: ChainState, _ attempt: Attempt) -> PipelineOutcome {
        if let destination = attempt.calls.unsent, self.waitsForOutages {
            // A call was given up while it waited for its turn: whatever the rule made of that is not its verdict.
            return self.waits(for: destination, attempt.start, attempt)
        }
        switch verdict {
        case .completed: return .result(self.builder.update(attempt.event, state))
        case .denied(let rule, let message):
            return .result(self.builder.denial(attempt.event, state, rule: rule, message: message))
        case .failed(let failure):
            guard failure.isRetryable else {
                return .result(self.failure(failure, failure.reason.rawValue, state, attempt))
            }
            return self.runAgain(failure, state, attempt)
        case .keptBack(let kept): return self.keptBack(kept, attempt)
        case .away(let destination): return self.waits(for: destination, state, attempt)
        case .unjudged(let names):
            // While what the others waited for is away, no host helps it.
            if let destination = self.board.awaited(among: names) {
                return self.waits(for: destination, state, attempt)
            }
            return .waits(attempt.next(state, .host(until: self.backOffEnd(attempt))))
        case .stopped: return .stopped
        }
    }

    private func runAgain(_ failure: RuleFailure, _ state: ChainState, _ attempt: Attempt) -> PipelineOutcome {
        self.metrics.add(.retries, 1, failure.rule)
        self.notices?.runsAgain(failure, place: attempt.event.record.place)
        var state = state
        // The failed attempt leaves nothing behind but its number.
        state.reports.removeLast()
        state.attempt += 1
        return .waits(attempt.next(state, .backOff(failure, until: self.backOffEnd(attempt))))
    }

    private func keptBack(_ kept: KeptBack, _ attempt: Attempt) -> PipelineOutcome {
        guard self.waitsForOutages else {
            switch self.standing(kept, attempt) {
            case .ended(let outcome): return outcome
            case .goesOn: return .waits(attempt.next(kept.after, .host(until: self.clock.now)))
            }
        }
        var kept = kept
        kept.before.attempt += 1
        return .waits(attempt.next(kept.before, .kept(kept, until: self.backOffEnd(attempt))))
    }

    private func waits(for destination: Destination, _ state: ChainState, _ attempt: Attempt) -> PipelineOutcome {
        let until = attempt.calls.attempts.firstAttempt.advanced(by: self.board.settings.maxAge)
        return .waits(attempt.next(state, .away(destination, until: until)))
    }

    private func backOffEnd(_ attempt: Attempt) -> ContinuousClock.Instant {
        let pause = attempt.calls.judged { $0.runFailed(fraction: self.random(), self.board.settings) }
        return self.clock.now.advanced(by: pause)
    }

    private func failure(
        _ failure: RuleFailure,
        _ reason: String,
        _ state: ChainState,
        _ attempt: Attempt,
        attempts: Int? = nil
    ) -> ResultRecord {
        let description = FailureDescription(
            reason: reason,
            message: failure.message,
            rule: failure.rule.isEmpty ? nil : failure.rule,
            place: failure.place,
            attempts: attempts ?? state.attempt,
            firstAttempt: attempt.first,
            lastAttempt: attempt.last
        )
        self.notices?.failed(description, place: attempt.event.record.place)
        return self.builder.failure(attempt.event, state, description)
    }

    /// A result that its topic does not take becomes a failure.
    func tooLarge(_ record: KafkaRecord, _ message: String) -> ResultRecord {
        let description = FailureDescription(reason: "result-too-large", message: message)
        self.notices?.failed(description, place: record.place)
        return self.builder.failure(record, description)
    }
}

extension KafkaRecord {
    /// Where people find it.
    fileprivate var place: String { "login at \(self.topicPartition), offset \(self.offset)" }
}
