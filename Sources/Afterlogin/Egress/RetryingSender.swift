import HTTPClient
import Synchronization

/// Sends a request that may leave as often as it takes: never more to one host than it may have, with a new token where an
/// old one is refused, and not at all while the host is away.
final class RetryingSender: Sendable {
    private let sender: any HTTPSender
    private let tokens: TokenProvider?
    private let policy: RetryPolicy
    /// Of one attempt.
    private let timeout: Duration
    private let perHost: Int
    private let waitsForOutages: Bool
    private let log: Log
    private let metrics: Metrics
    private let clock: any WorkerClock
    private let hosts = Mutex<[String: EgressHost]>([:])

    init(
        _ configuration: Configuration.Egress,
        _ sender: any HTTPSender,
        _ tokens: TokenProvider?,
        waitsForOutages: Bool,
        log: Log,
        metrics: Metrics,
        clock: any WorkerClock
    ) {
        self.sender = sender
        self.tokens = tokens
        self.policy = RetryPolicy(attempts: configuration.attempts, backoff: Backoff(configuration.backoff))
        self.timeout = configuration.timeout
        self.perHost = configuration.perHost
        self.waitsForOutages = waitsForOutages
        self.log = log
        self.metrics = metrics
        self.clock = clock
    }

    /// The hosts that are away now, and since when.
    var outages: [(name: String, since: ContinuousClock.Instant, reason: String)] {
        self.hosts.withLock { $0 }.compactMap { name, host in
            host.outage.map { (name, $0.since, $0.reason) }
        }
    }

    /// Sends until the reply is final, the policy has had enough, or the rule's time is over.
    func send(_ request: HTTPRequest, for call: EgressCall, to address: EgressAddress) async -> EgressReply {
        let start = self.clock.now
        let host = self.host(address)
        var request = request
        var attempt = 1
        var hasRenewed = false
        while true {
            if self.waitsForOutages, case .away(let until, let reason) = host.mayCall(self.clock.now) {
                self.observe(host, start, "outage")
                return .outage(TimedOutage(reason: "\(address.hostAndPort) \(reason)", until: until, clock: self.clock))
            }
            let remaining = call.deadline - self.clock.now
            guard remaining > .zero else {
                return self.ended(.failure(Self.timeout(address)), call, host, start, attempt)
            }
            request.timeout = min(self.timeout, remaining)
            request.connectTimeout = min(request.connectTimeout, request.timeout)
            guard await host.limiter.enter() else {
                return self.ended(.failure(Self.cancelled), call, host, start, attempt)
            }
            let result = await self.once(request)
            host.limiter.leave()
            self.note(result, host)
            if case .success(let response) = result, response.status == 401, !hasRenewed,
                let token = Self.bearer(request), let tokens = self.tokens
            {
                hasRenewed = true
                switch await tokens.renewed(token) {
                case .token(let fresh, _) where fresh != token:
                    request.headers.removeAll { $0.name.lowercased() == "authorization" }
                    request.headers.append(HTTPField("Authorization", "Bearer \(fresh)"))
                    continue
                case .outage(let outage): return .outage(outage)
                case .token, .refused, nil: break
                }
            }
            let decision = self.policy.decide(
                result,
                method: request.method,
                attempt: attempt,
                retryAfter: self.retryAfter(result),
                remaining: call.deadline - self.clock.now,
                fraction: Backoff.random()
            )
            guard case .retry(let pause) = decision, !Task.isCancelled else {
                return self.ended(result, call, host, start, attempt)
            }
            self.metrics.add(.callRetries, 1, address.hostAndPort)
            attempt += 1
            do {
                try await self.clock.sleep(until: self.clock.now.advanced(by: pause), tolerance: nil)
            } catch {
                return self.ended(.failure(Self.cancelled), call, host, start, attempt)
            }
        }
    }

    private func once(_ request: HTTPRequest) async -> Result<HTTPResponse, HTTPFailure> {
        do throws(HTTPFailure) {
            return .success(try await self.sender.send(request))
        } catch {
            return .failure(error)
        }
    }

    private func note(_ result: Result<HTTPResponse, HTTPFailure>, _ host: EgressHost) {
        switch result {
        case .success: host.answered(self.clock.now)
        case .failure(let failure):
            switch failure.kind {
            case .nameNotFound, .connectionRefused, .connectTimeout:
                host.unreachable(
                    self.clock.now,
                    "can't be reached: \(self.log.redactor.redact(failure.message, limit: 200))"
                )
            case .invalidRequest, .addressRefused, .timeout, .connectionReset, .certificate, .tls, .responseTooLarge,
                .headersTooLarge, .badResponse, .cancelled, .other:
                break
            }
        }
    }

    private func ended(
        _ result: Result<HTTPResponse, HTTPFailure>,
        _ call: EgressCall,
        _ host: EgressHost,
        _ start: ContinuousClock.Instant,
        _ attempts: Int
    ) -> EgressReply {
        switch result {
        case .success(let response):
            self.observe(host, start, EgressHost.outcomes[min(max(response.status / 100, 1), 5) - 1])
            var outcome = CallOutcome(attempts: attempts)
            guard response.status >= 400 else { return .response(response, outcome) }
            outcome.failedRetryably = RetryPolicy.isRetryable(status: response.status)
            outcome.retryAfter = self.retryAfter(result)
            outcome.summary = "\(call.request.method) \(host.name): \(response.status)"
            return .response(response, outcome)
        case .failure(let failure):
            self.observe(host, start, "failed")
            var failure = failure
            failure.message = self.log.redactor.redact(failure.message, limit: 500)
            let outcome = CallOutcome(
                failedRetryably: RetryPolicy.isRetryable(failure),
                attempts: attempts,
                summary: "\(call.request.method) \(host.name): \(failure.message)"
            )
            return .failed(failure, outcome)
        }
    }

    private func observe(_ host: EgressHost, _ start: ContinuousClock.Instant, _ outcome: String) {
        host.duration(outcome, self.metrics).observe((self.clock.now - start).inSeconds)
    }

    /// What an answer that asks for patience says, in time.
    private func retryAfter(_ result: Result<HTTPResponse, HTTPFailure>) -> Duration? {
        guard case .success(let response) = result, response.status >= 400 else { return nil }
        return RetryAfter.duration(in: response.headers, wallClock: self.clock.wallClock)
    }

    private func host(_ address: EgressAddress) -> EgressHost {
        self.hosts.withLock { hosts in
            let name = address.hostAndPort
            if let host = hosts[name] { return host }
            // With wildcards a rule can make up hosts; those that are quiet can be made anew.
            if hosts.count >= 1_000 { hosts = hosts.filter { $0.value.outage != nil } }
            let host = EgressHost(name: name, limit: self.perHost)
            hosts[name] = host
            return host
        }
    }

    private static func bearer(_ request: HTTPRequest) -> String? {
        guard let value = request.headers.first(where: { $0.name.lowercased() == "authorization" })?.value,
            value.lowercased().hasPrefix("bearer ")
        else { return nil }
        return String(value.dropFirst(7)).trimmingSpaces()
    }

    private static func timeout(_ address: EgressAddress) -> HTTPFailure {
        HTTPFailure(
            kind: .timeout,
            message: "\(address.hostAndPort): the rule's time was over before a response came",
            code: "ETIMEDOUT",
            sentBytes: true
        )
    }

    private static let cancelled = HTTPFailure(kind: .cancelled, message: "the call was cancelled", code: "ECONNRESET")
}
