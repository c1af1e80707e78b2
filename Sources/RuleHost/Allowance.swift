/// So many in so much time, and no more.
struct Allowance {
    let limit: Int
    let period: Duration
    private var end: ContinuousClock.Instant?
    private var left = 0

    init(limit: Int, every period: Duration) {
        self.limit = limit
        self.period = period
    }

    /// Takes one; false where none is left.
    mutating func take(at now: ContinuousClock.Instant) -> Bool {
        if now >= self.end ?? now {
            self.end = now + self.period
            self.left = self.limit
        }
        guard self.left > 0 else { return false }
        self.left -= 1
        return true
    }
}
