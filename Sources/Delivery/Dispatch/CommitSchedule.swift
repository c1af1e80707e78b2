/// When to commit: one commit in flight, the next after 25 ms or when a quarter of the limit waits for one.
///
/// Pure: the time is given.
struct CommitSchedule {
    enum Action: Equatable {
        case none
        case commit
        /// Ask again then.
        case wait(until: ContinuousClock.Instant)
    }

    enum Answer: Equatable {
        case stored
        /// So much waits again; the next attempt comes after a while.
        case refused(Int)
        /// So much waits again, in other words, which nothing keeps from being sent at once.
        case reworded(Int)
    }

    /// Measured cost of a commit of eight partitions: 0.14 ms of our processor time, 0.7 ms of the broker's (KAFKA.md); so 40 a second are cheap.
    static let interval = Duration.milliseconds(25)
    let limit: Int
    private(set) var isInFlight = false
    /// Completions that a commit may name and none does.
    private(set) var waiting = 0
    private var lastSent: ContinuousClock.Instant?
    private var notBefore: ContinuousClock.Instant?

    init(limit: Int) { self.limit = max(1, limit) }

    mutating func advanced(_ count: Int) { self.waiting += count }

    /// What to do now; `isUrgent` when a drain waits for it.
    mutating func next(_ now: ContinuousClock.Instant, isUrgent: Bool) -> Action {
        guard !self.isInFlight, self.waiting > 0 else { return .none }
        if let notBefore, now < notBefore { return .wait(until: notBefore) }
        if let lastSent, !isUrgent, self.waiting < self.limit / 4 {
            let due = lastSent.advanced(by: Self.interval)
            if now < due { return .wait(until: due) }
        }
        self.isInFlight = true
        self.lastSent = now
        self.waiting = 0
        return .commit
    }

    mutating func answered(_ now: ContinuousClock.Instant, _ answer: Answer) {
        self.isInFlight = false
        switch answer {
        case .stored: self.notBefore = nil
        case .refused(let count):
            self.waiting += count
            self.notBefore = now.advanced(by: .milliseconds(500))
        case .reworded(let count):
            self.waiting += count
            (self.lastSent, self.notBefore) = (nil, nil)
        }
    }
}
