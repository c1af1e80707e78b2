import AfterloginSystem

/// Whether this member may still believe that its partitions are its own.
///
/// A process that was stopped longer than the session wakes up believing that it still owns its partitions (measured: 16 stale results
/// acknowledged before the first commit failed). So a gap between two ticks of the poll thread breaks the lease, and only the acknowledgement of a commit
/// that was *sent after the gap* mends it: the broker accepts it from a member of the current generation only. When nobody commits, the consumer repeats the
/// last stored commit of one partition, or commits its first record's offset where there is none.
struct ConsumerLease {
    /// A tick that is later than this finds the lease broken.
    let term: Duration
    private(set) var isBroken = false
    private var lastTick: BootTime
    /// Commits with a ticket above this were sent after the gap.
    private var lastTicketBeforeGap: UInt = 0

    /// The margin is a third of the session: time for what was produced just before the end of the term to arrive.
    init(session: Duration, now: BootTime) {
        self.term = session * 2 / 3
        self.lastTick = now
    }

    /// Returns true when this tick found a gap; to be published before the tick itself.
    mutating func ticked(_ now: BootTime, lastTicket: UInt) -> Bool {
        let isGap = now.nanoseconds - self.lastTick.nanoseconds > self.term.wholeNanoseconds
        if isGap {
            self.isBroken = true
            self.lastTicketBeforeGap = lastTicket
        }
        self.lastTick = now
        return isGap
    }

    mutating func commitStored(ticket: UInt) {
        if ticket > self.lastTicketBeforeGap { self.isBroken = false }
    }
}
