/// What an evaluation wants while it runs.
///
/// Called on the thread `afterlogin.rules`: must not block.
package protocol EvaluationClient: AnyObject, Sendable {
    func requestMade(_ request: HostRequest)
    /// The rule gave that request up, unanswered.
    ///
    /// Returns what it waited for: others may keep the promise that its rule has just rejected.
    func requestCancelled(_ number: UInt32) -> String?
    func consolePrinted(_ line: ConsoleLine)
    func warned(_ warning: HostWarning)
    /// It waits for a promise that will never come, of an evaluation that was ended on its host: end it, and run it again elsewhere.
    ///
    /// `destinations`: for which those were ended; what it waits for may be one of them.
    func waits(for destinations: [String])
    /// The host died and this evaluation, which is innocent, starts again: forget its calls.
    func restarted()
}

/// What the pool itself has to say.
///
/// Called on `afterlogin.rules`.
package protocol RuleHostPoolDelegate: AnyObject, Sendable {
    func hostStarted(_ host: RuleHostStatus)
    func hostDied(_ host: RuleHostStatus, reason: String, culprit: EvaluationOutcome.Kill?)
    /// It takes no new evaluations, and a fresh one has its place.
    func hostRetired(_ host: RuleHostStatus, reason: String)
    /// Printed to descriptor 1 or 2 by something below `console` (bounded, not yet redacted).
    func hostPrinted(_ text: String)
    /// A warning about what happens outside of all evaluations (bounded in number, not yet redacted).
    func hostWarned(_ warning: HostWarning)
}

package struct RuleHostStatus: Sendable {
    package var process: Int32
    package var nodeVersion: String
    package var age: Duration
    package var residentBytes: Int
    package var inFlight: Int
    package var evaluations: Int
    /// Of hosts in its place.
    package var deaths: Int
    /// It ends with what is in flight.
    package var isRetiring: Bool
    /// It has the rules.
    package var isLoaded: Bool
    /// How long it has not answered although it was asked to; zero while it answers, or has nothing to do.
    package var silent: Duration
    /// Destinations that have tainted it.
    package var taintedBy: [String]
    /// What is in force: `landlock: "abi 7"`, `seccomp: "on"`, …; and what is missing.
    package var confinement: [String]
    package var notEnforced: [String]
}
