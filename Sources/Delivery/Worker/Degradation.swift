import AfterloginEgress
import AfterloginSystem

/// Something that keeps logins from being done as they should, although a restart would not mend it; `/readyz`, `/status` and a metric name it.
package struct Degradation: Sendable, Hashable {
    /// Its kind, as the metric has it.
    package enum Cause: String, Sendable, CaseIterable {
        /// A host that rules call does not answer as it should.
        case destinationAway = "destination_away"
        /// No token is to be had.
        case tokenAway = "token_away"
        /// Nearly all logins fail.
        case loginsFail = "logins_fail"
        /// No rule host takes logins.
        case noRuleHost = "no_rule_host"
        /// A topic refuses some failures.
        case failuresRefused = "failures_refused"
        /// Partitions that can't be read from where they should be.
        case partitionStands = "partition_stands"
    }

    package var cause: Cause
    /// Says what is wrong, so that "since" may follow.
    package var what: String
    package var lasts: Duration
    /// What follows the time; empty or a clause.
    package var details: String

    package init(_ cause: Cause, _ what: String, lasts: Duration, details: String = "") {
        self.cause = cause
        self.what = what
        self.lasts = lasts
        self.details = details
    }

    /// For people.
    package var text: String {
        "\(self.what) since \(self.since)" + (self.details.isEmpty ? "" : ", \(self.details)")
    }

    /// When it began, as the log writes times.
    package var since: String { Timestamp.text(ago: self.lasts) }
}

extension Degradation {
    init(_ outage: OutageStatus) {
        let waiting = outage.waiting == 1 ? "1 login waits" : "\(outage.waiting) logins wait"
        self.init(
            outage.isToken ? .tokenAway : .destinationAway,
            "\(outage.name) is away",
            lasts: outage.lasts,
            details: "\(outage.reason); \(waiting)"
        )
    }

    init(_ spell: FailureShare.Spell, now: ContinuousClock.Instant) {
        self.init(
            .loginsFail,
            "\(spell.failures) of the last \(FailureShare.window) logins failed, most of them as \(spell.reason),",
            lasts: now - spell.since
        )
    }
}

extension [Degradation] {
    /// The first of them, for one line; nil where there are none.
    package var text: String? {
        guard !self.isEmpty else { return nil }
        return self.prefix(3).map(\.text).joined(separator: "; ")
            + (self.count > 3 ? "; and \(self.count - 3) more" : "")
    }
}
