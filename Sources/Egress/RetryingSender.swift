import AfterloginHTTPMessages
import AfterloginObservability
import AfterloginSystem
import AfterloginWaiting

/// Sends a request that may leave: when its destination lets it, as often as its pace asks for, again where that is safe, and with a new token where an old one is refused.
final class RetryingSender: Sendable {
    private let sender: any HTTPSender
    private let tokens: TokenProvider?
    private let board: DestinationBoard
    private let policy: RetryPolicy
    /// Of one attempt.
    private let timeout: Duration
    private let log: Log
    private let metrics: Metrics
    private let clock: any WorkerClock
    private let durations = Mutex<[String: CallDurations]>([:])

    init(
        _ configuration: CallSettings,
        _ sender: any HTTPSender,
        _ tokens: TokenProvider?,
        board: DestinationBoard,
        log: Log,
        metrics: Metrics,
        clock: any WorkerClock
    ) {
        self.sender = sender
        self.tokens = tokens
        self.board = board
        self.policy = RetryPolicy(attempts: configuration.attempts, backoff: configuration.backoff)
        self.timeout = configuration.timeout
        self.log = log
        self.metrics = metrics
        self.clock = clock
    }

    /// One call on its way, with what it has come to so far.
    private struct Sending {
        var request: HTTPRequest
        let call: EgressCall
        let address: EgressAddress
        let route: Route
        let start: ContinuousClock.Instant
        var attempts = 0
        var hasRenewed = false
    }

    /// What a call that was let through came to.
    private enum Ending {
        case result(Result<HTTPResponse, HTTPFailure>, CallEnding)
        case away(Destination)
    }

    /// Sends until the reply is final, its destination is away, or the rule's time is over.
    package func send(_ request: HTTPRequest, for call: EgressCall, to address: EgressAddress) async -> EgressReply {
        let route = Route.call(rule: call.rule, host: address.host, port: address.port)
        var sending = Sending(request: request, call: call, address: address, route: route, start: self.clock.now)
        while true {
            switch await self.board.enter(route, call.scope, deadline: call.deadline) {
            case .away(let destination): return self.away(destination, sending)
            case .tellNow(let destination, let result):
                let failure: CallEnding.Failure = if case .connection = destination { .connection } else { .answer }
                call.scope?.login.callFailed(at: destination, failure, isForgiven: true, now: self.clock.now)
                return self.told(result, sending, failedSo: false, failedAt: destination)
            case .cancelled:
                call.scope?.gaveUpUnsent(route.answers)
                return self.told(.failure(Self.cancelled), sending, failedSo: false)
            case .send(let ticket):
                if let reply = await self.send(&sending, ticket) { return reply }
            }
        }
    }

    /// Nil where the call is to be sent again when its pace allows.
    private func send(_ sending: inout Sending, _ ticket: CallTicket) async -> EgressReply? {
        let ending = await self.attempts(&sending)
        guard case .result(let result, let callEnding) = ending else {
            guard case .away(let destination) = ending else { return nil }
            _ = self.board.ended(ticket, .undecided, .failure(Self.cancelled), error: "", sending.call.scope)
            return self.away(destination, sending)
        }
        let end = self.board.ended(
            ticket,
            callEnding,
            result,
            error: self.summary(result, sending),
            sending.call.scope
        )
        if end.verdict.consequence == .sentAgain {
            self.countRetry(sending)
            return nil
        }
        if end.verdict.consequence == .dropped { sending.call.scope?.gaveUpUnsent(ticket.call.route.answers) }
        guard let failed = end.failed else { return self.told(result, sending, failedSo: false) }
        // What is away is told to nobody: the login waits, and its rule host never hears of it.
        if !end.isForgiven, failed.failure != .application, self.board.isAway(failed.destination) {
            return self.away(failed.destination, sending)
        }
        guard let scope = sending.call.scope, !scope.isDiscarded else {
            return self.told(result, sending, failedSo: false, failedAt: failed.destination)
        }
        scope.login.callFailed(at: failed.destination, failed.failure, isForgiven: end.isForgiven, now: self.clock.now)
        return self.told(result, sending, failedSo: !end.isForgiven, failedAt: failed.destination)
    }

    /// The attempts inside of one call: they are no calls of their own.
    private func attempts(_ sending: inout Sending) async -> Ending {
        // What is given up after an attempt has failed has failed as that did.
        var failed: CallEnding?
        while true {
            sending.attempts += 1
            let begun = self.clock.now
            let remaining = sending.call.deadline - begun
            guard remaining > .zero else {
                let isUnsent = sending.attempts == 1
                return .result(
                    .failure(Self.timeout(sending.address)),
                    isUnsent ? .givenUpUnsent : failed ?? .undecided
                )
            }
            sending.request.timeout = min(self.timeout, remaining)
            sending.request.connectTimeout = min(sending.request.connectTimeout, sending.request.timeout)
            let result: Result<HTTPResponse, HTTPFailure>
            do throws(HTTPFailure) {
                result = .success(try await self.sender.send(sending.request))
            } catch {
                result = .failure(error)
            }
            if case .success(let response) = result, response.status == 401, !sending.hasRenewed {
                switch await self.renewed(&sending) {
                case .token: continue
                case .away(let destination): return .away(destination)
                case .givenUp: return .result(.failure(Self.cancelled), .givenUpUnsent)
                case .refused: break
                }
            }
            var ending = self.ending(result, sending, begun: begun)
            if case .givenUpUnanswered = ending, let failed { ending = failed }
            let decision = self.policy.decide(
                result,
                ending,
                method: sending.request.method,
                attempt: sending.attempts,
                remaining: sending.call.deadline - self.clock.now,
                fraction: Backoff.random()
            )
            guard case .retry(let pause) = decision, !Task.isCancelled,
                sending.route.destination(failing: ending).map(self.board.isAway) != true
            else { return .result(result, ending) }
            self.countRetry(sending)
            do {
                try await self.clock.sleep(until: self.clock.now.advanced(by: pause), tolerance: nil)
            } catch {
                let isDiscarded = sending.call.scope?.isDiscarded == true
                return .result(.failure(Self.cancelled), isDiscarded ? .undecided : ending)
            }
            failed = ending
        }
    }

    /// Which row of the table it is.
    private func ending(
        _ result: Result<HTTPResponse, HTTPFailure>,
        _ sending: Sending,
        begun: ContinuousClock.Instant
    ) -> CallEnding {
        switch result {
        case .success(let response):
            let retryAfter =
                response.status >= 400
                ? RetryAfter.duration(in: response.headers, wallClock: self.clock.wallClock) : nil
            return .of(status: response.status, retryAfter: retryAfter)
        case .failure(let failure) where failure.wasHeldBack: return .givenUpUnsent
        case .failure(let failure):
            switch failure.kind {
            case .cancelled: return self.givenUp(sending, since: begun)
            // The rule's own time was shorter than that of the attempt: it gave up.
            case .timeout where sending.request.timeout < self.timeout: return self.givenUp(sending, since: begun)
            case .nameNotFound, .connectionRefused, .connectTimeout, .timeout, .connectionReset, .certificate, .tls,
                .responseTooLarge, .headersTooLarge, .badResponse, .addressRefused, .invalidRequest, .other:
                return .of(CallFailure(failure))
            }
        }
    }

    private func givenUp(_ sending: Sending, since begun: ContinuousClock.Instant) -> CallEnding {
        sending.call.scope?.isDiscarded == true ? .undecided : .givenUpUnanswered(after: self.clock.now - begun)
    }

    private enum Renewal {
        case token
        case away(Destination)
        /// The rule gave the call up while it waited for the token.
        case givenUp
        case refused
    }

    /// An API answered 401: where the token was ours, a new one, once in a call.
    private func renewed(_ sending: inout Sending) async -> Renewal {
        guard let token = Self.bearer(sending.request), let tokens = self.tokens else { return .refused }
        sending.hasRenewed = true
        let reply = await tokens.renewed(token)
        if Task.isCancelled, reply != nil { return .givenUp }
        switch reply {
        case .token(let fresh, _) where fresh != token:
            sending.request.headers["Authorization"] = "Bearer \(fresh)"
            return .token
        case .away(let destination): return .away(destination)
        case .token, .failed, nil: return .refused
        }
    }

    // MARK: What the rule hears

    private func away(_ destination: Destination, _ sending: Sending) -> EgressReply {
        self.observe(sending, .away)
        return .away(destination)
    }

    private func told(
        _ result: Result<HTTPResponse, HTTPFailure>,
        _ sending: Sending,
        failedSo: Bool,
        failedAt: Destination? = nil
    ) -> EgressReply {
        // Of a call that never left nothing can be said.
        let route = sending.attempts > 0 ? sending.route : nil
        var outcome = CallOutcome(failedSo: failedSo, failedAt: failedAt, route: route, attempts: sending.attempts)
        switch result {
        case .success(let response):
            self.observe(sending, .answered(status: response.status))
            if response.status >= 400 { outcome.summary = self.summary(result, sending) }
            return .response(response, outcome)
        case .failure(var failure):
            self.observe(sending, .failed(failure.kind))
            failure.message = self.log.redactor.redact(failure.message, limit: 500)
            outcome.summary = self.summary(result, sending)
            return .failed(failure, outcome)
        }
    }

    /// For people: method, host, and what happened.
    private func summary(_ result: Result<HTTPResponse, HTTPFailure>, _ sending: Sending) -> String {
        let place = "\(sending.call.request.method) \(sending.address.hostAndPort)"
        // With wildcards the host is a name of the rule's making, as the method is.
        switch result {
        case .success(let response) where response.status < 400: return "\(place): \(response.status)"
        case .success(let response): return self.log.redactor.redact("\(place): \(response.status)", limit: 500)
        case .failure(let failure): return self.log.redactor.redact("\(place): \(failure.message)", limit: 500)
        }
    }

    private func countRetry(_ sending: Sending) {
        let host = self.log.redactor.redact(sending.address.host, limit: 300)
        self.metrics.add(.callRetries, 1, host, String(sending.address.port))
    }

    private func observe(_ sending: Sending, _ ending: CallDurations.Ending) {
        let name = sending.address.hostAndPort
        let series = self.durations.withLock { durations in
            // With wildcards a rule can make up hosts.
            if durations.count >= 1_000, durations[name] == nil { durations.removeAll() }
            // What is shown of it is made once.
            let host = durations[name] == nil ? self.log.redactor.redact(sending.address.host, limit: 300) : ""
            return durations[name, default: CallDurations(host: host, port: sending.address.port)]
                .series(ending, self.metrics)
        }
        series.observe((self.clock.now - sending.start).inSeconds)
    }

    private static func bearer(_ request: HTTPRequest) -> String? {
        guard let value = request.headers["authorization"], value.prefix(7).lowercased() == "bearer " else {
            return nil
        }
        return String(value.dropFirst(7)).trimmingSpaces()
    }

    private static func timeout(_ address: EgressAddress) -> HTTPFailure {
        HTTPFailure(
            kind: .timeout,
            message: "\(address.hostAndPort): the rule's time (rules.timeout) was over before a response came",
            code: "ETIMEDOUT",
            sentBytes: true
        )
    }

    private static let cancelled = HTTPFailure(kind: .cancelled, message: "the call was cancelled", code: "ECONNRESET")
}

extension CallFailure {
    /// What libcurl's failure is in the model of waiting.
    init(_ failure: HTTPFailure) {
        self =
            switch failure.kind {
            case .nameNotFound: .nameNotFound
            case .connectionRefused: .connectionRefused
            case .connectTimeout: .connectTimeout
            case .timeout: .timeout
            case .connectionReset: .connectionReset
            case .certificate: .certificate
            case .tls: .tls
            case .responseTooLarge, .headersTooLarge: .responseTooLarge
            case .badResponse: .badResponse
            // A name led inside: who answers for it may have lost it for a while, or the configuration is yet to allow it.
            case .addressRefused: .connectFailed
            case .invalidRequest, .cancelled: .invalidRequest
            case .other: failure.sentBytes ? .other : .connectFailed
            }
    }
}
