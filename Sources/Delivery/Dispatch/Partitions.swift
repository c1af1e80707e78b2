import AfterloginKafka

/// The partitions that are ours: what of each is done, what the group knows of it, and what a crash would bring again.
struct Partitions {
    /// One assignment of a partition.
    struct Partition {
        let name: TopicPartition
        let epoch: Int
        fileprivate(set) var ledger: OffsetLedger
        /// Acknowledged by the broker.
        fileprivate(set) var committed: Int64?
        fileprivate(set) var isRevoking = false
        /// Logins that a drain waits for: they work, or their result is not acknowledged yet.
        fileprivate(set) var busy = 0
        /// Logins that were begun and are not complete; those that wait are not among them.
        fileprivate(set) var underWay = 0
        /// Results handed over that no acknowledged commit covers.
        fileprivate(set) var uncovered = 0
        /// The offsets of those that were acknowledged and are in no commit that is under way.
        fileprivate var completed: [Int64] = []
        fileprivate var isChanged = false
        fileprivate var sent: Sent?

        /// Where a restart would go on.
        var position: Int64? { self.ledger.position ?? self.committed }
        fileprivate var isSettled: Bool { self.busy == 0 && !self.isChanged && self.sent == nil }
    }

    /// What a commit that is under way says of a partition.
    fileprivate struct Sent {
        var offset: Int64
        /// The commit tells of nothing from here on.
        var end: Int64
        var completed: [Int64]
    }

    private var byEpoch: [Int: Partition] = [:]
    private var epochs: [TopicPartition: Int] = [:]
    private var lastEpoch = 0
    /// How long a map may be; nil where none is kept.
    private(set) var mapLimit: Int?
    /// Results handed over that no acknowledged commit covers, of all partitions.
    private(set) var uncovered = 0
    /// The group gave this member its share, which may be nothing.
    private(set) var isAssigned = false

    init(mapLimit: Int?) { self.mapLimit = mapLimit }

    var all: some Collection<Partition> { self.byEpoch.values }
    var names: [TopicPartition] { Array(self.epochs.keys) }
    var isEmpty: Bool { self.byEpoch.isEmpty }
    func isCurrent(_ login: AdmittedLogin) -> Bool { self.isCurrent(epoch: login.epoch) }
    func isCurrent(epoch: Int) -> Bool { self.byEpoch[epoch] != nil }
    func isRevoking(_ login: AdmittedLogin) -> Bool { self.byEpoch[login.epoch]?.isRevoking ?? true }
    subscript(name: TopicPartition) -> Partition? { self.epochs[name].flatMap { self.byEpoch[$0] } }
    func epochs(of partitions: [TopicPartition]) -> Set<Int> { Set(partitions.compactMap { self.epochs[$0] }) }

    // MARK: Coming and going

    /// The group gave these to this member; returns those whose committed map could not be read.
    mutating func assigned(_ partitions: [AssignedPartition]) -> [TopicPartition] {
        self.isAssigned = true
        var damaged: [TopicPartition] = []
        for partition in partitions {
            let name = partition.topicPartition
            let restored = CompletionMap.decode(partition.committedMap, from: partition.committedOffset ?? 0)
            if restored == nil { damaged.append(name) }
            self.remove([name])
            self.lastEpoch += 1
            self.epochs[name] = self.lastEpoch
            self.byEpoch[self.lastEpoch] = Partition(
                name: name,
                epoch: self.lastEpoch,
                ledger: OffsetLedger(restored: restored ?? []),
                committed: partition.committedOffset
            )
        }
        return damaged
    }

    mutating func revoking(_ partitions: [TopicPartition]) {
        for epoch in self.epochs(of: partitions) { self.byEpoch[epoch]?.isRevoking = true }
    }

    /// Nothing of these counts any more.
    mutating func removed(_ partitions: [TopicPartition]) {
        self.remove(partitions)
        if self.byEpoch.isEmpty { self.isAssigned = false }
    }

    private mutating func remove(_ partitions: [TopicPartition]) {
        for name in partitions {
            guard let epoch = self.epochs.removeValue(forKey: name) else { continue }
            self.uncovered -= self.byEpoch.removeValue(forKey: epoch)?.uncovered ?? 0
        }
    }

    // MARK: Records and logins

    enum Reception: Equatable {
        case admitted(epoch: Int)
        /// Complete by the committed map.
        case complete
        /// Known, or not ours (any more).
        case unwanted
    }

    mutating func received(_ record: KafkaRecord) -> Reception {
        guard let epoch = self.epochs[record.topicPartition], self.byEpoch[epoch]?.isRevoking == false else {
            return .unwanted
        }
        switch self.byEpoch[epoch]?.ledger.received(record.offset) {
        case .admitted: return .admitted(epoch: epoch)
        case .complete:
            self.byEpoch[epoch]?.isChanged = true
            return .complete
        case .known, nil: return .unwanted
        }
    }

    /// Everything below was delivered, and taken; returns whether there is more to commit.
    mutating func endReached(_ name: TopicPartition, at offset: Int64) -> Bool {
        guard let epoch = self.epochs[name], self.byEpoch[epoch]?.isRevoking == false,
            self.byEpoch[epoch]?.ledger.endReached(offset) == true
        else { return false }
        self.byEpoch[epoch]?.isChanged = true
        return true
    }

    mutating func begun(_ login: AdmittedLogin) {
        self.byEpoch[login.epoch]?.busy += 1
        self.byEpoch[login.epoch]?.underWay += 1
    }

    /// It works no more for now, and holds no drain.
    mutating func slotGivenBack(_ login: AdmittedLogin) { self.byEpoch[login.epoch]?.busy -= 1 }
    mutating func slotTaken(_ login: AdmittedLogin) { self.byEpoch[login.epoch]?.busy += 1 }

    /// It is not complete and works no more.
    mutating func left(_ login: AdmittedLogin, hadSlot: Bool) {
        self.byEpoch[login.epoch]?.busy -= hadSlot ? 1 : 0
        self.byEpoch[login.epoch]?.underWay -= 1
    }

    /// Its result goes to the publisher.
    mutating func published(_ login: AdmittedLogin) {
        guard self.isCurrent(login) else { return }
        self.byEpoch[login.epoch]?.uncovered += 1
        self.uncovered += 1
    }

    /// The broker has the result; false where that counts for nothing.
    mutating func acknowledged(_ login: AdmittedLogin) -> Bool {
        guard self.isCurrent(login) else { return false }
        self.left(login, hadSlot: true)
        self.byEpoch[login.epoch]?.ledger.resolved(login.offset)
        self.byEpoch[login.epoch]?.completed.append(login.offset)
        self.byEpoch[login.epoch]?.isChanged = true
        return true
    }

    /// The topic refused its result, which waits to be handed over again: it holds the commit, but neither a drain nor others.
    mutating func refused(_ login: AdmittedLogin) {
        guard self.isCurrent(login) else { return }
        self.slotGivenBack(login)
        self.byEpoch[login.epoch]?.uncovered -= 1
        self.uncovered -= 1
    }

    /// Its result was handed over, and is published by nobody.
    mutating func dropped(_ login: AdmittedLogin) {
        guard self.isCurrent(login) else { return }
        self.left(login, hadSlot: true)
        self.byEpoch[login.epoch]?.uncovered -= 1
        self.uncovered -= 1
    }

    // MARK: The map

    /// Whether the map has room for what may become of this login.
    ///
    /// At three quarters nothing begins that would lengthen the map by a pair. Before that, what is under way must fit beside it: each login adds at most
    /// one pair, of at most three letters with a gap below 64. The oldest login of a partition adds none, so no full map stands still for good.
    mutating func hasRoom(for login: AdmittedLogin) -> Bool {
        guard let limit = self.mapLimit, let underWay = self.byEpoch[login.epoch]?.underWay else { return true }
        let room = min(limit * 3 / 4, limit - 3 * (underWay + 1))
        return self.byEpoch[login.epoch]?.ledger.mapIsShorter(than: room) == true
            || self.byEpoch[login.epoch]?.ledger.addsPair(login.offset) == false
    }

    /// Whether it is what holds the commit of its partition.
    func holdsTheCommit(_ login: AdmittedLogin) -> Bool {
        self.byEpoch[login.epoch]?.ledger.position == login.offset
    }

    // MARK: Commits

    /// Of what has changed since the last commit.
    mutating func takeCommits() -> [OffsetCommit] {
        var commits: [OffsetCommit] = []
        for (epoch, partition) in self.byEpoch where partition.isChanged {
            guard let offset = partition.ledger.position else { continue }
            var text = CompletionMap.Text(bytes: [], end: .max)
            if let limit = self.mapLimit {
                text = CompletionMap.encode(partition.ledger.complete(), from: offset, limit: limit)
                precondition(text.bytes.count <= limit, "librdkafka stores an empty text where one is too long")
            }
            self.byEpoch[epoch]?.isChanged = false
            self.byEpoch[epoch]?.completed = []
            self.byEpoch[epoch]?.sent = Sent(offset: offset, end: text.end, completed: partition.completed)
            commits.append(OffsetCommit(topicPartition: partition.name, offset: offset, map: text.bytes))
        }
        return commits
    }

    /// The commit under way was answered; returns how many partitions are to be committed again.
    mutating func commitAnswered(stored isStored: (TopicPartition) -> Bool) -> Int {
        var again = 0
        for (epoch, partition) in self.byEpoch {
            guard let sent = partition.sent else { continue }
            self.byEpoch[epoch]?.sent = nil
            guard isStored(partition.name) else {
                self.byEpoch[epoch]?.completed += sent.completed
                self.byEpoch[epoch]?.isChanged = true
                again += 1
                continue
            }
            let rest = sent.completed.filter { $0 >= max(sent.end, sent.offset) }
            let covered = sent.completed.count - rest.count
            self.byEpoch[epoch]?.committed = sent.offset
            self.byEpoch[epoch]?.completed += rest
            self.byEpoch[epoch]?.uncovered -= covered
            self.uncovered -= covered
        }
        return again
    }

    /// A broker takes less than it said: from now on maps are half as long.
    mutating func mapRefused() { self.mapLimit = self.mapLimit.map { $0 / 2 } }

    /// Nothing is on its way that could cover more results.
    var isCoveredAsFarAsCanBe: Bool {
        self.byEpoch.values.allSatisfy { $0.uncovered == $0.completed.count && !$0.isChanged && $0.sent == nil }
    }

    // MARK: Drains

    /// Whether nothing of these is under way, and all that is done is committed.
    func areSettled(_ partitions: [TopicPartition]) -> Bool {
        partitions.allSatisfy { self[$0]?.isSettled ?? true }
    }

    /// How many logins of these were begun and did not end in time.
    func unfinished(of partitions: [TopicPartition]) -> Int { partitions.reduce(0) { $0 + (self[$1]?.busy ?? 0) } }
}
