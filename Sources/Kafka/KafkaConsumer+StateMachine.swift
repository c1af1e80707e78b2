extension KafkaConsumer {
    /// Which partitions are ours, in what standing, and what the thread must do next.
    ///
    /// Pure: no clock, no C call, and no completion is called in here.
    struct StateMachine {
        enum Standing: Equatable {
            /// Delivered and committed.
            case active
            /// Not delivered any more, but still committed, until the drain ends.
            case revoking
            /// Gone while still assigned (its topic was deleted): neither delivered nor committed.
            case vanished(since: BootTime)
            /// Still assigned, but where it is to be read from is nothing (any more): neither delivered nor committed, until it is assigned again.
            case standing
        }

        enum Phase: Equatable {
            /// Exits: `.assigning` (`assignmentReceived`), `.revoking` (`revocationReceived`), `.leaving` (`leaveAsked`).
            case member
            /// Waits for the committed offsets. Exits: `.member` (`committedFetched`, `revocationReceived`), `.leaving`.
            case assigning([TopicPartition])
            /// Drains. Exits: `.member` (finished, deadline, lost), `.leaving`.
            case revoking(deadline: BootTime, isFinished: Bool)
            /// Leaves the group; nothing is delivered or drained. No exit.
            case leaving
        }

        enum AssignmentAction: Equatable {
            case fetchCommitted([TopicPartition])
            case decline
        }

        enum RevocationAction: Equatable {
            case drain([TopicPartition])
            /// Unassign at once; `lost` is to be reported.
            case unassign([TopicPartition], lost: [TopicPartition])
        }

        enum DrainAction: Equatable {
            case wait
            /// The drain is over; `abandoned` missed the deadline or were lost in it, and are to be reported as lost.
            case unassign([TopicPartition], abandoned: [TopicPartition])
        }

        private(set) var phase = Phase.member
        private(set) var partitions: [TopicPartition: Standing] = [:]
        /// What the pending revoke named, the vanished ones included; all of these are unassigned at its end.
        private var revoked: [TopicPartition] = []
        private let revocationDeadline: Duration

        init(revocationDeadline: Duration) { self.revocationDeadline = revocationDeadline }

        var isLeaving: Bool { self.phase == .leaving }

        var drainDeadline: BootTime? {
            guard case .revoking(let deadline, _) = self.phase else { return nil }
            return deadline
        }

        func isDelivered(_ partition: TopicPartition) -> Bool { self.partitions[partition] == .active }

        /// A commit for anything else could overwrite the progress of its new owner: the broker does not check.
        func isCommitted(_ partition: TopicPartition) -> Bool {
            switch self.partitions[partition] {
            case .active, .revoking: true
            case .vanished, .standing, nil: false
            }
        }

        mutating func assignmentReceived(_ partitions: [TopicPartition]) -> AssignmentAction {
            switch self.phase {
            case .leaving: return .decline
            case .member, .assigning, .revoking:
                self.phase = .assigning(partitions)
                return .fetchCommitted(partitions)
            }
        }

        /// The partitions whose start is known now; false when they were taken away meanwhile.
        mutating func committedFetched(_ partitions: [TopicPartition]) -> Bool {
            guard case .assigning(partitions) = self.phase else { return false }
            for partition in partitions { self.partitions[partition] = .active }
            self.phase = .member
            return true
        }

        mutating func revocationReceived(
            _ partitions: [TopicPartition],
            isLost: Bool,
            now: BootTime
        ) -> RevocationAction {
            let ours = partitions.filter { self.isCommitted($0) }
            if isLost || ours.isEmpty || self.isLeaving {
                self.remove(partitions)
                if !self.isLeaving { self.phase = .member }
                return .unassign(partitions, lost: isLost ? ours : [])
            }
            for partition in ours { self.partitions[partition] = .revoking }
            self.revoked = partitions
            self.phase = .revoking(deadline: now.advanced(by: self.revocationDeadline), isFinished: false)
            return .drain(ours)
        }

        /// The ledger has drained; commits that are under way are still waited for.
        mutating func revocationFinished(openCommits: Int) -> DrainAction {
            guard case .revoking(let deadline, _) = self.phase else { return .wait }
            self.phase = .revoking(deadline: deadline, isFinished: true)
            return self.commitAnswered(openCommits: openCommits)
        }

        mutating func commitAnswered(openCommits: Int) -> DrainAction {
            guard case .revoking(_, isFinished: true) = self.phase, openCommits == 0 else { return .wait }
            return self.endDrain(abandoned: false)
        }

        mutating func clockTicked(_ now: BootTime) -> DrainAction {
            guard case .revoking(let deadline, let isFinished) = self.phase, now >= deadline else { return .wait }
            return self.endDrain(abandoned: !isFinished)
        }

        /// The session ended in the middle of a drain.
        mutating func assignmentLost() -> DrainAction {
            guard case .revoking = self.phase else { return .wait }
            return self.endDrain(abandoned: true)
        }

        private mutating func endDrain(abandoned: Bool) -> DrainAction {
            let partitions = self.revoked
            let lost = abandoned ? partitions.filter { self.partitions[$0] == .revoking } : []
            self.remove(partitions)
            self.phase = .member
            return .unassign(partitions, abandoned: lost)
        }

        /// The cluster does not know these any more: their topic was deleted.
        ///
        /// Returns those that are lost by it.
        mutating func partitionsVanished(_ partitions: [TopicPartition], now: BootTime) -> [TopicPartition] {
            let lost = partitions.filter { self.isCommitted($0) }
            for partition in lost { self.partitions[partition] = .vanished(since: now) }
            return lost
        }

        /// It can't be read from where it is to be read; the others go on.
        ///
        /// Returns false where it is not ours.
        mutating func positionLost(_ partition: TopicPartition) -> Bool {
            guard self.isDelivered(partition) else { return false }
            self.partitions[partition] = .standing
            return true
        }

        /// Whether a vanished partition has waited so long for its revoke that the group must be joined anew.
        ///
        /// librdkafka joins again by itself when it sees that the topics changed; where it saw nothing, the partition would stand still for ever.
        mutating func rejoinIsDue(_ now: BootTime, patience: Duration) -> Bool {
            guard case .member = self.phase else { return false }
            var isDue = false
            for case (let partition, .vanished(let since)) in self.partitions where now >= since.advanced(by: patience)
            {
                self.partitions[partition] = .vanished(since: now)
                isDue = true
            }
            return isDue
        }

        mutating func leaveAsked() { self.phase = .leaving }

        private mutating func remove(_ partitions: [TopicPartition]) {
            for partition in partitions { self.partitions[partition] = nil }
            self.revoked = []
        }
    }
}
