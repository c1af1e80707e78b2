package import AfterloginObservability
import AfterloginRules
import AfterloginSystem

/// Failed and repeated logins, as the log tells of them.
package final class LoginNotices: Sendable {
    private let notices = Mutex(RecurringNotices())
    private let log: Log
    /// Where the failures go.
    private let failures: String

    package init(log: Log, failures: String) {
        self.log = log
        self.failures = failures
    }

    /// A login ends as a failure.
    func failed(_ failure: FailureDescription, place: String) {
        let rule = failure.rule.map { " in \($0)" } ?? ""
        let line = failure.place.map { " (\($0))" } ?? ""
        self.happened(
            "login failed: \(failure.reason)\(rule)",
            "\(failure.message)\(line); \(place)",
            advice: "; such logins are in \(self.failures), from where they can be run again"
        )
    }

    /// A rule is to be run again after a pause.
    func runsAgain(_ failure: RuleFailure, place: String) {
        let line = failure.place.map { " (\($0))" } ?? ""
        let kind = "rule is to be run again: \(failure.rule), \(failure.reason.rawValue)"
        self.happened(kind, "\(failure.message)\(line); \(place)", advice: "")
    }

    private func happened(_ kind: String, _ text: @autoclosure () -> String, advice: String) {
        guard self.notices.withLock({ $0.happened(kind, latest: text()) }) else { return }
        self.log.log(.warning, "\(kind): \(text())\(advice)")
    }

    /// Says what recurred in the minute that is over.
    func minuteEnded() {
        for (kind, count, latest) in self.notices.withLock({ $0.minuteEnded() }) {
            self.log.log(.warning, "\(kind): \(count) more in the last minute; the latest: \(latest)")
        }
    }
}
