package import AfterloginWaiting

/// What the egress path is told of the configuration.
package struct EgressSettings: Sendable {
    package var egress = CallSettings()
    package var tenant = TenantSettings()
    /// In the order of the file.
    package var tokens: [(name: String, profile: TokenProfile)] = []
    /// What rules say about waiting; the rest is filled from `egress`.
    package var waiting = WaitingSettings()

    package init() {}
}

/// `egress` of the configuration.
package struct CallSettings: Sendable {
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

    package init() {}
}

extension EgressSettings {
    /// The model of waiting with these numbers.
    ///
    /// Where nobody waits for a repair nothing is ever away: rules are told every failure as it comes.
    func waiting(forOutages waitsForOutages: Bool) -> WaitingSettings {
        var waiting = self.waiting
        waiting.perHost = self.egress.perHost
        waiting.patience = self.egress.patience
        waiting.namePatience = min(waiting.namePatience, waiting.patience)
        waiting.optionalHosts = Set(self.egress.optional.map { $0.lowercased() })
        if !waitsForOutages { (waiting.connectionRow, waiting.answerRow, waiting.windowRow) = (.max, .max, .max) }
        return waiting
    }
}
