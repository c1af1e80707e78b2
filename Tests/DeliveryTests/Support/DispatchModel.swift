import AfterloginKafka

@testable import AfterloginDelivery

/// What must hold whatever happens in whatever order, said without the means of `Dispatch`.
struct DispatchModel {
    struct Result: Hashable {
        var partition: TopicPartition
        var id: AdmittedLogin.ID
    }

    /// What the broker holds for the group, and what of it is done for good.
    var stored: [TopicPartition: OffsetCommit] = [:]
    private(set) var done: [TopicPartition: Set<Int64>] = [:]
    private(set) var delivered: [TopicPartition: Set<Int64>] = [:]
    /// Results that were handed over and no stored commit covers: a crash would bring them again.
    private(set) var uncovered: Set<Result> = []
    /// Who runs, by user; of each user what is to come, in order.
    private(set) var running: [LaneKey: AdmittedLogin] = [:]
    private var queues: [LaneKey: [AdmittedLogin]] = [:]
    private var paused: Set<AdmittedLogin.ID> = []
    var problems: [String] = []

    func covers(_ partition: TopicPartition, _ offset: Int64) -> Bool {
        guard let commit = self.stored[partition] else { return false }
        return offset < commit.offset
            || CompletionMap.decode(commit.map, from: commit.offset)?.contains { $0.contains(offset) } == true
    }

    mutating func delivered(_ record: KafkaRecord) {
        self.delivered[record.topicPartition, default: []].insert(record.offset)
    }
    mutating func decoded(_ login: AdmittedLogin) { self.queues[login.lane, default: []].append(login) }

    mutating func begun(_ login: AdmittedLogin, inOrderOfArrival: Bool) {
        let key = login.lane
        if let other = self.running[key] { self.problems.append("\(login.offset) beside \(other.offset)") }
        if self.queues[key]?.first != login { self.problems.append("\(login.offset) out of its user's order") }
        if self.covers(key.partition, login.offset) { self.problems.append("\(login.offset) again") }
        let earlier = self.queues.values.compactMap(\.first).filter {
            $0.arrival < login.arrival && self.running[$0.lane] == nil && !self.paused.contains($0.id)
        }
        if inOrderOfArrival, let first = earlier.first {
            self.problems.append("\(login.offset) before \(first.offset)")
        }
        self.running[key] = login
        self.paused.remove(login.id)
    }

    mutating func paused(_ login: AdmittedLogin) {
        self.running[login.lane] = nil
        self.paused.insert(login.id)
    }

    mutating func handedOver(_ login: AdmittedLogin) {
        self.uncovered.insert(Result(partition: login.topicPartition, id: login.id))
    }

    /// It was not written, and is not before it is handed over again.
    mutating func refused(_ login: AdmittedLogin) {
        self.uncovered.remove(Result(partition: login.topicPartition, id: login.id))
    }

    /// It has left its lane: published, or given up.
    mutating func ended(_ login: AdmittedLogin) {
        if self.running[login.lane] == login { self.running[login.lane] = nil }
        self.queues[login.lane]?.removeAll { $0 == login }
        self.paused.remove(login.id)
    }

    mutating func acknowledged(_ login: AdmittedLogin) {
        self.done[login.topicPartition, default: []].insert(login.offset)
    }

    /// Of these nothing more begins; what runs may end.
    mutating func draining(_ isDraining: (TopicPartition) -> Bool) {
        for (key, queue) in self.queues where isDraining(key.partition) {
            self.queues[key] = queue.filter { $0 == self.running[key] }
        }
    }

    /// Of partitions that are somebody else's nothing is to come; what runs, runs on.
    mutating func gone(_ isGone: (TopicPartition) -> Bool) {
        for key in self.queues.keys where isGone(key.partition) { self.queues[key] = nil }
        self.uncovered = self.uncovered.filter { !isGone($0.partition) }
    }

    mutating func committed(_ commit: OffsetCommit) {
        let (partition, done) = (commit.topicPartition, self.done[commit.topicPartition] ?? [])
        let ranges = CompletionMap.decode(commit.map, from: commit.offset) ?? []
        for offset in self.delivered[partition] ?? [] where !done.contains(offset) {
            if offset < commit.offset { self.problems.append("committed over \(offset)") }
            if ranges.contains(where: { $0.contains(offset) }) { self.problems.append("\(offset) is in the map") }
        }
    }

    mutating func wasStored(_ commit: OffsetCommit, epoch: Int?) {
        self.stored[commit.topicPartition] = commit
        self.uncovered = self.uncovered.filter { $0.id.epoch != epoch || !self.covers($0.partition, $0.id.offset) }
    }

    /// Another process goes on from here.
    mutating func restarted() {
        (self.uncovered, self.running, self.queues, self.paused) = ([], [:], [:], [])
    }
}
