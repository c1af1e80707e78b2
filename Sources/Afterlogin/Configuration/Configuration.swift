package import Observability
package import RuleHost

/// The whole configuration, checked.
///
/// Keys and defaults as in the README; loaded by `ConfigurationLoader`.
public struct Configuration: Sendable {
    package struct Kafka: Sendable {
        package enum Delivery: String, Sendable, CaseIterable {
            case atLeastOnce = "at-least-once"
            case transactional
        }
        package var brokers = "localhost:9092"
        package var group = "afterlogin"
        package var input = ["logins"]
        package var delivery = Delivery.atLeastOnce
        package var properties: [String: String] = [:]
    }
    package struct Results: Sendable {
        package var updates = "user-updates"
        package var failures = "user-update-failures"
        package var source = "/afterlogin"
    }
    package struct Rules: Sendable {
        package var directory: String? = nil
        package var timeout: Duration = .seconds(20)
        /// That count: while a call failed and somebody else's got through meanwhile.
        package var attempts = 8
        /// After a rule's last activity, for work after its callback that shows no sign of an end.
        package var quiet: Duration = .seconds(5)
        /// Since the first attempt, waiting included.
        package var maxAge: Duration = .seconds(86_400)
        /// Between attempts of a rule.
        package var backoff = Backoff(base: .seconds(2), cap: .seconds(15))
        package var host = RuleHostConfiguration()
    }
    package struct Backoff: Sendable, Hashable {
        package var base: Duration = .milliseconds(200)
        package var cap: Duration = .seconds(30)
    }
    package struct Tenant: Sendable {
        package enum ClientAuth: String, Sendable, CaseIterable {
            case clientSecretPost = "client_secret_post"
            case clientSecretBasic = "client_secret_basic"
            case privateKeyJWT = "private_key_jwt"
        }
        package enum TokenRequest: String, Sendable, CaseIterable { case json, form }
        package var domain: String? = nil
        package var clientID: String? = nil
        package var clientSecret: String? = nil
        package var tokenURL: String? = nil
        package var clientAuth = ClientAuth.clientSecretPost
        package var privateKey: String? = nil
        package var algorithm = "RS256"
        package var tokenRequest = TokenRequest.json
        /// `aud` of an assertion; default the token URL where one is set, or else `https://{domain}/`.
        package var assertionAudience: String? = nil
        /// For `auth0.accessToken`; default `https://{domain}/api/v2/`.
        package var managementAudience: String? = nil
    }
    package struct TokenProfile: Sendable, Hashable {
        package var audience: String
        package var scope: String? = nil
        package var organization: String? = nil
    }
    package struct Egress: Sendable {
        package var allow: [String] = []
        package var caFile: String? = nil
        package var tunnels: [String] = []
        package var timeout: Duration = .seconds(10)
        package var attempts = 3
        package var backoff = Backoff()
        /// Host names whose failures are told to rules at once, instead of being waited for; `host` or `host:port`.
        package var optional: [String] = []
        /// From a destination's first failure until its failures are told to rules.
        package var patience: Duration = .seconds(900)
        /// Requests in flight per host and port.
        package var perHost = 256
        package var maxResponseBytes = 10 << 20
        /// Of all requests and responses in flight together.
        package var bodyBytes = 128 << 20
    }
    package struct Admitted: Sendable {
        package var logins = 10_000
        package var bytes = 64 << 20
    }
    package struct Admin: Sendable {
        package var listen: String? = "127.0.0.1:8080"
        /// Names by which it may be asked, beside numeric addresses and `localhost`.
        package var hosts: [String] = []
    }

    package var kafka = Kafka()
    package var results = Results()
    package var rules = Rules()
    package var tenant = Tenant()
    /// In the order of the file.
    package var tokens: [(name: String, profile: TokenProfile)] = []
    package var configuration: [(name: String, value: String)] = []
    package var egress = Egress()
    /// Logins whose rules work; those that wait for an answer longer than a second do not count.
    package var concurrency = 256
    /// Evaluations that have begun, those that wait for an answer included.
    package var evaluations = 2_000
    package var admitted = Admitted()
    /// Results that no acknowledged commit covers.
    package var maxUncommitted = 1_000
    package var drain: Duration = .seconds(5)
    package var admin = Admin()
    package var logLevel = "info"
    /// nil: text on a terminal, else JSON.
    package var logFormat: Log.Format?
    package init() {}
}
