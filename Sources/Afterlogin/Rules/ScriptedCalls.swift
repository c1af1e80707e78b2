import HTTPClient
import RuleHost
import Synchronization

/// What the rules of one evaluation ask of the world: their requests become egress calls.
///
/// Called on the thread of the rule hosts; every call runs in a task of its own.
final class ScriptedCalls: EvaluationClient {
    private struct State {
        var tasks: [UInt32: (rule: Int, bytes: Int, task: Task<Void, Never>)] = [:]
        /// Of the bodies of `tasks`.
        var bytes = 0
        /// Counts restarts: replies of an earlier life are dropped.
        var life = 0
        var isFinished = false
        /// Outlives restarts: an evaluation whose host died before it could be ended is ended on the next.
        var ending: ScriptedEnding?
    }

    /// Calls of one login that have no answer yet, and the bytes that they send: what a rule may take of the worker's memory.
    private static let maxOpen = 1_000
    private static let maxOpenBytes = 32 << 20
    /// How many of them are under way; each may bring a whole response.
    private static let atATime = 16

    let calls = CallLog()
    private let limiter = CallLimiter(atATime)
    private let chain: RuleChain
    private let hosts: RuleHostPool
    private let token: EvaluationToken
    private let names: [Int: String]
    private let state = Mutex(State())

    init(chain: RuleChain, hosts: RuleHostPool, token: EvaluationToken, names: [Int: String]) {
        self.chain = chain
        self.hosts = hosts
        self.token = token
        self.names = names
    }

    /// Why the evaluation is to end; nil where it is not.
    var ending: ScriptedEnding? { self.state.withLock(\.ending) }

    func requestMade(_ request: HostRequest) {
        let headers = request.headers.map { HTTPField($0.name, $0.value) }
        var outgoing = HTTPRequest(request.method, request.url, headers: headers, body: request.body)
        outgoing.decompresses = false
        let call = EgressCall(
            rule: self.names[request.rule] ?? "unknown",
            request: outgoing,
            deadline: .now + min(request.remaining, self.chain.timeout)
        )
        self.calls.started(rule: request.rule)
        self.hosts.called(self.token, Self.destination(of: call))
        let isTooMuch = self.state.withLock { state in
            let bytes = state.bytes + request.body.count
            guard !state.isFinished else { return false }
            guard state.tasks.count < Self.maxOpen, bytes <= Self.maxOpenBytes, state.tasks[request.number] == nil
            else {
                return true
            }
            let life = state.life
            let task = Task { await self.run(call, request, life) }
            state.tasks[request.number] = (request.rule, request.body.count, task)
            state.bytes = bytes
            return false
        }
        guard isTooMuch else { return }
        self.calls.finished(rule: request.rule, CallOutcome())
        let limits = "\(Self.maxOpen) calls or \(Self.maxOpenBytes >> 20) MB"
        let message = "more than \(limits) of one login wait for an answer"
        request.reply(.failed(HostFailure(code: "ELIMIT", message: message)))
    }

    private func run(_ call: EgressCall, _ request: HostRequest, _ life: Int) async {
        guard await self.limiter.enter() else { return }
        let reply = await self.chain.egress.send(call)
        self.limiter.leave()
        let isWanted = self.state.withLock { state in state.life == life && Self.take(request.number, &state) != nil }
        guard isWanted else { return }
        switch reply {
        case .response(let response, let outcome):
            self.finished(call, request, outcome)
            let headers = response.headers.map { (name: $0.name, value: $0.value) }
            request.reply(
                .response(
                    HostResponse(
                        status: response.status,
                        reason: response.reason,
                        headers: headers,
                        body: response.body,
                        failedSo: outcome.failedRetryably
                    )
                )
            )
        case .failed(let failure, let outcome):
            self.finished(call, request, outcome)
            request.reply(.failed(HostFailure(failure, failedSo: outcome.failedRetryably)))
        case .outage(let outage):
            self.end(ScriptedEnding(outage: outage, destination: Self.destination(of: call)))
        }
    }

    private func finished(_ call: EgressCall, _ request: HostRequest, _ outcome: CallOutcome) {
        self.calls.finished(rule: request.rule, outcome)
        if outcome.failedRetryably {
            self.hosts.told(self.token, of: Self.destination(of: call))
        } else {
            self.hosts.gotThrough(self.token, to: Self.destination(of: call))
        }
    }

    /// What a call may wait for: where it goes.
    private static func destination(of call: EgressCall) -> String {
        (try? EgressAddress(call.request.url))?.hostAndPort ?? call.request.url
    }

    /// Ends the evaluation; nothing is told to the rule, since others may wait for what it keeps.
    ///
    /// Its other calls go on.
    private func end(_ ending: ScriptedEnding) {
        let isFirst = self.state.withLock { state in
            guard state.ending == nil else { return false }
            state.ending = ending
            return true
        }
        if isFirst { self.hosts.end(self.token, for: ending.destination) }
    }

    func waits() { self.end(.kept) }

    func requestCancelled(_ number: UInt32) {
        guard let (rule, task) = self.state.withLock({ Self.take(number, &$0) }) else { return }
        task.cancel()
        self.calls.abandoned(rule: rule)
    }

    private static func take(_ number: UInt32, _ state: inout State) -> (rule: Int, task: Task<Void, Never>)? {
        guard let (rule, bytes, task) = state.tasks.removeValue(forKey: number) else { return nil }
        state.bytes -= bytes
        return (rule, task)
    }

    func restarted() {
        self.cancelAll { state in state.life += 1 }
        self.calls.reset()
    }

    /// The evaluation is over: calls that still run have nobody to answer to.
    func finish() { self.cancelAll { state in state.isFinished = true } }

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
