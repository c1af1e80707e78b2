import AfterloginCryptography
import AfterloginHTTPMessages
import AfterloginHTTPServer
import AfterloginJSON
import AfterloginSystem

/// What the sandbox answers: the identity provider, its Management API, and the APIs that rules call.
final class SandboxAPI: Sendable {
    private struct Counts {
        var endpoints: [Endpoint: SandboxStatistics.Requests] = [:]
        var tokens: [String: Int] = [:]
    }

    let faults: FaultBoard
    private let configuration: SandboxConfiguration
    private let tokens: AccessTokens
    private let tokenEndpoint: TokenEndpoint
    private let users: UserDirectory
    private let counts: CountBoard

    /// Shared with the token endpoint's callback.
    private final class CountBoard: Sendable {
        let counts = Mutex(Counts())
    }

    init(_ configuration: SandboxConfiguration) throws(CryptographyError) {
        let counts = CountBoard()
        self.counts = counts
        self.configuration = configuration
        self.faults = FaultBoard(seed: configuration.seed, now: configuration.now)
        self.tokens = try AccessTokens(
            issuer: "https://\(configuration.names.first ?? "localhost")/",
            now: configuration.now
        )
        self.tokenEndpoint = try TokenEndpoint(configuration, tokens: self.tokens) { audience in
            counts.counts.withLock { $0.tokens[audience, default: 0] += 1 }
        }
        self.users = UserDirectory(
            seed: configuration.seed,
            rate: configuration.managementRate,
            now: configuration.now
        )
    }

    var statistics: SandboxStatistics {
        let (endpoints, tokens) = self.counts.counts.withLock { ($0.endpoints, $0.tokens) }
        return SandboxStatistics(
            endpoints: endpoints,
            buckets: self.faults.buckets,
            tokensByAudience: tokens,
            usersWritten: self.users.writtenCount
        )
    }

    /// Answers on the server's thread, unless a fault takes time.
    func answer(_ request: HTTPServer.Request) -> HTTPServer.Answer {
        guard let (endpoint, id) = Self.route(request.path) else {
            return .now(.json(404, ["error": "not_found", "path": .string(request.path)]))
        }
        let verdict = self.faults.verdict(on: endpoint)
        var response = self.response(to: request, endpoint, id, verdict.ending)
        if var whole = response {
            whole.isTruncated = verdict.ending == .truncated
            whole.padding = max(0, verdict.size - whole.body.count)
            response = whole
        }
        self.counts.counts.withLock { [response] counts in
            counts.endpoints[endpoint, default: .init()].add(response)
        }
        guard let response else { return .never }
        return verdict.delay > .zero ? .at(.now + verdict.delay, response) : .now(response)
    }

    /// What to answer; nil: nothing, ever.
    ///
    /// The work is done when the request arrives; a delay holds back only the answer.
    private func response(
        to request: HTTPServer.Request,
        _ endpoint: Endpoint,
        _ id: String,
        _ ending: FaultBoard.Verdict.Ending
    ) -> HTTPServer.Response? {
        switch ending {
        case .hang: return nil
        case .reset: return .reset
        case .error(let status, let retryAfter):
            var response = HTTPServer.Response.json(status, ["error": "fault"])
            if let retryAfter { response.headers["Retry-After"] = String(retryAfter) }
            return response
        case .answer, .truncated: break
        }
        switch endpoint {
        case .token: return self.tokenEndpoint.answer(request)
        case .users:
            return self.guarded(request, accepts: Self.isManagement) { self.users.answer(request, id: id) }
        case .profiles:
            return self.guarded(request, accepts: self.configuration.audiences.contains) {
                let user = SyntheticUser(id: id, seed: self.configuration.seed)
                return .json(200, ["user_id": .string(id), "plan": .string(user.plan), "since": .string(user.created)])
            }
        case .slow:
            // Open to everybody; but who shows a token has to show a good one.
            let answer: () -> HTTPServer.Response = {
                let user = SyntheticUser(id: id, seed: self.configuration.seed)
                return .json(200, ["user_id": .string(id), "points": JSONValue(user.points)])
            }
            guard request.headers["authorization"] != nil else { return answer() }
            return self.guarded(request, accepts: { _ in true }, answer)
        }
    }

    private func guarded(
        _ request: HTTPServer.Request,
        accepts: (_ audience: String) -> Bool,
        _ answer: () -> HTTPServer.Response
    ) -> HTTPServer.Response {
        do throws(AccessTokens.Refusal) {
            try self.tokens.check(request.headers["authorization"], accepts: accepts)
            return answer()
        } catch {
            var response = HTTPServer.Response.json(
                401,
                ["statusCode": 401, "error": "Unauthorized", "message": .string(error.message)]
            )
            response.headers["WWW-Authenticate"] = "Bearer error=\"invalid_token\""
            return response
        }
    }

    private static func isManagement(_ audience: String) -> Bool { audience.hasSuffix("/api/v2/") }

    private static let prefixes: [(prefix: String, endpoint: Endpoint)] = [
        ("/profiles/", .profiles), ("/slow/", .slow), ("/api/v2/users/", .users),
    ]

    private static func route(_ path: String) -> (endpoint: Endpoint, id: String)? {
        if path == "/oauth/token" { return (.token, "") }
        for (prefix, endpoint) in self.prefixes where path.utf8.starts(with: prefix.utf8) {
            let id = PercentEncoding.decode(String(path.dropFirst(prefix.count)))
            return id.isEmpty ? nil : (endpoint, id)
        }
        return nil
    }
}

extension SandboxStatistics.Requests {
    /// Counts what becomes of a request; nil: no answer, ever.
    fileprivate mutating func add(_ response: HTTPServer.Response?) {
        self.received += 1
        guard let response else {
            self.hung += 1
            return
        }
        guard !response.resets else {
            self.reset += 1
            return
        }
        self.answered[response.status, default: 0] += 1
        if response.isTruncated { self.truncated += 1 }
    }
}

extension HTTPServer.Response {
    static func json(_ status: Int, _ value: JSONValue) -> Self {
        Self(status: status, headers: ["Content-Type": "application/json"], body: value.serialized())
    }

    static var reset: Self {
        var response = Self(status: 503)
        response.resets = true
        return response
    }
}
