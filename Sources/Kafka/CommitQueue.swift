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

    /// Asked, not sent yet; what was refused meanwhile is named already.
    private struct Waiting {
        var ticket: UInt
        var offsets: [OffsetCommit]
        var refused: [TopicPartition] = []
    }

    private var waiting: [Waiting] = []
    /// Of partitions whose topic was replaced: the offset behind the last record of the new one.
    ///
    /// A commit that goes beyond was asked for the old one, whenever it comes.
    private var limits: [TopicPartition: Int64] = [:]
    /// Everything below was handed over; nil before the first record of an assignment.
    private var delivered: [TopicPartition: Int64] = [:]
    private var underWay: Answer?
    private(set) var lastTicket: UInt = 0
    /// What the group is known to hold for our partitions.
    private(set) var stored: [TopicPartition: OffsetCommit] = [:]

    var openCount: Int { self.waiting.count + (self.underWay == nil ? 0 : 1) }

    /// What `next` would look at.
    var nextOffsets: [OffsetCommit] { self.underWay == nil ? self.waiting.first?.offsets ?? [] : [] }

    mutating func asked(_ offsets: [OffsetCommit]) -> UInt {
        self.lastTicket += 1
        self.waiting.append(Waiting(ticket: self.lastTicket, offsets: offsets))
        return self.lastTicket
    }

    /// What to do next; ownership is looked at only now, for it may have changed while the commit waited.
    mutating func next(isOurs: (TopicPartition) -> Bool) -> Action {
        guard self.underWay == nil, !self.waiting.isEmpty else { return .wait }
        let first = self.waiting.removeFirst()
        var sent: [OffsetCommit] = []
        var refused = first.refused
        for commit in first.offsets {
            let limit = self.limits[commit.topicPartition] ?? .max
            if isOurs(commit.topicPartition), commit.offset <= limit {
                sent.append(commit)
            } else {
                refused.append(commit.topicPartition)
            }
        }
        guard !sent.isEmpty else { return .refuse(ticket: first.ticket, refused) }
        self.underWay = Answer(ticket: first.ticket, refused: refused, sent: sent)
        return .send(ticket: first.ticket, sent)
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

    /// Where it is read from next, as far as is known here.
    func position(of partition: TopicPartition) -> Int64? {
        self.delivered[partition] ?? self.stored[partition]?.offset
    }

    /// Nothing was committed for it yet: its first record is what a commit without progress would name.
    mutating func firstRecord(_ partition: TopicPartition, offset: Int64) {
        if self.stored[partition] == nil {
            self.stored[partition] = OffsetCommit(topicPartition: partition, offset: offset)
        }
    }

    mutating func ended(_ partitions: [TopicPartition]) {
        for partition in partitions {
            self.stored[partition] = nil
            self.limits[partition] = nil
            self.delivered[partition] = nil
        }
    }

    /// Another topic has the partition's name now: what was asked for the old one is refused, and what is under way counts for nothing.
    ///
    /// The broker may store that one in the new topic; the next commit, which is lower, replaces it.
    mutating func replaced(_ partition: TopicPartition) {
        self.stored[partition] = nil
        self.delivered[partition] = nil
        self.limits[partition] = 0
        for index in self.waiting.indices
        where self.waiting[index].offsets.contains(where: { $0.topicPartition == partition }) {
            self.waiting[index].offsets.removeAll { $0.topicPartition == partition }
            self.waiting[index].refused.append(partition)
        }
        if self.underWay?.sent.contains(where: { $0.topicPartition == partition }) == true {
            self.underWay?.sent.removeAll { $0.topicPartition == partition }
            self.underWay?.refused.append(partition)
        }
    }

    /// Everything below this offset was handed over, or is not a record.
    mutating func delivered(_ partition: TopicPartition, upTo offset: Int64) {
        self.delivered[partition] = offset
        guard let limit = self.limits[partition] else { return }
        self.limits[partition] = max(limit, offset)
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
