import HTTPClient
import JSON
import Synchronization

/// A token, or why there is none.
enum TokenReply: Sendable {
    case token(String, expires: ContinuousClock.Instant)
    /// The endpoint is away (or refuses, and the policy is to wait).
    case outage(TimedOutage)
    /// The endpoint refuses, and the policy is to say so.
    case refused(HTTPResponse)
}

/// Access tokens by client credentials: one fetch at a time for each grant, refreshed ahead, shared by all rules.
final class TokenProvider: Sendable {
    private struct State {
        var entries: [TokenGrant.Key: TokenEntry] = [:]
        var waiters: [TokenGrant.Key: [CheckedContinuation<TokenReply, Never>]] = [:]
        /// Which grant a token came from, for 401.
        var origins: [String: TokenGrant] = [:]
    }

    /// Grants that are remembered; a rule could ask for a new one every time.
    private static let maxEntries = 1_000
    static let maxResponseBytes = 256 << 10

    private let sender: any HTTPSender
    private let credentials: TokenCredentials?
    private let endpoint: String
    /// Whether a refusal makes work wait, as an outage does.
    private let pausesWhenRefused: Bool
    private let timeout: Duration
    private let log: Log
    private let metrics: Metrics
    private let clock: any WorkerClock
    private let random: @Sendable () -> Double
    private let state = Mutex(State())

    init(
        endpoint: String,
        credentials: TokenCredentials?,
        sender: any HTTPSender,
        pausesWhenRefused: Bool,
        timeout: Duration,
        log: Log,
        metrics: Metrics,
        clock: any WorkerClock = ContinuousClock(),
        random: @escaping @Sendable () -> Double = Backoff.random
    ) {
        self.endpoint = endpoint
        self.credentials = credentials
        self.sender = sender
        self.pausesWhenRefused = pausesWhenRefused
        self.timeout = timeout
        self.log = log
        self.metrics = metrics
        self.clock = clock
        self.random = random
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
        case .wait(let until, let reason): return .outage(self.outage(until, reason))
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

    func isOurs(_ token: String) -> Bool { self.state.withLock { $0.origins[token] != nil } }

    private func outage(_ until: ContinuousClock.Instant, _ reason: String) -> TimedOutage {
        TimedOutage(reason: "token endpoint \(self.endpoint) \(reason)", until: until, clock: self.clock)
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

    private func fetchOnce(_ grant: TokenGrant) async -> TokenReply {
        let response: HTTPResponse
        do {
            response = try await self.sender.send(try self.request(grant))
        } catch let failure as HTTPFailure {
            return self.failed(grant, "can't be reached: \(failure.message)", nil)
        } catch {
            return self.refused(grant, "can't be asked: \(error)", HTTPResponse(status: 400))
        }
        guard (200..<300).contains(response.status) else {
            let reason = "answers \(response.status)\(Self.error(in: response))"
            guard response.status < 500, response.status != 429, response.status != 408 else {
                let retryAfter = RetryAfter.duration(in: response.headers, wallClock: self.clock.wallClock)
                return self.failed(grant, reason, retryAfter)
            }
            return self.refused(grant, reason, response)
        }
        let body = try? JSONText(validating: response.body)
        guard let token = body?["access_token"]?.string, !token.isEmpty,
            token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else {
            return self.failed(grant, "answers without an access_token", nil)
        }
        // RFC 6749, 5.1: recommended, not required. A number in a string is seen in the wild.
        let text = body?["expires_in"].map { $0.string ?? String(decoding: $0.bytes, as: UTF8.self) }
        let life = Duration.seconds(min(max(text.flatMap { Double($0) } ?? 300, 1), 31_536_000))
        return self.fetched(grant, token, life)
    }

    private func request(_ grant: TokenGrant) throws -> HTTPRequest {
        var request: HTTPRequest
        if let own = grant.request {
            request = own
            request.url = self.endpoint
            request.decompresses = true
            request.headers.removeAll { $0.name.lowercased() == "accept-encoding" }
        } else if let credentials = self.credentials {
            request = try credentials.request(for: grant.key, wallClock: self.clock.wallClock)
        } else {
            throw EgressProblem(description: "tenant has no client_id")
        }
        request.timeout = self.timeout
        request.maxResponseBytes = Self.maxResponseBytes
        // The operator named it.
        request.allowsSpecialAddresses = true
        return request
    }

    private func fetched(_ grant: TokenGrant, _ token: String, _ life: Duration) -> TokenReply {
        let now = self.clock.now
        self.log.redactor.add(token)
        self.metrics.add(.tokensFetched, 1, grant.audience)
        let wasAway = self.state.withLock { state in
            let wasAway = state.entries[grant.key]?.awaySince != nil
            state.entries[grant.key, default: TokenEntry()]
                .fetched(token, life: life, now: now, fraction: self.random())
            // Of the tokens before, the last one may still be on its way back as a 401.
            let before = state.origins.filter { $0.value.key == grant.key }.map(\.key)
            if before.count > 2 { for token in before { state.origins[token] = nil } }
            state.origins[token] = grant
            return wasAway
        }
        if wasAway { self.log.log(.info, "token endpoint \(self.endpoint) answers again") }
        return .token(token, expires: now + life)
    }

    private func failed(_ grant: TokenGrant, _ reason: String, _ retryAfter: Duration?) -> TokenReply {
        let now = self.clock.now
        self.metrics.add(.tokenFailures, 1, "outage")
        let (isNews, decision) = self.state.withLock { state in
            var entry = state.entries[grant.key] ?? TokenEntry()
            let isNews = entry.awaySince == nil
            entry.failed(reason, retryAfter: retryAfter, now: now, fraction: self.random())
            state.entries[grant.key] = entry
            // A token that is still good, if only just, is better than waiting.
            let decision = state.entries[grant.key]?.asked(now)
            return (isNews, decision)
        }
        if isNews { self.log.log(.warning, "token endpoint \(self.endpoint) \(reason); logins that need it wait") }
        switch decision {
        case .use(let token, let expires), .useAndRefresh(let token, let expires):
            return .token(token, expires: expires)
        case .wait(let until, _): return .outage(self.outage(until, reason))
        case .fetch, .join, nil: return .outage(self.outage(now + .seconds(1), reason))
        }
    }

    private func refused(_ grant: TokenGrant, _ reason: String, _ response: HTTPResponse) -> TokenReply {
        let now = self.clock.now
        self.metrics.add(.tokenFailures, 1, "refused")
        let (isNews, decision) = self.state.withLock { state in
            let isNews = state.entries[grant.key, default: TokenEntry()]
                .refused(reason, waits: self.pausesWhenRefused, now: now, fraction: self.random())
            guard self.pausesWhenRefused else { return (isNews, TokenEntry.Decision?.none) }
            return (isNews, state.entries[grant.key]?.asked(now))
        }
        if isNews {
            let next = self.pausesWhenRefused ? "; logins that need it wait, and it is asked again now and then" : ""
            self.log.log(.error, "token endpoint \(self.endpoint) \(reason) for \(grant.audience)\(next)")
        }
        guard self.pausesWhenRefused else { return .refused(response) }
        guard case .wait(let until, _) = decision else { return .outage(self.outage(now + .seconds(30), reason)) }
        return .outage(self.outage(until, reason))
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
                    audience: key.audience,
                    scope: key.scope,
                    expiresIn: entry.remaining(now),
                    fetches: entry.fetches,
                    lastError: entry.lastError.map { self.log.redactor.redact($0) },
                    awayFor: entry.awaySince.map { now - $0 }
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
    /// How long its endpoint has been away for it.
    package var awayFor: Duration?
}
