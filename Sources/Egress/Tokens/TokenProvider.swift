import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginObservability
import AfterloginSystem
import AfterloginWaiting

/// A token, or why there is none.
enum TokenReply: Sendable {
    case token(String, expires: ContinuousClock.Instant)
    /// There is none to be had now: the login waits for this.
    case away(Destination)
    /// There is none, and the rule is to hear why.
    case failed(Result<HTTPResponse, HTTPFailure>)
}

/// Access tokens by client credentials: one fetch at a time for each grant, refreshed ahead, shared by all rules.
final class TokenProvider: Sendable {
    private struct State {
        var entries: [TokenGrant.Key: TokenEntry] = [:]
        var waiters: [TokenGrant.Key: [CheckedContinuation<TokenReply, Never>]] = [:]
        /// Which grant a token came from, for 401.
        var origins: [String: TokenGrant] = [:]
        /// Which grant is asked for to find out whether it can be had again.
        var places: [Destination: TokenGrant] = [:]
        /// Their texts, made once: rules ask for the same token at each login.
        var routes: [TokenGrant.Key: Route] = [:]
    }

    /// Grants that are remembered; a rule could ask for a new one every time.
    private static let maxEntries = 1_000
    static let maxResponseBytes = 256 << 10

    private let sender: any HTTPSender
    private let credentials: TokenCredentials?
    private let endpoint: String
    /// The endpoint reads forms and nothing else (`tenant.token_request`).
    private let wantsForms: Bool
    /// Its entry in `egress.allow` says that its address may be a private one, or it is a numeric one.
    private let allowsSpecialAddresses: Bool
    private let board: DestinationBoard
    /// Whether logins wait for a token that is not to be had, or rules hear why.
    private let waitsForOutages: Bool
    private let timeout: Duration
    private let log: Log
    private let metrics: Metrics
    private let clock: any WorkerClock
    private let random: @Sendable () -> Double
    private let state = Mutex(State())

    init(
        endpoint: String,
        wantsForms: Bool = false,
        allowsSpecialAddresses: Bool,
        credentials: TokenCredentials?,
        sender: any HTTPSender,
        board: DestinationBoard,
        waitsForOutages: Bool,
        timeout: Duration,
        log: Log,
        metrics: Metrics,
        clock: any WorkerClock = ContinuousClock(),
        random: @escaping @Sendable () -> Double = Backoff.random
    ) {
        self.endpoint = endpoint
        self.wantsForms = wantsForms
        self.allowsSpecialAddresses = allowsSpecialAddresses
        self.credentials = credentials
        self.sender = sender
        self.board = board
        self.waitsForOutages = waitsForOutages
        self.timeout = timeout
        self.log = log
        self.metrics = metrics
        self.clock = clock
        self.random = random
        board.probeTokens { [weak self] destination in
            guard let self else { return }
            Task { await self.probe(destination) }
        }
    }

    /// A token for the grant, from the cache or the endpoint; all who ask meanwhile wait for one fetch.
    func token(for grant: TokenGrant) async -> TokenReply {
        let now = self.clock.now
        let decision = self.state.withLock { state in
            self.makeRoom(&state)
            return state.entries[grant.key, default: TokenEntry()].asked(now)
        }
        switch decision {
        case .use(let token, let expires): return .token(token, expires: expires)
        case .useAndRefresh(let token, let expires):
            Task { await self.fetch(grant) }
            return .token(token, expires: expires)
        case .fetch:
            // Of its own, so that the caller's cancellation does not take the token from the others.
            return await Task { await self.fetch(grant) }.value
        case .join:
            return await withCheckedContinuation { continuation in
                let isStillFetching = self.state.withLock { state in
                    guard state.entries[grant.key]?.isFetching == true else { return false }
                    state.waiters[grant.key, default: []].append(continuation)
                    return true
                }
                // It ended between the two locks: ask again.
                if !isStillFetching { Task { continuation.resume(returning: await self.token(for: grant)) } }
            }
        }
    }

    /// The token, where there is one that needs no refreshing yet.
    func cached(_ grant: TokenGrant) -> (token: String, expires: ContinuousClock.Instant)? {
        let now = self.clock.now
        return self.state.withLock { $0.entries[grant.key]?.fresh(now) }
    }

    /// An API said 401 to a token of ours: a new one, fetched once however many calls say so; nil when the token is not ours.
    func renewed(_ token: String) async -> TokenReply? {
        let now = self.clock.now
        let grant = self.state.withLock { state -> TokenGrant? in
            guard let grant = state.origins[token] else { return nil }
            _ = state.entries[grant.key]?.rejected(token, now: now)
            return grant
        }
        guard let grant else { return nil }
        return await self.token(for: grant)
    }

    /// Asks again for what logins wait for.
    private func probe(_ destination: Destination) async {
        guard let grant = self.state.withLock({ $0.places[destination] }) else { return }
        _ = await self.token(for: grant)
    }

    /// What waits for a token waits for this; its text names no secret.
    func route(_ grant: TokenGrant) -> Route {
        if let route = self.state.withLock({ $0.routes[grant.key] }) { return route }
        let route = self.makeRoute(grant.key)
        self.state.withLock { state in
            if state.routes.count >= Self.maxEntries { state.routes.removeAll() }
            state.routes[grant.key] = route
        }
        return route
    }

    private func makeRoute(_ key: TokenGrant.Key) -> Route {
        // Names of a rule's choice, which log, metrics and status show.
        var name = "of \(self.endpoint) for \(key.audience.isEmpty ? "no audience" : key.audience)"
        if !key.scope.isEmpty { name += ", scope \(key.scope)" }
        if !key.organization.isEmpty { name += ", organization \(key.organization)" }
        // Rules may ask for the same with other credentials.
        let number = String(UInt32(truncatingIfNeeded: key.hashValue), radix: 16)
        return Route.grant("\(self.log.redactor.redact(name, limit: 480)) (\(number))")
    }

    private func makeRoom(_ state: inout State) {
        guard state.entries.count >= Self.maxEntries else { return }
        let idle = state.entries.filter { !$0.value.isFetching }.keys
        for key in idle.prefix(Self.maxEntries / 10) {
            state.entries[key] = nil
            state.origins = state.origins.filter { $0.value.key != key }
        }
    }

    // MARK: The fetch

    @discardableResult
    private func fetch(_ grant: TokenGrant) async -> TokenReply {
        let reply = await self.fetchOnce(grant)
        let waiters = self.state.withLock { $0.waiters.removeValue(forKey: grant.key) ?? [] }
        for waiter in waiters { waiter.resume(returning: reply) }
        return reply
    }

    /// Asks as often as the endpoint's pace allows at once; a pause makes logins wait as any outage does.
    private func fetchOnce(_ grant: TokenGrant) async -> TokenReply {
        let route = self.route(grant)
        self.state.withLock { state in
            if state.places.count >= Self.maxEntries { state.places.removeAll() }
            state.places[route.answers] = grant
        }
        switch await self.board.enter(route, nil, deadline: self.clock.now) {
        case .send(let ticket): return await self.ask(grant, ticket)
        case .away(let destination):
            self.postponed(grant)
            return .away(destination)
        case .tellNow(_, let result):
            self.postponed(grant)
            return .failed(result)
        case .cancelled:
            self.postponed(grant)
            return .away(route.answers)
        }
    }

    private func postponed(_ grant: TokenGrant) {
        self.state.withLock { $0.entries[grant.key]?.postponed() }
    }

    private func ask(_ grant: TokenGrant, _ ticket: CallTicket) async -> TokenReply {
        let response: HTTPResponse
        do {
            response = try await self.sender.send(try self.request(grant))
        } catch let failure as HTTPFailure {
            return self.failed(grant, ticket, "can't be reached: \(failure.message)", .failure(failure), .tokenRefused)
        } catch {
            let failure = HTTPFailure(kind: .invalidRequest, message: "\(error)", code: "ERR_NO_TOKEN")
            return self.failed(grant, ticket, "can't be asked: \(error)", .failure(failure), .tokenRefused)
        }
        guard (200..<300).contains(response.status) else {
            let reason = "answers \(response.status)\(Self.error(in: response))"
            let retryAfter = RetryAfter.duration(in: response.headers, wallClock: self.clock.wallClock)
            let ending = CallEnding.of(status: response.status, retryAfter: retryAfter, hasToken: false)
            // Whatever it is: a rule that is told of it may keep the answer for all logins.
            if case .pace = ending { return self.failed(grant, ticket, reason, .success(response), ending) }
            return self.failed(grant, ticket, reason, .success(response), .tokenRefused)
        }
        let body = try? JSONText(validating: response.body)
        guard let token = body?["access_token"]?.string, !token.isEmpty,
            token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else {
            return self.failed(grant, ticket, "answers without an access_token", .success(response), .tokenRefused)
        }
        // RFC 6749, 5.1: recommended, not required. A number in a string is seen in the wild.
        let text = body?["expires_in"].map { $0.string ?? String(decoding: $0.bytes, as: UTF8.self) }
        let life = Duration.seconds(min(max(text.flatMap { Double($0) } ?? 300, 1), 31_536_000))
        let reply = self.fetched(grant, token, life)
        _ = self.board.ended(ticket, .gotThrough, .success(response), error: "", nil)
        return reply
    }

    private func request(_ grant: TokenGrant) throws -> HTTPRequest {
        var request: HTTPRequest
        if let own = grant.request {
            request = self.wantsForms ? grant.inForm(own) : own
            request.url = self.endpoint
            request.decompresses = true
            request.headers["accept-encoding"] = nil
        } else if let credentials = self.credentials {
            request = try credentials.request(for: grant.key, wallClock: self.clock.wallClock)
        } else {
            throw EgressProblem(
                description: "set tenant.client_id: the configuration names no client to fetch tokens with"
            )
        }
        request.timeout = self.timeout
        request.maxResponseBytes = Self.maxResponseBytes
        request.allowsSpecialAddresses = self.allowsSpecialAddresses
        return request
    }

    private func fetched(_ grant: TokenGrant, _ token: String, _ life: Duration) -> TokenReply {
        let now = self.clock.now
        self.log.redactor.add(token)
        self.metrics.add(.tokensFetched, 1, TerminalText.plain(self.log.redactor.redact(grant.audience, limit: 200)))
        self.state.withLock { state in
            state.entries[grant.key, default: TokenEntry()]
                .fetched(token, life: life, now: now, fraction: self.random())
            // Of the tokens before, the last one may still be on its way back as a 401.
            let before = state.origins.filter { $0.value.key == grant.key }.map(\.key)
            if before.count > 2 { for token in before { state.origins[token] = nil } }
            state.origins[token] = grant
        }
        return .token(token, expires: now + life)
    }

    private func failed(
        _ grant: TokenGrant,
        _ ticket: CallTicket,
        _ reason: String,
        _ result: Result<HTTPResponse, HTTPFailure>,
        _ ending: CallEnding
    ) -> TokenReply {
        let now = self.clock.now
        let isRefusal = if case .success(let response) = result { response.status < 500 } else { false }
        self.metrics.add(.tokenFailures, 1, isRefusal ? "refused" : "outage")
        let decision = self.state.withLock { state in
            state.entries[grant.key, default: TokenEntry()].failed(reason, now: now, fraction: self.random())
            return state.entries[grant.key]?.stillGood(now)
        }
        let error = self.log.redactor.redact(reason, limit: 300)
        // Where nobody waits for a repair, pace is kept all the same.
        let isKept = if case .pace = ending { true } else { self.waitsForOutages }
        let end = self.board.ended(ticket, isKept ? ending : .undecided, result, error: error, nil)
        // A token that is still good, if only just, is better than waiting.
        if let (token, expires) = decision { return .token(token, expires: expires) }
        return isKept && !end.isForgiven ? .away(ticket.call.route.answers) : .failed(result)
    }

    /// `error` and `error_description` of RFC 6749, 5.2.
    private static func error(in response: HTTPResponse) -> String {
        guard let body = try? JSONText(validating: response.body), body.kind == .object else { return "" }
        let words = [body["error"]?.string, body["error_description"]?.string].compactMap(\.self)
        return words.isEmpty ? "" : " (\(words.joined(separator: ": ").prefix(200)))"
    }

    // MARK: Status

    func statuses() -> [TokenStatus] {
        let now = self.clock.now
        return self.state.withLock { state in
            state.entries.map { key, entry in
                TokenStatus(
                    audience: self.log.redactor.redact(key.audience, limit: 200),
                    scope: self.log.redactor.redact(key.scope, limit: 200),
                    expiresIn: entry.remaining(now),
                    fetches: entry.fetches,
                    lastError: entry.lastError.map { self.log.redactor.redact($0) }
                )
            }.sorted { ($0.audience, $0.scope) < ($1.audience, $1.scope) }
        }
    }
}

/// A token without its value.
package struct TokenStatus: Sendable, Hashable {
    package var audience: String
    package var scope: String
    package var expiresIn: Duration?
    package var fetches: Int
    package var lastError: String?
}
