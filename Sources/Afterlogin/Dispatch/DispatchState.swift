import Kafka

/// What is admitted, which lanes exist, what may run, and what may be committed.
///
/// Pure: no clock, no lock, no call outside. One method per event.
struct DispatchState {
    struct Partition {
        var epoch: Int
        var ledger = OffsetLedger()
        /// Acknowledged by the broker.
        var committed: Int64?
        var isRevoking = false
        /// Logins whose rules run now, or whose result is not acknowledged yet.
        var busy = 0
        /// The highest offset whose rules began to run.
        var highestBegun: Int64 = -1
        /// In a drain: logins below `highestBegun` that have not begun, and must, or later results would come twice.
        var gaps = 0

        /// Where a restart would go on.
        var position: Int64? { self.ledger.committable ?? self.committed ?? self.ledger.oldest }

        /// Its epoch for a record that is to be handled.
        mutating func received(_ offset: Int64) -> Int? {
            !self.isRevoking && self.ledger.received(offset) ? self.epoch : nil
        }
    }

    enum LaneState {
        /// Its first login is in `ready`.
        case ready
        case running
        /// Its first login waits for a retry or for the end of an outage; says why.
        case waiting(String)
    }

    struct Lane {
        var state = LaneState.ready
        var logins: [AdmittedLogin]
        var head = 0

        var first: AdmittedLogin { self.logins[self.head] }
        var count: Int { self.logins.count - self.head }

        mutating func removeFirst() {
            self.head += 1
            if self.head > 64, self.head * 2 > self.logins.count {
                self.logins.removeFirst(self.head)
                self.head = 0
            }
        }
    }

    struct Limits {
        var concurrency: Int
        var logins: Int
        var bytes: Int
        /// Results that the broker has not acknowledged: nothing more is begun at this many.
        var unacknowledged = 1_000
        /// Records that a restart would read again, in all partitions: bounds the ledgers while one login waits for long.
        var span = 200_000
    }

    let limits: Limits
    private(set) var partitions: [TopicPartition: Partition] = [:]
    private(set) var lanes: [LaneKey: Lane] = [:]
    /// Lanes whose first login may run, in the order they became so.
    ///
    /// Dropped lanes are skipped.
    private var ready: [LaneKey] = []
    private var readyHead = 0
    private(set) var running = 0
    /// Results handed to the publisher and not acknowledged.
    private(set) var unacknowledged = 0
    private(set) var waiting = 0
    private(set) var admitted = 0
    private(set) var admittedBytes = 0
    /// Logins not yet decoded.
    private(set) var undecoded = 0
    private(set) var intakeIsClosed = false
    private(set) var isStopping = false
    private var lastEpoch = 0

    init(limits: Limits) { self.limits = limits }

    // MARK: Partitions

    mutating func assigned(_ partition: AssignedPartition) {
        self.lastEpoch += 1
        self.partitions[partition.topicPartition] = Partition(
            epoch: self.lastEpoch,
            committed: partition.committedOffset
        )
    }

    /// What is busy may end, and so may what is older than something that has begun: else the commit would stop before it, and results beyond would come twice.
    ///
    /// Everything later is given up, and runs again elsewhere.
    mutating func revoking(_ partitions: [TopicPartition]) {
        for partition in partitions { self.partitions[partition]?.isRevoking = true }
        let revoked = Set(partitions)
        self.dropQueued(keepsGaps: true) { revoked.contains($0.partition) }
    }

    /// Nothing of these counts any more.
    mutating func removed(_ partitions: [TopicPartition]) {
        for partition in partitions { self.partitions[partition] = nil }
        let gone = Set(partitions)
        self.dropQueued(keepsGaps: false) { gone.contains($0.partition) }
    }

    mutating func stopping() {
        self.isStopping = true
        self.dropQueued(keepsGaps: true) { _ in true }
    }

    /// How much of what was begun of the partitions has not ended; a drain waits for it.
    func unfinished(of partitions: some Sequence<TopicPartition>) -> Int {
        partitions.reduce(0) { sum, partition in
            sum + (self.partitions[partition].map { $0.busy + $0.gaps } ?? 0)
        }
    }

    private mutating func dropQueued(keepsGaps: Bool, _ isDropped: (LaneKey) -> Bool) {
        for (key, lane) in self.lanes where isDropped(key) {
            let limit = keepsGaps ? self.partitions[key.partition]?.highestBegun ?? -1 : -1
            var kept: [AdmittedLogin] = []
            var queued = lane.logins[lane.head...]
            var state = lane.state
            switch lane.state {
            case .running: kept = [queued.removeFirst()]
            case .ready: break
            case .waiting:
                // A retry does not hold a drain, and nobody passes it.
                self.waiting -= 1
                for login in queued { self.release(login) }
                queued = []
                state = .ready
            }
            for login in queued {
                if login.offset < limit {
                    kept.append(login)
                    self.partitions[key.partition]?.gaps += 1
                } else {
                    self.release(login)
                }
            }
            self.lanes[key] = kept.isEmpty ? nil : Lane(state: state, logins: kept)
        }
    }

    // MARK: Logins

    /// A record was read.
    ///
    /// Returns what is to be decoded, or nil for one that is not wanted.
    mutating func received(_ record: KafkaRecord, now: ContinuousClock.Instant) -> AdmittedLogin? {
        guard !self.isStopping, let epoch = self.partitions[record.topicPartition]?.received(record.offset) else {
            return nil
        }
        self.admitted += 1
        self.undecoded += 1
        self.admittedBytes += AdmittedLogin.byteCount(of: record)
        return AdmittedLogin(record: record, epoch: epoch, arrived: now)
    }

    /// Whether more may be read.
    ///
    /// Once closed, intake opens again a good way below the limits: each opening costs a hand-over.
    mutating func intakeIsOpen() -> Bool {
        let share = self.intakeIsClosed ? 0.75 : 1.0
        let span = self.partitions.values.reduce(0) { $0 + $1.ledger.span }
        let isOpen =
            Double(self.admitted) < Double(self.limits.logins) * share
            && Double(self.admittedBytes) < Double(self.limits.bytes) * share
            && Double(span) < Double(self.limits.span) * share
        self.intakeIsClosed = !isOpen
        return isOpen
    }

    mutating func decoded(_ login: AdmittedLogin) {
        self.undecoded -= 1
        guard self.isCurrent(login), !self.isStopping,
            self.partitions[login.topicPartition]?.isRevoking == false
        else { return self.release(login) }
        let key = login.lane
        if self.lanes[key] == nil {
            self.lanes[key] = Lane(logins: [login])
            self.ready.append(key)
        } else {
            self.lanes[key]?.logins.append(login)
        }
    }

    /// The next login to run, if there is room for it.
    mutating func next() -> AdmittedLogin? {
        guard self.running < self.limits.concurrency, self.unacknowledged < self.limits.unacknowledged else {
            return nil
        }
        while self.readyHead < self.ready.count {
            let key = self.ready[self.readyHead]
            self.readyHead += 1
            if self.readyHead > 1_024, self.readyHead * 2 > self.ready.count {
                self.ready.removeFirst(self.readyHead)
                self.readyHead = 0
            }
            guard let lane = self.lanes[key], case .ready = lane.state else { continue }
            self.lanes[key]?.state = .running
            self.running += 1
            let login = lane.first
            self.partitions[key.partition]?.busy += 1
            if let partition = self.partitions[key.partition] {
                self.partitions[key.partition]?.highestBegun = max(partition.highestBegun, login.offset)
                if partition.gaps > 0 { self.partitions[key.partition]?.gaps -= 1 }
            }
            return login
        }
        return nil
    }

    /// Whether a result of this login may still be published.
    func isCurrent(_ login: AdmittedLogin) -> Bool {
        self.partitions[login.topicPartition]?.epoch == login.epoch
    }

    /// Its rules ended, and its result goes to the publisher: the lane moves on.
    mutating func published(_ login: AdmittedLogin) {
        self.running -= 1
        self.unacknowledged += 1
        self.advance(login.lane)
    }

    /// The broker has the result.
    ///
    /// Returns how many offsets became committable.
    mutating func acknowledged(_ login: AdmittedLogin) -> Int {
        self.release(login)
        self.unacknowledged -= 1
        guard self.isCurrent(login) else { return 0 }
        self.partitions[login.topicPartition]?.busy -= 1
        return self.partitions[login.topicPartition]?.ledger.resolved(login.offset) ?? 0
    }

    /// Its result counts for nothing: the partition is gone, or the worker stops.
    mutating func abandoned(_ login: AdmittedLogin, wasRunning: Bool) {
        self.release(login)
        if self.isCurrent(login) { self.partitions[login.topicPartition]?.busy -= 1 }
        guard wasRunning else {
            self.unacknowledged -= 1
            return
        }
        self.running -= 1
        self.advance(login.lane)
    }

    /// It was not finished, and is not to be here: what stands behind it in its lane is given up as well, for nobody passes it.
    ///
    /// Of a lost assignment only itself: what stands behind it then came with the present one, and runs.
    mutating func givenUp(_ login: AdmittedLogin) {
        let key = login.lane
        if self.isCurrent(login), let lane = self.lanes[key] {
            for behind in lane.logins[lane.head...].dropFirst() {
                self.release(behind)
                if let gaps = self.partitions[key.partition]?.gaps, gaps > 0 {
                    self.partitions[key.partition]?.gaps -= 1
                }
            }
            self.lanes[key] = Lane(state: .running, logins: [login])
        }
        self.abandoned(login, wasRunning: true)
    }

    /// It is to be run again later; all of its user's logins wait behind it, and no slot is held.
    ///
    /// False when it was given up instead.
    mutating func retryLater(_ login: AdmittedLogin, reason: String) -> Bool {
        guard self.isCurrent(login), !self.isStopping,
            self.partitions[login.topicPartition]?.isRevoking == false
        else {
            self.givenUp(login)
            return false
        }
        self.running -= 1
        self.waiting += 1
        self.partitions[login.topicPartition]?.busy -= 1
        let key = login.lane
        if let head = self.lanes[key]?.head { self.lanes[key]?.logins[head] = login }
        self.lanes[key]?.state = .waiting(reason)
        return true
    }

    /// Its time has come.
    mutating func retryDue(_ login: AdmittedLogin) {
        let key = login.lane
        guard let lane = self.lanes[key], case .waiting = lane.state, lane.first.epoch == login.epoch,
            lane.first.offset == login.offset
        else { return }
        self.waiting -= 1
        self.lanes[key]?.state = .ready
        self.ready.append(key)
    }

    private mutating func advance(_ key: LaneKey) {
        guard var lane = self.lanes[key], case .running = lane.state else { return }
        lane.removeFirst()
        if lane.count == 0 {
            self.lanes[key] = nil
        } else {
            lane.state = .ready
            self.lanes[key] = lane
            self.ready.append(key)
        }
    }

    private mutating func release(_ login: AdmittedLogin) {
        self.admitted -= 1
        self.admittedBytes -= login.byteCount
    }

    /// Everything of the partition below that offset was received.
    ///
    /// Returns how many offsets became committable.
    mutating func endReached(_ partition: TopicPartition, at offset: Int64) -> Int {
        self.partitions[partition]?.ledger.endReached(offset) ?? 0
    }

    // MARK: Commits

    /// What may be committed and is not, of all partitions that are ours.
    func commits() -> [OffsetCommit] {
        self.partitions.compactMap { partition, state in
            guard let offset = state.ledger.committable, offset != state.committed else { return nil }
            return OffsetCommit(topicPartition: partition, offset: offset)
        }
    }

    mutating func committed(_ offsets: [OffsetCommit]) {
        for commit in offsets where self.partitions[commit.topicPartition] != nil {
            self.partitions[commit.topicPartition]?.committed = commit.offset
        }
    }
}
