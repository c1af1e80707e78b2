import AfterloginSystem

/// Starts a host without rules, to see what it is.
package enum RuleHostProbe {
    /// The status of a host that is started for this, and ended.
    ///
    /// - Returns: Node's version, what confinement is in force and what is missing.
    /// - Throws: `RuleHostRefusal` where no host can be started.
    package static func look(_ configuration: RuleHostConfiguration) async throws(RuleHostRefusal) -> RuleHostStatus {
        var configuration = configuration
        configuration.count = 1
        let witness = Witness()
        let pool = RuleHostPool(configuration: configuration, load: LoadMessage(), delegate: witness)
        _ = try await pool.start()
        await pool.shutdown()
        guard let status = witness.status.withLock({ $0 }) else {
            throw RuleHostRefusal("the rule host did not say what it is")
        }
        return status
    }

    private final class Witness: RuleHostPoolDelegate {
        let status = Mutex<RuleHostStatus?>(nil)

        func hostStarted(_ host: RuleHostStatus) { self.status.withLock { $0 = host } }
        func hostDied(_ host: RuleHostStatus, reason: String, culprit: EvaluationOutcome.Kill?) {}
        func hostRetired(_ host: RuleHostStatus, reason: String) {}
        func hostPrinted(_ text: String) {}
        func hostWarned(_ warning: HostWarning) {}
    }
}
