import AfterloginCryptography
import AfterloginHTTPMessages
import AfterloginHTTPServer
import AfterloginJSON
import AfterloginSystem

/// `POST /oauth/token` with the grant `client_credentials`, as Auth0 answers it (AUTH0.md, "M2M tokens").
final class TokenEndpoint: Sendable {
    private struct State {
        var windowEnd = 0.0
        var issuedInWindow = 0
        /// `jti` of client assertions, with their expiry: none may come twice.
        var assertions: [String: Double] = [:]
    }

    private let configuration: SandboxConfiguration
    private let tokens: AccessTokens
    private let clientKey: SigningKey?
    private let didIssue: @Sendable (_ audience: String) -> Void
    private let state = Mutex(State())

    init(
        _ configuration: SandboxConfiguration,
        tokens: AccessTokens,
        didIssue: @escaping @Sendable (_ audience: String) -> Void
    ) throws(CryptographyError) {
        self.configuration = configuration
        self.tokens = tokens
        self.didIssue = didIssue
        if let pem = configuration.clientPublicKey {
            self.clientKey = try SigningKey(publicPEM: pem)
        } else {
            self.clientKey = nil
        }
    }

    func answer(_ request: HTTPServer.Request) -> HTTPServer.Response {
        do throws(TokenRefusal) {
            guard request.method == "POST" else { throw TokenRefusal(405, "invalid_request", "Use POST") }
            let fields = try TokenFields(request)
            let client = try self.authenticate(fields, request)
            return .json(200, try self.grant(fields, to: client))
        } catch {
            return error.response
        }
    }

    // MARK: Who asks

    private func authenticate(_ fields: TokenFields, _ request: HTTPServer.Request) throws(TokenRefusal) -> String {
        if let authorization = request.headers["authorization"] {
            guard fields["client_secret"] == nil, fields["client_assertion"] == nil else {
                throw TokenRefusal(400, "invalid_request", "More than one way of client authentication")
            }
            guard let (client, secret) = BasicCredentials.parse(authorization) else { throw .unauthorized }
            return try self.check(client, secret)
        }
        if let assertion = fields["client_assertion"] {
            guard fields["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" else {
                throw TokenRefusal(400, "invalid_request", "Unknown client_assertion_type")
            }
            return try self.check(assertion: assertion, host: request.headers["host"] ?? "")
        }
        guard let client = fields["client_id"], let secret = fields["client_secret"] else { throw .unauthorized }
        return try self.check(client, secret)
    }

    private func check(_ client: String, _ secret: String) throws(TokenRefusal) -> String {
        guard client == self.configuration.clientID, secret == self.configuration.clientSecret else {
            throw .unauthorized
        }
        return client
    }

    /// RFC 7523, section 3, and that no `jti` comes twice.
    private func check(assertion: String, host: String) throws(TokenRefusal) -> String {
        let now = self.configuration.now()
        let audiences = [
            "https://\(host)/", "https://\(host)/oauth/token", "http://\(host)/", "http://\(host)/oauth/token",
        ]
        guard let clientKey = self.clientKey, let jwt = SignedToken(assertion), jwt.isSigned(by: clientKey),
            let client = jwt.claims["iss"]?.string, client == self.configuration.clientID,
            jwt.claims["sub"]?.string == client,
            let audience = jwt.claims["aud"]?.string, audiences.contains(audience),
            let expiry = jwt.claims["exp"]?.double, let identifier = jwt.claims["jti"]?.string
        else { throw TokenRefusal(401, "invalid_client", "Invalid client assertion") }
        guard expiry > now, expiry <= now + 300 else {
            throw TokenRefusal(
                401,
                "invalid_client",
                "The client assertion has expired, or lives longer than 5 minutes"
            )
        }
        let isFresh = self.state.withLock { state in
            state.assertions = state.assertions.filter { $0.value > now }
            return state.assertions.updateValue(expiry, forKey: identifier) == nil
        }
        guard isFresh else { throw TokenRefusal(401, "invalid_client", "This jti was used before") }
        return client
    }

    // MARK: What it gets

    private func grant(_ fields: TokenFields, to client: String) throws(TokenRefusal) -> JSONValue {
        guard fields["grant_type"] == "client_credentials" else {
            throw TokenRefusal(400, "unsupported_grant_type", "Unsupported grant type")
        }
        guard let audience = fields["audience"], !audience.isEmpty else {
            throw TokenRefusal(403, "access_denied", "No audience parameter was provided")
        }
        guard self.configuration.audiences.contains(audience) || audience.hasSuffix("/api/v2/") else {
            throw TokenRefusal(403, "access_denied", "Service not enabled within domain: \(audience)")
        }
        try self.takeFromQuota()
        let lifetime = self.configuration.tokenLifetime
        do {
            let token = try self.tokens.issue(
                client: client,
                audience: audience,
                scope: fields["scope"],
                lifetime: lifetime
            )
            self.didIssue(audience)
            var value: JSONValue = [
                "access_token": .string(token), "token_type": "Bearer",
                "expires_in": JSONValue(Int(lifetime / .seconds(1))),
            ]
            value["scope"] = fields["scope"].map { .string($0) }
            return value
        } catch {
            throw TokenRefusal(500, "server_error", error.description)
        }
    }

    private func takeFromQuota() throws(TokenRefusal) {
        guard let quota = self.configuration.tokenQuota else { return }
        let now = self.configuration.now()
        let wait: Double? = self.state.withLock { state in
            if now >= state.windowEnd {
                state.windowEnd = now + quota.window / .seconds(1)
                state.issuedInWindow = 0
            }
            guard state.issuedInWindow < quota.tokens else { return state.windowEnd - now }
            state.issuedInWindow += 1
            return nil
        }
        if let wait {
            var refusal = TokenRefusal(429, "too_many_requests", "Global limit has been reached")
            refusal.retryAfter = Int(wait.rounded(.up))
            throw refusal
        }
    }
}

/// An error of RFC 6749, section 5.2.
struct TokenRefusal: Error {
    let status: Int
    let code: String
    let message: String
    var retryAfter: Int?

    init(_ status: Int, _ code: String, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    static var unauthorized: TokenRefusal { TokenRefusal(401, "access_denied", "Unauthorized") }

    var response: HTTPServer.Response {
        var response = HTTPServer.Response.json(
            self.status,
            ["error": .string(self.code), "error_description": .string(self.message)]
        )
        if let retryAfter = self.retryAfter { response.headers["Retry-After"] = String(retryAfter) }
        return response
    }
}
