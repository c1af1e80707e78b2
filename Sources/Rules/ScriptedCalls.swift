import AfterloginEgress
import AfterloginHTTPMessages
import AfterloginObservability
import AfterloginRuleHost
import AfterloginSystem
import AfterloginWaiting

/// What the rules of one evaluation ask of the world: their requests become egress calls.
///
/// Called on the thread of the rule hosts; every call runs in a task of its own, but for those whose reply is known.
final class ScriptedCalls: EvaluationClient {
    private struct OpenCall {
        let call: EgressCall
        let made: ContinuousClock.Instant
        let task: Task<Void, Never>
    }

    /// Its answer is on its way to the host.
    private struct AnsweredCall {
        let number: UInt32
        let rule: Int
        let made: ContinuousClock.Instant
        let place: Destination
    }

    private struct State {
        var tasks: [UInt32: OpenCall] = [:]
        /// Of the present life, in their order.
        var answered: [AnsweredCall] = []
        /// Of the bodies of `tasks`.
        var bytes = 0
        /// Of the present life: a host that dies takes those of its life along.
        var calls = CallLog()
        var scope: CallScope
        var isFinished = false
        /// Outlives restarts: an evaluation whose host died before it could be ended is ended on the next.
        var ending: ScriptedEnding?
    }

    /// Calls of one login that have no answer yet, and the bytes that they send: what a rule may take of the worker's memory.
    private static let maxOpen = 1_000
    private static let maxOpenBytes = 32 << 20
    /// How many of them are under way; each may bring a whole response.
    private static let atATime = 16

    private let limiter = CallLimiter(atATime)
    private let chain: RuleChain
    private let hosts: RuleHostPool
    private let token: EvaluationToken
    private let names: [Int: String]
    private let activity: LoginActivity
    private let clock: any WorkerClock
    private let state: Mutex<State>

    init(
        chain: RuleChain,
        hosts: RuleHostPool,
        token: EvaluationToken,
        names: [Int: String],
        login: EvaluatedLogin,
        clock: any WorkerClock = ContinuousClock()
    ) {
        self.chain = chain
        self.hosts = hosts
        self.token = token
        self.names = names
        self.activity = login.activity
        self.clock = clock
        self.state = Mutex(State(scope: login.scope))
    }

    /// Why the evaluation is to end; nil where it is not.
    var ending: ScriptedEnding? { self.state.withLock(\.ending) }
    var calls: CallLog { self.state.withLock(\.calls) }

    func requestMade(_ request: HostRequest) {
        self.activity.noted()
        let headers = HTTPFields(request.headers.lazy.map { HTTPField($0.name, $0.value) })
        var outgoing = HTTPRequest(request.method, request.url, headers: headers, body: request.body)
        outgoing.decompresses = false
        let rule = self.names[request.rule] ?? "unknown"
        let now = self.clock.now
        let (calls, scope, isFinished) = self.state.withLock { ($0.calls, $0.scope, $0.isFinished) }
        guard !isFinished else { return }
        let deadline = now + min(request.remaining, self.chain.timeout)
        let call = EgressCall(rule: rule, request: outgoing, deadline: deadline, scope: scope)
        if let reply = self.chain.egress.reply(to: call) {
            calls.started(rule: request.rule)
            self.state.withLock { Self.note(reply, to: request, made: now, &$0) }
            return self.tell(reply, to: request, calls, scope, isWanted: true)
        }
        let isTooMuch = self.state.withLock { state in
            let bytes = state.bytes + request.body.count
            guard !state.isFinished else { return false }
            guard state.tasks.count < Self.maxOpen, bytes <= Self.maxOpenBytes, state.tasks[request.number] == nil
            else {
                return true
            }
            calls.started(rule: request.rule)
            let task = Task { await self.run(call, request, calls) }
            state.tasks[request.number] = OpenCall(call: call, made: now, task: task)
            state.bytes = bytes
            return false
        }
        guard isTooMuch else { return }
        let limits = "\(Self.maxOpen) calls or \(Self.maxOpenBytes >> 20) MB"
        let message = "more than \(limits) of one login wait for an answer"
        request.reply(.failed(HostFailure(code: "ELIMIT", message: message)))
    }

    private func run(_ call: EgressCall, _ request: HostRequest, _ calls: CallLog) async {
        guard await self.limiter.enter() else { return calls.finished(rule: request.rule, CallOutcome()) }
        let reply = await self.chain.egress.send(call)
        self.limiter.leave()
        self.activity.noted()
        let isWanted = self.state.withLock { state in
            guard state.calls === calls, let open = Self.take(request.number, &state) else { return false }
            Self.note(reply, to: request, made: open.made, &state)
            return true
        }
        self.tell(reply, to: request, calls, call.scope, isWanted: isWanted)
    }

    /// Its answer is on its way.
    private static func note(
        _ reply: EgressReply,
        to request: HostRequest,
        made: ContinuousClock.Instant,
        _ state: inout State
    ) {
        guard let place = reply.route?.answers else { return }
        let answered = AnsweredCall(number: request.number, rule: request.rule, made: made, place: place)
        state.answered.append(answered)
    }

    /// Tells what a call came to, where its rule still waits for that; then the call has ended.
    private func tell(
        _ reply: EgressReply,
        to request: HostRequest,
        _ calls: CallLog,
        _ scope: CallScope?,
        isWanted: Bool
    ) {
        switch reply {
        case .response(let response, let outcome):
            self.tell(outcome, isHeard: isWanted)
            if isWanted { request.reply(.response(HostResponse(response, failedSo: outcome.failedSo))) }
            calls.finished(rule: request.rule, outcome)
        case .failed(let failure, let outcome):
            self.tell(outcome, isHeard: isWanted)
            if isWanted { request.reply(.failed(HostFailure(failure, failedSo: outcome.failedSo))) }
            calls.finished(rule: request.rule, outcome)
        case .away(let destination):
            self.hosts.called(self.token, destination.description)
            if isWanted { self.end(.away(destination)) } else { scope?.gaveUpUnsent(destination) }
            calls.finished(rule: request.rule, CallOutcome())
        }
    }

    /// What the evaluation's host may keep from now on, or no longer keeps.
    ///
    /// An answer that nobody hears makes nothing good that is kept there.
    private func tell(_ outcome: CallOutcome, isHeard: Bool) {
        guard let route = outcome.route else { return }
        for place in [route.answers, route.connection] {
            guard let place else { continue }
            self.hosts.called(self.token, place.description)
            if outcome.failedAt == nil, isHeard { self.hosts.gotThrough(self.token, to: place.description) }
        }
        if outcome.failedSo, let place = outcome.failedAt { self.hosts.told(self.token, of: place.description) }
    }

    /// Nothing is told to the rule: others may wait for what it keeps.
    ///
    /// Its other calls go on.
    private func end(_ ending: ScriptedEnding) {
        let isFirst = self.state.withLock { state in
            guard state.ending == nil else { return false }
            state.ending = ending
            state.scope.discard()
            return true
        }
        if isFirst { self.hosts.end(self.token, for: ending.destination?.description) }
    }

    func waits(for destinations: [String]) { self.end(.keptPromise(destinations)) }

    /// The rule gave it up; what it came to is known when its task has ended.
    func requestCancelled(_ number: UInt32) -> String? {
        self.activity.noted()
        let (open, late) = self.state.withLock { state in
            (Self.take(number, &state), state.answered.last { $0.number == number })
        }
        if let open {
            open.task.cancel()
            return self.chain.egress.place(of: open.call)?.description
        }
        if let late { self.cameTooLate(late) }
        return nil
    }

    /// The answer was on its way, and its rule did not wait for it: the host had too much to do.
    ///
    /// Right after an outage all who waited begin at once. As with what is given up unanswered, another run may mend it.
    private func cameTooLate(_ late: AnsweredCall) {
        let now = self.clock.now
        let ending = CallEnding.givenUpUnanswered(after: now - late.made)
        guard let failure = ending.failure else { return }
        let (calls, scope) = self.state.withLock { ($0.calls, $0.scope) }
        guard !scope.isDiscarded else { return }
        scope.login.callFailed(at: late.place, failure, isForgiven: false, now: now)
        calls.cameTooLate(rule: late.rule)
    }

    private static func take(_ number: UInt32, _ state: inout State) -> OpenCall? {
        guard let taken = state.tasks.removeValue(forKey: number) else { return nil }
        state.bytes -= taken.call.request.body.count
        return taken
    }

    func restarted() {
        self.cancelAll { state in
            state.scope.discard()
            state.scope = CallScope(state.scope.login)
            if state.ending != nil { state.scope.discard() }
            state.calls = CallLog()
            state.answered = []
        }
    }

    /// The evaluation is over: calls that still run have nobody to answer to.
    ///
    /// - Returns: What its calls came to, those included that were given up.
    func finish() async -> CallLog {
        self.cancelAll { state in state.isFinished = true }
        let calls = self.calls
        await calls.settled()
        return calls
    }

    /// The same where nobody asks what its calls came to.
    func drop() {
        self.cancelAll { state in
            state.isFinished = true
            state.scope.discard()
        }
    }

    private func cancelAll(_ update: (inout State) -> Void) {
        let tasks = self.state.withLock { state in
            update(&state)
            defer { (state.tasks, state.bytes) = ([:], 0) }
            return state.tasks.values.map(\.task)
        }
        for task in tasks { task.cancel() }
    }

    func consolePrinted(_ line: ConsoleLine) {
        let level: Log.Level =
            switch line.level {
            case .error: .error
            case .warn: .warning
            case .debug: .debug
            case .log, .info: .info
            }
        self.chain.log.log(level, line.text, [("rule", line.rule.flatMap { self.names[$0] } ?? "unknown")])
    }

    func warned(_ warning: HostWarning) {
        self.chain.log.log(warning) { self.names[$0] }
    }
}

extension HostResponse {
    fileprivate init(_ response: HTTPResponse, failedSo: Bool) {
        self.init(
            status: response.status,
            reason: response.reason,
            headers: response.headers.map { (name: $0.name, value: $0.value) },
            body: response.body,
            failedSo: failedSo,
            hold: response.hold
        )
    }
}

extension HostFailure {
    fileprivate init(_ failure: HTTPFailure, failedSo: Bool) {
        let syscall: String? =
            switch failure.kind {
            case .nameNotFound: "getaddrinfo"
            case .connectionRefused, .connectTimeout, .addressRefused: "connect"
            case .connectionReset, .timeout: "read"
            case .invalidRequest, .certificate, .tls, .responseTooLarge, .headersTooLarge, .badResponse, .cancelled,
                .other:
                nil
            }
        self.init(
            code: failure.code,
            message: failure.message,
            syscall: syscall,
            address: failure.address,
            port: failure.port,
            failedSo: failedSo
        )
    }
}

extension Log {
    /// Logs what a rule host warns of.
    func log(_ warning: HostWarning, name: (Int) -> String?) {
        self.log(
            .warning,
            warning.text,
            [("rule", warning.rule.flatMap(name) ?? "unknown"), ("kind", warning.kind)]
        )
    }
}
