import AfterloginSystem

/// What was done in each minute in which anything was, or should have been, in one line.
///
/// Pure: the time is given.
struct MinuteReport {
    static let interval = Duration.seconds(60)
    /// What the dispatcher has.
    struct Load {
        var admitted = 0
        /// For what is away, or for a retry.
        var waiting = 0
        /// Behind those: of the same users.
        var behind = 0
        /// In the topic, and not read yet.
        var unread: Int64 = 0
        /// What is wrong; nil while nothing is.
        var degraded: String?
    }

    private var said: ContinuousClock.Instant
    private var before = Dispatcher.Tally()

    init(now: ContinuousClock.Instant) { self.said = now }

    /// Whether a minute is over.
    func isDue(_ now: ContinuousClock.Instant) -> Bool { now - self.said >= Self.interval }

    /// The line of the minute that is over; nil within a minute, and where nothing was done in it or was to be.
    mutating func looked(_ tally: Dispatcher.Tally, _ load: Load, now: ContinuousClock.Instant) -> String? {
        guard self.isDue(now) else { return nil }
        let time = now - self.said
        defer { (self.said, self.before) = (now, tally) }
        let failures = tally.failures.values.reduce(0, +) - self.before.failures.values.reduce(0, +)
        let parts = [
            (tally.updates - self.before.updates, "update", "updates"),
            (tally.denials - self.before.denials, "denial", "denials"), (failures, "failure", "failures"),
            (tally.retries - self.before.retries, "retry", "retries"),
            (tally.stale - self.before.stale, "login of lost partitions dropped", "logins of lost partitions dropped"),
        ].filter { $0.0 > 0 }
        guard !parts.isEmpty || load.admitted > 0 || load.unread > 0 || load.degraded != nil else { return nil }
        let done = parts.map { "\($0.0) \($0.0 == 1 ? $0.1 : $0.2)" }.joined(separator: ", ")
        return "in \(time.forPeople): \(done.isEmpty ? "nothing" : done)\(Self.rest(load))"
    }

    private static func rest(_ load: Load) -> String {
        var rest = ""
        if load.admitted > 0 {
            rest += load.admitted == 1 ? "; 1 login is under way" : "; \(load.admitted) logins are under way"
            if load.waiting > 0 { rest += ", of which \(load.waiting) wait\(load.waiting == 1 ? "s" : "")" }
            if load.behind > 0 {
                rest +=
                    " and \(load.behind) \(load.behind == 1 ? "comes" : "come") after an earlier one of the same user"
            }
        }
        if load.unread > 0 { rest += "; \(load.unread) in the topic \(load.unread == 1 ? "is" : "are") not read yet" }
        return rest + (load.degraded.map { "; degraded: \($0)" } ?? "")
    }
}

extension MinuteReport.Load {
    init(_ dispatch: Dispatch) {
        let waiting = dispatch.lanes.waiting
        self.init(
            admitted: dispatch.intake.admitted,
            waiting: waiting,
            behind: waiting > 0 ? max(0, dispatch.lanes.heldUp - waiting) : 0
        )
    }
}
