import AfterloginKafka

/// Whether logins may begin, and what must end until when.
struct Drain {
    typealias Instant = ContinuousClock.Instant

    struct Revocation: Equatable {
        var partitions: [TopicPartition]
        var deadline: Instant
    }

    enum Reason: Equatable {
        case revoked(Revocation)
        /// Everything ends; a revocation that was under way is still to be answered.
        case stopped(deadline: Instant, Revocation?)
    }

    enum State: Equatable {
        /// Exits: `.draining` (`revoked`, `stopped`), `.over` (`ended`: the input has ended, or nothing can go on).
        case running
        /// Exits: `.running` (`revocationEnded`), another reason (`revoked`, `stopped`), `.over` (`ended`).
        case draining(Reason)
        /// No exit.
        case over
    }

    private(set) var state = State.running
    /// There is nothing more to come: what was read is finished, and that is the end.
    private(set) var inputHasEnded = false
    /// Of the stop, also when that is over.
    private(set) var stopDeadline: Instant?

    var revocation: Revocation? {
        switch self.state {
        case .draining(.revoked(let revocation)), .draining(.stopped(_, let revocation?)): revocation
        case .running, .draining(.stopped(_, nil)), .over: nil
        }
    }

    /// When the first of what is under way must have ended.
    var deadline: Instant? {
        switch self.state {
        case .running, .over: nil
        case .draining(.revoked(let revocation)): revocation.deadline
        case .draining(.stopped(let deadline, let revocation)): min(deadline, revocation?.deadline ?? deadline)
        }
    }

    /// Nothing new is begun, and nothing more taken, of any partition.
    var isStopping: Bool {
        switch self.state {
        case .running, .draining(.revoked): false
        case .draining(.stopped), .over: true
        }
    }

    /// A commit need not wait for company.
    var isUrgent: Bool { self.state != .running || self.inputHasEnded }

    /// A second one before the first is answered is answered with it.
    mutating func revoked(_ partitions: [TopicPartition], deadline: Instant) {
        let earlier = self.revocation?.partitions ?? []
        let all = earlier + partitions.filter { !earlier.contains($0) }
        self.revocationChanged(Revocation(partitions: all, deadline: deadline))
    }

    /// These are gone; a revocation of nothing else needs no answer.
    mutating func lost(_ partitions: [TopicPartition]) {
        guard var revocation = self.revocation else { return }
        revocation.partitions.removeAll { partitions.contains($0) }
        self.revocationChanged(revocation.partitions.isEmpty ? nil : revocation)
    }

    mutating func revocationEnded() { self.revocationChanged(nil) }

    private mutating func revocationChanged(_ revocation: Revocation?) {
        switch self.state {
        case .running, .draining(.revoked): self.state = revocation.map { .draining(.revoked($0)) } ?? .running
        case .draining(.stopped(let deadline, _)): self.state = .draining(.stopped(deadline: deadline, revocation))
        case .over: break
        }
    }

    /// False where it was told before.
    mutating func stopped(deadline: Instant) -> Bool {
        guard !self.isStopping else { return false }
        self.state = .draining(.stopped(deadline: deadline, self.revocation))
        self.stopDeadline = deadline
        return true
    }

    mutating func inputEnded() { self.inputHasEnded = true }

    /// False where it was over before.
    mutating func ended() -> Bool {
        defer { self.state = .over }
        return self.state != .over
    }
}
