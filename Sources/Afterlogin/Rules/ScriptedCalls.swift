import HTTPClient
import JSON
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

    func requestMade(_ request: HostRequest) {
        let head = try? JSONText(validating: request.head)
        guard let parts = head?.members(["rule", "method", "url", "headers", "remaining"]),
            let rule = parts[0]?.integer, let name = self.names[rule], let method = parts[1]?.string,
            let url = parts[2]?.string
        else {
            request.reply(.failed(Self.failure("EPROTO", "the rule host asked for nonsense")))
            return
        }
        var outgoing = HTTPRequest(method, url, headers: Self.fields(parts[3]), body: request.body)
        outgoing.decompresses = false
        let remaining = parts[4]?.integer.map { Duration.milliseconds($0) } ?? self.chain.timeout
        let call = EgressCall(rule: name, request: outgoing, deadline: .now + min(remaining, self.chain.timeout))
        self.calls.started(rule: rule)
        let isTooMuch = self.state.withLock { state in
            let bytes = state.bytes + request.body.count
            guard !state.isFinished else { return false }
            guard state.tasks.count < Self.maxOpen, bytes <= Self.maxOpenBytes, state.tasks[request.number] == nil
            else {
                return true
            }
            let life = state.life
            let task = Task { await self.run(call, rule, request, life) }
            state.tasks[request.number] = (rule, request.body.count, task)
            state.bytes = bytes
            return false
        }
        guard isTooMuch else { return }
        self.calls.finished(rule: rule, CallOutcome())
        let limits = "\(Self.maxOpen) calls or \(Self.maxOpenBytes >> 20) MB"
        request.reply(.failed(Self.failure("ELIMIT", "more than \(limits) of one login wait for an answer")))
    }

    private func run(_ call: EgressCall, _ rule: Int, _ request: HostRequest, _ life: Int) async {
        guard await self.limiter.enter() else { return }
        let reply = await self.chain.egress.send(call)
        self.limiter.leave()
        let isWanted = self.state.withLock { state in state.life == life && Self.take(request.number, &state) != nil }
        guard isWanted else { return }
        switch reply {
        case .response(let response, let outcome):
            self.calls.finished(rule: rule, outcome)
            request.reply(.response(head: Self.head(response), body: response.body))
            response.hold?.release()
        case .failed(let failure, let outcome):
            self.calls.finished(rule: rule, outcome)
            request.reply(.failed(Self.failure(failure)))
        case .outage(let outage):
            if self.calls.met(outage) { self.hosts.cancel(self.token) }
        }
    }

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

    func consolePrinted(_ line: [UInt8]) {
        guard let line = try? JSONText(validating: line) else { return }
        let level: Log.Level =
            switch line["level"]?.string {
            case "error": .error
            case "warn": .warning
            case "debug", "trace": .debug
            case .some, nil: .info
            }
        self.chain.log.log(level, line["text"]?.string ?? "", [("rule", line.ruleName { self.names[$0] })])
    }

    func warned(_ warning: [UInt8]) {
        self.chain.log.log(warning: warning) { self.names[$0] }
    }

    private static func fields(_ headers: JSONText?) -> [HTTPField] {
        (headers?.elements ?? []).compactMap { pair in
            let parts = pair.elements
            guard parts.count == 2, let name = parts[0].string, let value = parts[1].string else { return nil }
            return HTTPField(name, value)
        }
    }

    private static func head(_ response: HTTPResponse) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("status", response.status)
        writer.member("reason", response.reason)
        writer.name("headers")
        writer.beginArray()
        for field in response.headers {
            writer.beginArray()
            writer.append(field.name)
            writer.append(field.value)
            writer.endArray()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    private static func failure(_ failure: HTTPFailure) -> [UInt8] {
        let syscall =
            switch failure.kind {
            case .nameNotFound: "getaddrinfo"
            case .connectionRefused, .connectTimeout, .addressRefused: "connect"
            case .connectionReset, .timeout: "read"
            case .invalidRequest, .certificate, .tls, .responseTooLarge, .headersTooLarge, .badResponse, .cancelled,
                .other:
                ""
            }
        return self.failure(failure.code, failure.message, syscall, failure.address, failure.port)
    }

    private static func failure(
        _ code: String,
        _ message: String,
        _ syscall: String = "",
        _ address: String? = nil,
        _ port: Int? = nil
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("code", code)
        writer.member("message", message)
        if !syscall.isEmpty {
            writer.member("syscall", syscall)
        }
        if let address {
            writer.member("address", address)
        }
        if let port {
            writer.member("port", port)
        }
        writer.endObject()
        return writer.bytes
    }
}

extension Log {
    /// Logs the payload of a frame `warning`.
    func log(warning: [UInt8], name: (Int) -> String?) {
        guard let warning = try? JSONText(validating: warning) else { return }
        self.log(
            .warning,
            warning["text"]?.string ?? "",
            [("rule", warning.ruleName(name)), ("kind", warning["kind"]?.string ?? "")]
        )
    }
}

extension JSONText {
    /// The rule that a message of a host is about.
    fileprivate func ruleName(_ name: (Int) -> String?) -> String {
        self["rule"]?.integer.flatMap(name) ?? "unknown"
    }
}
