import Synchronization

/// Failed and repeated logins, as the log tells of them.
package final class LoginNotices: Sendable {
    private let notices = Mutex(RecurringNotices())
    private let log: Log
    private let clock: any WorkerClock

    package init(log: Log, clock: any WorkerClock = ContinuousClock()) {
        self.log = log
        self.clock = clock
    }

    /// A login ends as a failure.
    func failed(_ failure: FailureDescription, place: String) {
        let rule = failure.rule.map { " in \($0)" } ?? ""
        let line = failure.place.map { " (\($0))" } ?? ""
        self.happened("login failed: \(failure.reason)\(rule)", "\(failure.message)\(line); \(place)")
    }

    /// A rule is to be run again after a pause.
    func runsAgain(_ failure: RuleFailure, place: String) {
        let line = failure.place.map { " (\($0))" } ?? ""
        let kind = "rule is to be run again: \(failure.rule), \(failure.reason.rawValue)"
        self.happened(kind, "\(failure.message)\(line); \(place)")
    }

    private func happened(_ kind: String, _ text: @autoclosure () -> String) {
        let now = self.clock.now
        guard self.notices.withLock({ $0.happened(kind, latest: text(), now: now) }) else { return }
        self.log.log(.warning, "\(kind): \(text())")
    }

    /// Says what recurred; to be called every few seconds.
    func tell() {
        let now = self.clock.now
        for (kind, count, latest) in self.notices.withLock({ $0.due(now: now) }) {
            self.log.log(.warning, "\(kind): \(count) more in the last minute; the latest: \(latest)")
        }
    }
}
