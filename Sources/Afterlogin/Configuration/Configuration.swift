package import Egress
package import Observability
package import Rules
import Waiting

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
    package var rules = ChainSettings()
    package var tenant = TenantSettings()
    /// In the order of the file.
    package var tokens: [(name: String, profile: TokenProfile)] = []
    package var configuration: [(name: String, value: String)] = []
    package var egress = CallSettings()
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

extension Configuration {
    /// What the egress path is told of it.
    package var egressSettings: EgressSettings {
        var settings = EgressSettings()
        settings.egress = self.egress
        settings.tenant = self.tenant
        settings.tokens = self.tokens
        settings.waiting.evaluations = self.evaluations
        settings.waiting.attempts = self.rules.attempts
        settings.waiting.backoffBase = self.rules.backoff.base
        settings.waiting.backoffCap = self.rules.backoff.cap
        settings.waiting.maxAge = self.rules.maxAge
        return settings
    }

    /// What a chain of rules is told of it; `file` is the one that was read, if any.
    package func ruleSettings(file: String?) -> RuleSettings {
        var settings = RuleSettings(file: file ?? ConfigurationLoader.defaultFile)
        settings.rules = self.rules
        settings.configuration = self.configuration
        settings.egress = self.egress
        settings.tenant = self.tenant
        return settings
    }
}
