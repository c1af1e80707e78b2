/// Whether this worker has been without a share of its group for so long that people are told, once each time.
///
/// Pure: the time is given.
struct AssignmentWatch {
    /// Longer than a start or a rebalance takes where all members answer.
    static let patience = Duration.seconds(8)

    private var since: ContinuousClock.Instant?
    private var isSaid = false

    /// For how long it has been without, where that is to be said now.
    mutating func looked(isAssigned: Bool, now: ContinuousClock.Instant) -> Duration? {
        guard !isAssigned else {
            self = Self()
            return nil
        }
        let since = self.since ?? now
        self.since = since
        guard !self.isSaid, now - since >= Self.patience else { return nil }
        self.isSaid = true
        return now - since
    }
}
