package import AfterloginDelivery
package import AfterloginEgress
package import AfterloginObservability
package import AfterloginRules
import AfterloginWaiting

/// The whole configuration, checked.
///
/// Keys and defaults as in the README; loaded by `ConfigurationLoader`.
package struct Configuration: Sendable {
    package struct Admin: Sendable {
        package var listen: String? = "127.0.0.1:8080"
        /// Names by which it may be asked, beside numeric addresses and `localhost`.
        package var hosts: [String] = []
    }

    package var kafka = KafkaSettings()
    package var results = ResultSettings()
    package var rules = ChainSettings()
    package var tenant = TenantSettings()
    /// In the order of the file.
    package var tokens: [(name: String, profile: TokenProfile)] = []
    package var configuration: [(name: String, value: String)] = []
    package var egress = CallSettings()
    package var concurrency = DeliverySettings().concurrency
    package var evaluations = DeliverySettings().evaluations
    package var admitted = AdmissionSettings()
    package var maxUncommitted = DeliverySettings().maxUncommitted
    package var drain = DeliverySettings().drain
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

    /// What the path of a login is told of it.
    package var deliverySettings: DeliverySettings {
        var settings = DeliverySettings()
        settings.kafka = self.kafka
        settings.results = self.results
        settings.concurrency = self.concurrency
        settings.evaluations = self.evaluations
        settings.admitted = self.admitted
        settings.maxUncommitted = self.maxUncommitted
        settings.drain = self.drain
        return settings
    }
}
