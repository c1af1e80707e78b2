package import AfterloginEgress
package import AfterloginRuleHost

/// What a chain of rules is told of the configuration.
package struct RuleSettings: Sendable {
    package var rules = ChainSettings()
    /// What rules read as `configuration`.
    package var configuration: [(name: String, value: String)] = []
    package var egress = CallSettings()
    package var tenant = TenantSettings()
    /// For people: what to write a missing key into.
    package var file: String

    package init(file: String) { self.file = file }
}

/// `rules` of the configuration.
package struct ChainSettings: Sendable {
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

    package init() {}
}
