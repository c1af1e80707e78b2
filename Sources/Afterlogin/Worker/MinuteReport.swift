/// What was done in each minute in which anything was, in one line.
///
/// Pure: the time is given.
struct MinuteReport {
    static let interval = Duration.seconds(60)
    private var said: ContinuousClock.Instant
    private var before = Dispatcher.Tally()

    init(now: ContinuousClock.Instant) { self.said = now }

    /// The line of the minute that is over; nil within a minute, and where nothing was done in it.
    mutating func looked(
        _ tally: Dispatcher.Tally,
        admitted: Int,
        waiting: Int,
        now: ContinuousClock.Instant
    ) -> String? {
        let time = now - self.said
        guard time >= Self.interval else { return nil }
        defer { (self.said, self.before) = (now, tally) }
        let failures = tally.failures.values.reduce(0, +) - self.before.failures.values.reduce(0, +)
        let parts = [
            (tally.updates - self.before.updates, "update", "updates"),
            (tally.denials - self.before.denials, "denial", "denials"), (failures, "failure", "failures"),
            (tally.retries - self.before.retries, "retry", "retries"),
        ]
        guard parts.contains(where: { $0.0 > 0 }) else { return nil }
        let done = parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.0 == 1 ? $0.1 : $0.2)" }.joined(separator: ", ")
        let rest = admitted > 0 ? "; \(admitted) logins are admitted, \(waiting) of them wait" : ""
        return "in \(time.forPeople): \(done)\(rest)"
    }
}
