/// When the next probe of an away destination may be sent: full jitter from 200 ms to 5 s, or `Retry-After`.
///
/// Only one probe is out at a time, but one that is unanswered for 5 s no longer holds back the next.
package struct ProbeSchedule: Sendable {
    /// What is out to be the probe.
    private enum Probe: Sendable {
        /// Nothing.
        case none
        /// A login that was begun to have one, and has not called yet.
        case begun(login: UInt64, at: ContinuousClock.Instant)
        /// A call.
        case called(at: ContinuousClock.Instant)
    }

    private var probe = Probe.none
    private var failures = 0
    /// Logins that ended without calling since the last probe.
    private var emptyHanded = 0
    private var due: ContinuousClock.Instant
    /// Whose probe was the last: the next is somebody else's where somebody else waits.
    package private(set) var lastUser: LoginUser?

    /// The schedule of a destination that went away now.
    ///
    /// `fraction` is random, even in `0..<1`; `retryAfter` is when the destination asks to be asked again.
    package init(
        now: ContinuousClock.Instant,
        fraction: Double,
        retryAfter: Duration? = nil,
        _ settings: WaitingSettings
    ) {
        self.due = now + (retryAfter ?? Self.wait(failures: 0, fraction, settings))
    }

    /// When the next probe may be sent, as far as it is known now.
    package func next(_ settings: WaitingSettings) -> ContinuousClock.Instant {
        switch self.probe {
        case .none: self.due
        case .begun(_, let at), .called(let at): max(self.due, at + settings.probePatience)
        }
    }

    /// Whether a call may be the probe now.
    ///
    /// A login that was begun to have one holds back further logins, not calls: whose call is first is the probe.
    package func mayCall(now: ContinuousClock.Instant, _ settings: WaitingSettings) -> Bool {
        switch self.probe {
        case .none, .begun: now >= self.due
        case .called(let at): now >= max(self.due, at + settings.probePatience)
        }
    }

    /// Whether a call is out that is younger than what it may take.
    package func isOut(now: ContinuousClock.Instant, _ settings: WaitingSettings) -> Bool {
        guard case .called(let at) = self.probe else { return false }
        return now < at + settings.probePatience
    }

    /// Whether a waiting login is to be begun to have a probe.
    package func isDue(now: ContinuousClock.Instant, _ settings: WaitingSettings) -> Bool {
        now >= self.next(settings)
    }

    /// A waiting login was begun to have a probe.
    package mutating func loginBegan(_ login: UInt64, user: LoginUser?, now: ContinuousClock.Instant) {
        self.probe = .begun(login: login, at: now)
        self.lastUser = user
    }

    /// A call was sent as the probe.
    package mutating func called(user: LoginUser?, now: ContinuousClock.Instant) {
        self.probe = .called(at: now)
        self.lastUser = user
        self.emptyHanded = 0
    }

    /// A login that was begun to have a probe ended without calling: the next is begun at once.
    ///
    /// After some such logins the next waits for its turn, or a rule that no longer calls would run them all at once.
    package mutating func loginEnded(
        _ login: UInt64,
        now: ContinuousClock.Instant,
        fraction: @autoclosure () -> Double,
        _ settings: WaitingSettings
    ) {
        guard case .begun(login, _) = self.probe else { return }
        self.probe = .none
        self.emptyHanded += 1
        guard self.emptyHanded >= settings.probeCandidates else { return }
        self.emptyHanded = 0
        self.due = now + Self.wait(failures: max(self.failures, 1), fraction(), settings)
    }

    /// A call that was the probe did not get through.
    package mutating func probeFailed(
        now: ContinuousClock.Instant,
        retryAfter: Duration?,
        fraction: @autoclosure () -> Double,
        _ settings: WaitingSettings
    ) {
        self.probe = .none
        self.failures += 1
        self.due = now + (retryAfter ?? Self.wait(failures: self.failures, fraction(), settings))
    }

    private static func wait(failures: Int, _ fraction: Double, _ settings: WaitingSettings) -> Duration {
        min(settings.probeCap, settings.probeBase * (1 << min(failures, 9))) * min(max(fraction, 0), 1)
    }
}
