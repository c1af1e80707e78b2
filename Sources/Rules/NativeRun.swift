import AfterloginEgress
import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginObservability
import AfterloginSystem

/// One evaluation of a run of neighbouring native rules: the login is parsed once and written back once.
struct NativeRun {
    let chain: RuleChain
    let deadlines: DeadlineSweeper

    func evaluate(_ state: inout ChainState, for login: EvaluatedLogin) async -> ChainVerdict {
        var running = Login(
            id: login.id,
            time: login.time,
            user: state.user.value,
            context: state.context.value,
            metadata: state.metadata
        )
        while state.next < self.chain.links.count, case .native(let rule) = self.chain.links[state.next].step {
            let services = NativeServices(chain: self.chain, rule: rule.name, login: login)
            let start = ContinuousClock.now
            let ending = await self.run(rule, running, services)
            // Calls that its deadline cut off say what they came to.
            if case .timedOut = ending { await services.calls.settled() }
            let calls = services.calls.entry(0)
            // What it made of its cancellation is dropped; earlier rules of the run keep what they wrote.
            if let away = services.calls.away {
                login.scope.discard()
                Self.write(running, to: &state)
                return .away(away)
            }
            var report = RuleReport(
                name: rule.name,
                outcome: .completed,
                milliseconds: (ContinuousClock.now - start).milliseconds,
                calls: calls.calls,
                attempts: state.attempt
            )
            let verdict: KeptBack.Verdict
            var after = running
            switch ending {
            case .completed(let result):
                after = result
                report.warnings = calls.failures
                if result.userIsChanged, result.user["user_id"] != running.user["user_id"] {
                    report.warnings.append(Self.changedID)
                }
                verdict = .completed
            case .denied(let denial, let result):
                after.metadata = result.metadata
                report.outcome = .denied
                verdict = .denied(rule: rule.name, message: self.chain.presentable(denial.message))
            case .failed(let message, let result):
                // Where a call of it failed it runs again, and writes again.
                if !calls.hasFailed { after.metadata = result.metadata }
                report.outcome = .failed
                verdict = .failed(self.failure(rule, .ruleError, message, isRetryable: calls.hasFailed))
            case .timedOut:
                report.outcome = .failed
                verdict = .failed(
                    self.failure(
                        rule,
                        .ruleTimeout,
                        "the rule took longer than \(self.chain.timeout) (rules.timeout)",
                        isRetryable: calls.hasFailed
                    )
                )
            }
            var before = state
            if calls.failedSo { Self.write(running, to: &before) }
            state.reports.append(report)
            running = after
            if case .completed = verdict {
                state.next += 1
                state.attempt = 1
            }
            if let ended = Self.ended(verdict, calls, before, running, &state) { return ended }
        }
        Self.write(running, to: &state)
        return .completed
    }

    /// As a rule host says it.
    private static let changedID = "changed user.user_id; the result keeps the login's own"

    /// What ends the run; nil where the next rule begins.
    private static func ended(
        _ verdict: KeptBack.Verdict,
        _ calls: CallLog.Entry,
        _ before: ChainState,
        _ login: Login,
        _ state: inout ChainState
    ) -> ChainVerdict? {
        if case .failed(let failure) = verdict {
            Self.write(login, to: &state)
            return .failed(failure)
        }
        if calls.failedSo {
            Self.write(login, to: &state)
            return .keptBack(KeptBack(verdict: verdict, after: state, before: before))
        }
        guard case .denied(let rule, let message) = verdict else { return nil }
        Self.write(login, to: &state)
        return .denied(rule: rule, message: message)
    }

    private static func write(_ login: Login, to state: inout ChainState) {
        if login.userIsChanged { state.user = JSONText(login.user) }
        if login.contextIsChanged { state.context = JSONText(login.context) }
        state.metadata = login.metadata
    }

    private func failure(
        _ rule: any Rule,
        _ reason: RuleFailure.Reason,
        _ message: String,
        isRetryable: Bool
    ) -> RuleFailure {
        RuleFailure(
            rule: rule.name,
            reason: reason,
            message: self.chain.presentable(message),
            isRetryable: isRetryable
        )
    }

    private enum Ending: Sendable {
        case completed(Login)
        case denied(Denial, Login)
        case failed(String, Login)
        case timedOut
    }

    /// Runs the rule in a task of its own, so that one that ignores cancellation can be left behind at its deadline.
    private func run(_ rule: any Rule, _ login: Login, _ services: NativeServices) async -> Ending {
        let race = Race()
        return await withCheckedContinuation { continuation in
            race.begin(continuation)
            let task = Task {
                var login = login
                do {
                    try await rule.evaluate(&login, using: services)
                    race.finish(.completed(login))
                } catch let denial as Denial {
                    race.finish(.denied(denial, login))
                } catch {
                    race.finish(.failed(NativeFailure.text(of: error), login))
                }
            }
            let watch = self.deadlines.watch(until: services.deadline) {
                // In this order: a rule that heeds its cancellation would else be quicker, and end as an error of its own.
                race.finish(.timedOut)
                task.cancel()
            }
            race.cleanUp { self.deadlines.forget(watch) }
        }
    }

    /// Resumes once, with whatever ends first.
    private final class Race: Sendable {
        private struct State {
            var continuation: CheckedContinuation<Ending, Never>?
            var isFinished = false
            var cleanUp: (@Sendable () -> Void)?
        }
        private let state = Mutex(State())

        func begin(_ continuation: CheckedContinuation<Ending, Never>) {
            self.state.withLock { $0.continuation = continuation }
        }

        func cleanUp(_ action: @escaping @Sendable () -> Void) {
            let isLate = self.state.withLock { state in
                if !state.isFinished { state.cleanUp = action }
                return state.isFinished
            }
            if isLate { action() }
        }

        func finish(_ ending: Ending) {
            let (continuation, cleanUp) = self.state.withLock { state in
                defer { state = State(isFinished: true) }
                return (state.continuation, state.cleanUp)
            }
            continuation?.resume(returning: ending)
            cleanUp?()
        }
    }
}

/// The services of one native rule for one login.
private final class NativeServices: RuleServices {
    private let chain: RuleChain
    private let rule: String
    private let login: EvaluatedLogin
    let deadline: ContinuousClock.Instant
    let calls = CallLog()

    init(chain: RuleChain, rule: String, login: EvaluatedLogin) {
        self.chain = chain
        self.rule = rule
        self.login = login
        self.deadline = .now + chain.timeout
    }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try await self.track { await self.chain.egress.send(self.call(request)) }
    }

    func send(_ request: HTTPRequest, token name: String) async throws -> HTTPResponse {
        try await self.track { await self.chain.egress.send(self.call(request), token: name) }
    }

    func log(_ message: String) {
        self.chain.log.log(.info, message, [("rule", self.rule)])
    }

    private func call(_ request: HTTPRequest) -> EgressCall {
        EgressCall(rule: self.rule, request: request, deadline: self.deadline, scope: self.login.scope)
    }

    private func track(_ send: () async -> EgressReply) async throws -> HTTPResponse {
        self.calls.started(rule: 0)
        self.login.activity.noted()
        let reply = await send()
        self.login.activity.noted()
        switch reply {
        case .response(let response, let outcome):
            self.calls.finished(rule: 0, outcome)
            // From here on it is the rule's memory: one that keeps many until the last has come must get the last.
            response.hold?.release()
            return response
        case .failed(let failure, let outcome):
            self.calls.finished(rule: 0, outcome)
            throw failure
        case .away(let destination):
            _ = self.calls.met(destination)
            self.calls.finished(rule: 0, CallOutcome())
            throw CancellationError()
        }
    }
}
