package import HTTPClient
import JSON
import Synchronization

/// The way out of the worker: allow-list, token cache, limits per host, retries, then libcurl.
package final class WorkerEgress: Egress {
    private let configuration: Configuration
    private let sender: any HTTPSender
    private let client: HTTPClient?
    private let allowList: AllowList
    private let tokenEndpoint: EgressAddress?
    private let credentials: TokenCredentials?
    private let tokens: TokenProvider?
    private let policy: RetryPolicy
    private let opensCircuits: Bool
    private let log: Log
    private let metrics: Metrics
    private let clock: any WorkerClock
    private let hosts = Mutex<[String: EgressHost]>([:])
    private let refused = Mutex<Set<String>>([])

    /// With libcurl.
    ///
    /// `waitsForOutages`: logins wait where nobody waits for them (a Kafka run); else rules get the failures.
    package convenience init(
        configuration: Configuration,
        log: Log,
        metrics: Metrics,
        waitsForOutages: Bool = true
    ) throws(EgressProblem) {
        var client = HTTPClient.Configuration()
        client.caFile = configuration.egress.caFile
        client.maxConnectionsPerHost = configuration.egress.perHost
        do {
            let client = try HTTPClient(configuration: client)
            try self.init(configuration, client, client, log, metrics, waitsForOutages, ContinuousClock())
        } catch let problem as EgressProblem {
            throw problem
        } catch let failure as HTTPFailure {
            throw EgressProblem(description: "egress.ca_file: \(failure.message)")
        } catch {
            throw EgressProblem(description: "\(error)")
        }
    }

    /// With a sender of a test's.
    package convenience init(
        configuration: Configuration,
        sender: any HTTPSender,
        log: Log,
        metrics: Metrics,
        waitsForOutages: Bool = true,
        clock: any WorkerClock = ContinuousClock()
    ) throws(EgressProblem) {
        try self.init(configuration, sender, nil, log, metrics, waitsForOutages, clock)
    }

    private init(
        _ configuration: Configuration,
        _ sender: any HTTPSender,
        _ client: HTTPClient?,
        _ log: Log,
        _ metrics: Metrics,
        _ waitsForOutages: Bool,
        _ clock: any WorkerClock
    ) throws(EgressProblem) {
        self.configuration = configuration
        self.sender = sender
        self.client = client
        self.log = log
        self.metrics = metrics
        self.clock = clock
        self.opensCircuits = waitsForOutages
        self.policy = RetryPolicy(
            attempts: configuration.egress.attempts,
            backoff: Backoff(configuration.egress.backoff)
        )
        self.credentials = try TokenCredentials(configuration.tenant)
        do {
            var allowList = try AllowList(configuration.egress.allow)
            self.tokenEndpoint = try configuration.tenant.resolvedTokenURL.map { (url) throws(HTTPFailure) in
                try EgressAddress(url)
            }
            if let endpoint = self.tokenEndpoint { allowList.allow(endpoint) }
            if let domain = configuration.tenant.domain { allowList.allow(try EgressAddress("https://\(domain)")) }
            self.allowList = allowList
        } catch {
            throw EgressProblem(description: "egress.allow or tenant: \(error.message)")
        }
        self.tokens = configuration.tenant.resolvedTokenURL.map { url in
            TokenProvider(
                endpoint: url,
                credentials: (try? TokenCredentials(configuration.tenant)) ?? nil,
                sender: sender,
                pausesWhenRefused: waitsForOutages,
                timeout: configuration.egress.timeout,
                log: log,
                metrics: metrics,
                clock: clock
            )
        }
    }

    package func shutdown() async { await self.client?.shutdown() }

    /// Calls back from the client's thread.
    package func ping(_ answer: @escaping @Sendable () -> Void) {
        if let client = self.client { client.ping(answer) } else { answer() }
    }

    // MARK: Egress

    package func send(_ call: EgressCall) async -> EgressReply {
        let address: EgressAddress
        do {
            address = try EgressAddress(call.request.url)
        } catch {
            return self.failed(call, error)
        }
        if let endpoint = self.tokenEndpoint, address.host == endpoint.host, address.port == endpoint.port,
            address.target == endpoint.target, let tokens = self.tokens, let grant = TokenGrant(of: call.request)
        {
            return await self.answer(call, grant, tokens)
        }
        guard case .allowed(let special) = self.allowList.verdict(address) else { return self.refuse(call, address) }
        var request = call.request
        request.url = address.url
        if let authorization = address.authorization,
            !request.headers.contains(where: { $0.name.lowercased() == "authorization" })
        {
            request.headers.append(authorization)
        }
        request.allowsSpecialAddresses = special
        request.maxResponseBytes = self.configuration.egress.maxResponseBytes
        return await self.send(request, call, address)
    }

    package func send(_ call: EgressCall, token name: String) async -> EgressReply {
        guard let profile = self.configuration.tokens.first(where: { $0.name == name })?.profile else {
            return self.failed(call, Self.unknownToken("tokens has no \(name)"))
        }
        switch await self.ownToken(profile) {
        case nil: return self.failed(call, Self.unknownToken("tenant names no client, so there are no tokens"))
        case .token(let token, _):
            var call = call
            call.request.headers.removeAll { $0.name.lowercased() == "authorization" }
            call.request.headers.append(HTTPField("Authorization", "Bearer \(token)"))
            return await self.send(call)
        case .outage(let outage): return .outage(outage)
        case .refused(let response):
            return self.failed(call, Self.unknownToken("the token endpoint answers \(response.status)"))
        }
    }

    package func managementToken(deadline: ContinuousClock.Instant) async -> ManagementTokenReply {
        guard let audience = self.configuration.tenant.resolvedManagementAudience else {
            return .refused("tenant.domain is not set")
        }
        switch await self.ownToken(Configuration.TokenProfile(audience: audience)) {
        case nil: return .refused("tenant.client_id is not set")
        case .token(let token, _): return .token(token)
        case .outage(let outage): return .outage(outage)
        case .refused(let response): return .refused("the token endpoint answers \(response.status)")
        }
    }

    private func ownToken(_ profile: Configuration.TokenProfile) async -> TokenReply? {
        guard let tokens = self.tokens, let credentials = self.credentials else { return nil }
        return await tokens.token(for: TokenGrant(credentials, profile))
    }

    /// Asks for a token as `doctor` does: once, past the cache.
    package func probeToken() async -> String? {
        guard
            let audience = self.configuration.tokens.first?.profile.audience
                ?? self.configuration.tenant.resolvedManagementAudience
        else { return "tenant.domain is not set" }
        switch await self.ownToken(Configuration.TokenProfile(audience: audience)) {
        case nil: return "tenant.client_id is not set"
        case .token: return nil
        case .outage(let outage): return outage.reason
        case .refused(let response): return "the token endpoint answers \(response.status)"
        }
    }

    // MARK: One call

    /// A rule's own token request, answered from the cache that all rules share.
    private func answer(_ call: EgressCall, _ grant: TokenGrant, _ tokens: TokenProvider) async -> EgressReply {
        switch await tokens.token(for: grant) {
        case .token(let token, let expires):
            let seconds = max(0, (expires - self.clock.now).components.seconds)
            var members: [(name: String, value: JSONValue)] = [
                ("access_token", .string(token)), ("token_type", "Bearer"),
                ("expires_in", .number(JSONNumber(Int(seconds)))),
            ]
            if !grant.key.scope.isEmpty { members.append(("scope", .string(grant.key.scope))) }
            let headers = [HTTPField("Content-Type", "application/json"), HTTPField("Cache-Control", "no-store")]
            let response = HTTPResponse(
                status: 200,
                reason: "OK",
                headers: headers,
                body: JSONValue(members).serialized()
            )
            return .response(response, CallOutcome())
        case .outage(let outage): return .outage(outage)
        case .refused(let response): return .response(response, CallOutcome())
        }
    }

    private func send(_ request: HTTPRequest, _ call: EgressCall, _ address: EgressAddress) async -> EgressReply {
        let start = self.clock.now
        let host = self.host(address)
        var request = request
        var attempt = 1
        var hasRenewed = false
        while true {
            if self.opensCircuits, case .away(let until, let reason) = host.mayCall(self.clock.now) {
                self.observe(host, start, "outage")
                return .outage(TimedOutage(reason: "\(address.hostAndPort) \(reason)", until: until, clock: self.clock))
            }
            let remaining = call.deadline - self.clock.now
            guard remaining > .zero else {
                return self.ended(.failure(Self.timeout(address)), call, host, start, attempt)
            }
            request.timeout = min(self.configuration.egress.timeout, remaining)
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

    /// A call that never left.
    private func failed(_ call: EgressCall, _ failure: HTTPFailure) -> EgressReply {
        let message = self.log.redactor.redact(failure.message, limit: 500)
        return .failed(failure, CallOutcome(summary: "\(call.request.method): \(message)"))
    }

    private func refuse(_ call: EgressCall, _ address: EgressAddress) -> EgressReply {
        self.metrics.add(.callsRefused, 1, address.hostAndPort)
        // Once for each rule and host: a rule that phones home does so at every login.
        let isNews = self.refused.withLock {
            $0.count < 1_000 && $0.insert("\(call.rule) \(address.hostAndPort)").inserted
        }
        if isNews {
            self.log.log(
                .warning,
                "refused a call to \(address.hostAndPort): egress.allow does not name it",
                [("rule", call.rule)]
            )
        }
        let failure = HTTPFailure(
            kind: .addressRefused,
            message: "connect EACCES \(address.hostAndPort): the host is not in egress.allow",
            code: "EACCES",
            port: address.port
        )
        return .failed(
            failure,
            CallOutcome(summary: "\(call.request.method) \(address.hostAndPort): refused by egress.allow")
        )
    }

    private func host(_ address: EgressAddress) -> EgressHost {
        self.hosts.withLock { hosts in
            let name = address.hostAndPort
            if let host = hosts[name] { return host }
            // With wildcards a rule can make up hosts; those that are quiet can be made anew.
            if hosts.count >= 1_000 { hosts = hosts.filter { $0.value.outage != nil } }
            let host = EgressHost(name: name, limit: self.configuration.egress.perHost)
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

    private static func unknownToken(_ message: String) -> HTTPFailure {
        HTTPFailure(kind: .invalidRequest, message: message, code: "ERR_NO_TOKEN")
    }

    // MARK: Status

    package func tokenStatus() -> [TokenStatus] { self.tokens?.statuses() ?? [] }

    /// What is away now, and for how long; work that needs it waits.
    package func outages() -> [OutageStatus] {
        let now = self.clock.now
        var outages = self.tokenStatus().compactMap { status in
            status.awayFor.map {
                OutageStatus(name: "token endpoint, \(status.audience)", reason: status.lastError ?? "", lasts: $0)
            }
        }
        for (name, host) in self.hosts.withLock({ $0 }) {
            guard let outage = host.outage else { continue }
            outages.append(OutageStatus(name: name, reason: outage.reason, lasts: now - outage.since))
        }
        return outages.sorted { $0.name < $1.name }
    }
}

/// Something that work waits for.
package struct OutageStatus: Sendable, Hashable {
    package var name: String
    package var reason: String
    package var lasts: Duration
}
