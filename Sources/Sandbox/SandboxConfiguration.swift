import FoundationEssentials

/// What a sandbox offers, and to whom.
package struct SandboxConfiguration: Sendable {
    /// So many tokens in a time.
    package struct Quota: Sendable, Hashable {
        package var tokens: Int
        package var window: Duration

        package init(tokens: Int, window: Duration) {
            self.tokens = tokens
            self.window = window
        }
    }

    package var listen = "127.0.0.1:0"
    /// The control API, always plain HTTP.
    package var control = "127.0.0.1:0"
    /// Endpoints with a port of their own besides, whose connections can fail on their own; each answers everything.
    package var doors: [Endpoint: String] = [:]
    /// Of the certificate; the first is the issuer's domain.
    package var names = ["localhost", "127.0.0.1"]
    /// Plain HTTP, to measure what TLS costs.
    package var isPlain = false
    /// Where clients find the certificate (PEM); nil: nowhere.
    package var caFile: String?
    package var clientID = "sandbox-client"
    package var clientSecret = "sandbox-secret"
    /// PEM; for `private_key_jwt`.
    package var clientPublicKey: String?
    /// What the client may ask tokens for; the Management API (`https://…/api/v2/`) always.
    package var audiences: Set<String> = ["https://profiles.example/api"]
    package var tokenLifetime: Duration = .seconds(3_600)
    package var tokenQuota: Quota?
    /// Requests to the Management API per second.
    package var managementRate = 50
    /// Of faults and generated users.
    package var seed: UInt64 = 1
    /// Seconds since 1970.
    package var now: @Sendable () -> Double = { Date.now.timeIntervalSince1970 }

    package init() {}
}

/// Where a sandbox is found.
package struct SandboxAddress: Sendable {
    package var port: Int
    package var controlPort: Int
    /// `https://localhost:PORT`, by the certificate's first name.
    package var url: String
    /// Of the control API.
    package var controlURL: String
    package var caFile: String?
    /// Of the endpoints with a port of their own.
    package var doors: [Endpoint: String] = [:]

    /// `localhost:PORT`: what a rule knows as `auth0.domain`.
    package var domain: String { String(self.url.drop { $0 != "/" }.dropFirst(2)) }
}
