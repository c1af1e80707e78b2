/// Commits in the order asked, one under way at a time, so that an older one can never be stored after a newer one.
///
/// Pure: completions are known by their ticket.
struct CommitQueue {
    enum Action: Equatable {
        case wait
        case send(ticket: UInt, [OffsetCommit])
        /// Nothing of it is ours any more.
        case refuse(ticket: UInt, [TopicPartition])
    }

    struct Answer: Equatable {
        var ticket: UInt
        /// What was left out because it is not ours any more.
        var refused: [TopicPartition]
        var sent: [OffsetCommit]
    }

    private var waiting: [(ticket: UInt, offsets: [OffsetCommit])] = []
    private var underWay: Answer?
    private(set) var lastTicket: UInt = 0
    /// What the group is known to hold for our partitions.
    private(set) var stored: [TopicPartition: OffsetCommit] = [:]

    var openCount: Int { self.waiting.count + (self.underWay == nil ? 0 : 1) }

    /// What `next` would look at.
    var nextOffsets: [OffsetCommit] { self.underWay == nil ? self.waiting.first?.offsets ?? [] : [] }

    mutating func asked(_ offsets: [OffsetCommit]) -> UInt {
        self.lastTicket += 1
        self.waiting.append((self.lastTicket, offsets))
        return self.lastTicket
    }

    /// What to do next; ownership is looked at only now, for it may have changed while the commit waited.
    mutating func next(isOurs: (TopicPartition) -> Bool) -> Action {
        guard self.underWay == nil, !self.waiting.isEmpty else { return .wait }
        let (ticket, offsets) = self.waiting.removeFirst()
        let sent = offsets.filter { isOurs($0.topicPartition) }
        let refused = offsets.map(\.topicPartition).filter { !isOurs($0) }
        guard !sent.isEmpty else { return .refuse(ticket: ticket, refused) }
        self.underWay = Answer(ticket: ticket, refused: refused, sent: sent)
        return .send(ticket: ticket, sent)
    }

    /// The broker answered; nil for an answer nobody waits for.
    mutating func answered(ticket: UInt, failed: Set<TopicPartition>) -> Answer? {
        guard let answer = self.underWay, answer.ticket == ticket else { return nil }
        self.underWay = nil
        for commit in answer.sent where !failed.contains(commit.topicPartition) {
            self.stored[commit.topicPartition] = commit
        }
        return answer
    }

    mutating func started(_ partition: AssignedPartition) {
        self.stored[partition.topicPartition] = partition.committedOffset.map {
            OffsetCommit(topicPartition: partition.topicPartition, offset: $0, map: partition.committedMap)
        }
    }

    /// Nothing was committed for it yet: its first record is what a commit without progress would name.
    mutating func firstRecord(_ partition: TopicPartition, offset: Int64) {
        if self.stored[partition] == nil {
            self.stored[partition] = OffsetCommit(topicPartition: partition, offset: offset)
        }
    }

    mutating func ended(_ partitions: [TopicPartition]) {
        for partition in partitions { self.stored[partition] = nil }
    }

    /// Everything that still waits, for the end.
    mutating func drained() -> [UInt] {
        defer {
            self.waiting = []
            self.underWay = nil
        }
        return (self.underWay.map { [$0.ticket] } ?? []) + self.waiting.map(\.ticket)
    }
}
