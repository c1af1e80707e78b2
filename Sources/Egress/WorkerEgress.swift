import AfterloginHTTPClient
package import AfterloginHTTPMessages
import AfterloginJSON
package import AfterloginObservability
package import AfterloginSystem
package import AfterloginWaiting

/// The way out of the worker: what a rule may ask for, and with which token; what may leave goes through a `RetryingSender`.
package final class WorkerEgress: Egress {
    private let configuration: EgressSettings
    private let client: HTTPClient?
    private let allowList: AllowList
    private let tokenEndpoint: EgressAddress?
    /// The same as the configuration says it, and most rules.
    private let tokenURL: String?
    private let credentials: TokenCredentials?
    private let tokens: TokenProvider?
    private let sender: RetryingSender
    /// What is away, and who waits for it.
    package let board: DestinationBoard
    private let log: Log
    private let metrics: Metrics
    private let clock: any WorkerClock
    private let refused = Mutex<Set<String>>([])
    private let grants = Mutex(GrantMemory())

    /// With libcurl.
    ///
    /// `waitsForOutages`: logins wait where nobody waits for them (a Kafka run); else rules get the failures.
    package convenience init(
        configuration: EgressSettings,
        log: Log,
        metrics: Metrics,
        waitsForOutages: Bool = true
    ) throws(EgressProblem) {
        var client = HTTPClient.Configuration()
        client.caFile = configuration.egress.caFile
        client.maxConnectionsPerHost = configuration.egress.perHost
        client.maxBytesInFlight = configuration.egress.bodyBytes
        // Where descriptors are few, one host that hangs must not have them all.
        var configuration = configuration
        configuration.egress.perHost = min(configuration.egress.perHost, max(1, client.maxCalls / 2))
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
        configuration: EgressSettings,
        sender: any HTTPSender,
        log: Log,
        metrics: Metrics,
        waitsForOutages: Bool = true,
        clock: any WorkerClock = ContinuousClock()
    ) throws(EgressProblem) {
        try self.init(configuration, sender, nil, log, metrics, waitsForOutages, clock)
    }

    private init(
        _ configuration: EgressSettings,
        _ sender: any HTTPSender,
        _ client: HTTPClient?,
        _ log: Log,
        _ metrics: Metrics,
        _ waitsForOutages: Bool,
        _ clock: any WorkerClock
    ) throws(EgressProblem) {
        self.configuration = configuration
        self.client = client
        self.log = log
        self.metrics = metrics
        self.clock = clock
        self.credentials = try TokenCredentials(configuration.tenant)
        var allowList: AllowList
        let endpoint: EgressAddress?
        do {
            allowList = try AllowList(configuration.egress.allow)
            endpoint = try configuration.tenant.resolvedTokenURL.map { (url) throws(HTTPFailure) in
                try EgressAddress(url)
            }
            for url in configuration.tenant.ownAddresses { allowList.allow(try EgressAddress(url)) }
        } catch {
            throw EgressProblem(description: "egress.allow, tenant.domain or tenant.token_url: \(error.message)")
        }
        self.allowList = allowList
        self.tokenEndpoint = endpoint
        self.tokenURL = configuration.tenant.resolvedTokenURL
        let mayBePrivate = endpoint.map(allowList.verdict) == .allowed(special: true)
        let board = DestinationBoard(
            configuration.waiting(forOutages: waitsForOutages),
            log: log,
            clock: clock
        )
        self.board = board
        self.tokens = configuration.tenant.resolvedTokenURL.map { url in
            TokenProvider(
                endpoint: url,
                wantsForms: configuration.tenant.tokenRequest == .form,
                allowsSpecialAddresses: mayBePrivate,
                credentials: (try? TokenCredentials(configuration.tenant)) ?? nil,
                sender: sender,
                board: board,
                waitsForOutages: waitsForOutages,
                timeout: configuration.egress.timeout,
                log: log,
                metrics: metrics,
                clock: clock
            )
        }
        self.sender = RetryingSender(
            configuration.egress,
            sender,
            self.tokens,
            board: board,
            log: log,
            metrics: metrics,
            clock: clock
        )
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
        var request = Self.request(call, address)
        if let tokens = self.tokens, let grant = self.grant(of: request, address) {
            return await self.answer(call, grant, tokens)
        }
        guard case .allowed(let special) = self.allowList.verdict(address) else { return self.refuse(call, address) }
        request.url = address.url
        request.allowsSpecialAddresses = special
        request.maxResponseBytes = self.configuration.egress.maxResponseBytes
        let reply = await self.sender.send(request, for: call, to: address)
        if case .failed(let failure, _) = reply, failure.kind == .addressRefused { self.refusedAddress(call, address) }
        return reply
    }

    package func reply(to call: EgressCall) -> EgressReply? {
        // As rules write it, word for word: whatever else leads there is found by `send`.
        guard let tokens = self.tokens, let endpoint = self.tokenEndpoint, call.request.url == self.tokenURL,
            let grant = self.grant(of: call.request, endpoint), let (token, expires) = tokens.cached(grant)
        else { return nil }
        return self.tokenReply(token, expires, grant, tokens)
    }

    /// With the user information of its address, where it has no other authorization.
    private static func request(_ call: EgressCall, _ address: EgressAddress) -> HTTPRequest {
        guard let authorization = address.authorization, call.request.headers["authorization"] == nil else {
            return call.request
        }
        var request = call.request
        request.headers.append(authorization)
        return request
    }

    /// Where it is a rule's own token request.
    private func grant(of request: HTTPRequest, _ address: EgressAddress) -> TokenGrant? {
        guard let endpoint = self.tokenEndpoint, address.host == endpoint.host, address.port == endpoint.port,
            address.target == endpoint.target
        else { return nil }
        return self.grants.withLock { $0.grant(of: request) }
    }

    package func place(of call: EgressCall) -> Destination? {
        guard let address = try? EgressAddress(call.request.url) else { return nil }
        if let tokens = self.tokens, let grant = self.grant(of: Self.request(call, address), address) {
            return tokens.route(grant).answers
        }
        return Route.call(rule: call.rule, host: address.host, port: address.port).answers
    }

    package func send(_ call: EgressCall, token name: String) async -> EgressReply {
        guard let profile = self.configuration.tokens.first(where: { $0.name == name })?.profile else {
            return self.failed(
                call,
                Self.unknownToken("the configuration has no token \(name): write tokens: { \(name): { audience: … } }")
            )
        }
        guard let tokens = self.tokens, let credentials = self.credentials else {
            return self.failed(
                call,
                Self.unknownToken(
                    "the configuration names no client to fetch tokens with: set tenant.client_id and tenant.client_secret"
                )
            )
        }
        switch await self.token(for: TokenGrant(credentials, profile), tokens, call) {
        case .token(let token, _):
            var call = call
            call.request.headers["Authorization"] = "Bearer \(token)"
            return await self.send(call)
        case .away(let destination): return .away(destination)
        case .failed(let result): return self.failed(call, Self.unknownToken(Self.reason(result)))
        }
    }

    package func managementToken() async -> ManagementTokenReply {
        guard let audience = self.configuration.tenant.resolvedManagementAudience else {
            return .refused("tenant.domain is not set")
        }
        switch await self.ownToken(TokenProfile(audience: audience)) {
        case nil: return .refused("tenant.client_id is not set")
        case .token(let token, _): return .token(token)
        case .away(let destination): return .away(destination)
        case .failed(let result): return .refused(Self.reason(result))
        }
    }

    /// A call that its rule gives up while it waits for its token was not sent.
    private func token(for grant: TokenGrant, _ tokens: TokenProvider, _ call: EgressCall) async -> TokenReply {
        let reply = await tokens.token(for: grant)
        if Task.isCancelled { call.scope?.gaveUpUnsent(tokens.route(grant).answers) }
        return reply
    }

    private func ownToken(_ profile: TokenProfile) async -> TokenReply? {
        guard let tokens = self.tokens, let credentials = self.credentials else { return nil }
        return await tokens.token(for: TokenGrant(credentials, profile))
    }

    /// Asks for a token as `doctor` does: once, past the cache.
    package func probeToken() async -> String? {
        guard
            let audience = self.configuration.tokens.first?.profile.audience
                ?? self.configuration.tenant.resolvedManagementAudience
        else { return "tenant.domain is not set" }
        switch await self.ownToken(TokenProfile(audience: audience)) {
        case nil: return "tenant.client_id is not set"
        case .token: return nil
        case .away(let destination): return self.board.lastFailure(at: destination).map(Self.reason) ?? "it is away"
        case .failed(let result): return Self.reason(result)
        }
    }

    package var reach: [String]? { self.allowList.places }

    // MARK: What does not leave

    /// A rule's own token request, answered from the cache that all rules share.
    private func answer(_ call: EgressCall, _ grant: TokenGrant, _ tokens: TokenProvider) async -> EgressReply {
        switch await self.token(for: grant, tokens, call) {
        case .token(let token, let expires): return self.tokenReply(token, expires, grant, tokens)
        case .away(let destination): return .away(destination)
        case .failed(.success(let response)): return .response(response, CallOutcome())
        case .failed(.failure(let failure)): return self.failed(call, failure)
        }
    }

    /// As a token endpoint answers (RFC 6749, 5.1).
    private func tokenReply(
        _ token: String,
        _ expires: ContinuousClock.Instant,
        _ grant: TokenGrant,
        _ tokens: TokenProvider
    ) -> EgressReply {
        let seconds = max(0, (expires - self.clock.now).components.seconds)
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("access_token", token)
        writer.member("token_type", "Bearer")
        writer.member("expires_in", Int(seconds))
        if !grant.key.scope.isEmpty { writer.member("scope", grant.key.scope) }
        writer.endObject()
        let headers: HTTPFields = ["Content-Type": "application/json", "Cache-Control": "no-store"]
        let response = HTTPResponse(status: 200, reason: "OK", headers: headers, body: writer.bytes)
        return .response(response, CallOutcome(route: tokens.route(grant)))
    }

    /// A call that never left.
    private func failed(_ call: EgressCall, _ failure: HTTPFailure) -> EgressReply {
        let message = self.log.redactor.redact(failure.message, limit: 500)
        return .failed(failure, CallOutcome(summary: "\(call.request.method): \(message)"))
    }

    private func refuse(_ call: EgressCall, _ address: EgressAddress) -> EgressReply {
        // A name of the rule's choice: what it puts there is not shown by a metric either.
        let place = self.log.redactor.redact(address.hostAndPort, limit: 300)
        let host = self.log.redactor.redact(address.host, limit: 300)
        self.metrics.add(.callsRefused, 1, host, String(address.port))
        self.sayOnce("refused a call to \(place): egress.allow does not name it", call)
        let failure = HTTPFailure(
            kind: .addressRefused,
            message: "connect EACCES \(place): the host is not in egress.allow; where rules may call it, add it there",
            code: "EACCES",
            port: address.port
        )
        return .failed(
            failure,
            CallOutcome(summary: "\(call.request.method) \(place): refused by egress.allow")
        )
    }

    /// Once for each rule and text: a rule that phones home does so at every login.
    private func sayOnce(_ text: String, _ call: EgressCall) {
        let isNews = self.refused.withLock { $0.count < 1_000 && $0.insert("\(call.rule) \(text)").inserted }
        if isNews { self.log.log(.warning, text, [("rule", call.rule)]) }
    }

    /// Its name is allowed, and leads inside.
    private func refusedAddress(_ call: EgressCall, _ address: EgressAddress) {
        self.sayOnce(
            "refused a call to \(address.hostAndPort): its address is a private one; where that is meant, write "
                + "private:\(address.hostAndPort) in egress.allow",
            call
        )
    }

    private static func reason(_ result: Result<HTTPResponse, HTTPFailure>) -> String {
        switch result {
        case .success(let response): "the token endpoint answers \(response.status)\(Self.hint(response.status))"
        case .failure(let failure): "the token endpoint can't be reached: \(failure.message)"
        }
    }

    private static func hint(_ status: Int) -> String {
        switch status {
        case 400, 401, 403: ": check tenant.client_id, its secret, and that it may have tokens for this audience"
        case 404: ": check tenant.domain or tenant.token_url"
        default: ""
        }
    }

    private static func unknownToken(_ message: String) -> HTTPFailure {
        HTTPFailure(kind: .invalidRequest, message: message, code: "ERR_NO_TOKEN")
    }

    // MARK: Status

    /// The name of a destination, which a rule may have made, for people.
    package func presentable(_ destination: String) -> String { self.log.redactor.redact(destination, limit: 600) }

    package func tokenStatus() -> [TokenStatus] { self.tokens?.statuses() ?? [] }

    /// What is away now, and for how long; work that needs it waits.
    package func outages() -> [OutageStatus] { self.board.troubles() }
}

/// Something that work waits for.
package struct OutageStatus: Sendable, Hashable {
    package var name: String
    package var reason: String
    package var lasts: Duration
    /// Logins and calls.
    package var waiting: Int
    /// No host, but a token that can't be had.
    package var isToken = false
}
