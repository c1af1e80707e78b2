/// Says that a topic refuses failures: the first at once, then once a minute for how many logins that holds.
///
/// Each of them is tried again every few seconds; a line for each would hide all others.
struct RefusalNotice: Sendable {
    private static let interval = Duration.seconds(60)
    /// When the first of those that wait was refused; nil while none waits.
    private(set) var since: ContinuousClock.Instant?
    private var saidAt: ContinuousClock.Instant?

    /// What to say; nil where it was said lately.
    mutating func refused(_ reason: String, waiting: Int, now: ContinuousClock.Instant) -> String? {
        self.since = self.since ?? now
        if let saidAt = self.saidAt, now - saidAt < Self.interval { return nil }
        self.saidAt = now
        let who = waiting == 1 ? "1 login waits" : "\(waiting) logins wait"
        return "\(reason); \(who) for that, tried again every 10 s, and offsets behind stay uncommitted"
    }

    /// Nobody waits for it any more: the next one is news.
    mutating func ended() { self = Self() }
}
