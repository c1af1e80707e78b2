import Kafka

extension Dispatcher {
    /// What the logins ended in, since the start.
    package struct Tally: Sendable, Hashable {
        package var updates = 0
        package var denials = 0
        /// By reason.
        package var failures: [String: Int] = [:]
        package var retries = 0
        package var outages = 0
        package var stale = 0
    }

    /// Where the worker stands between its first assignment and its end, and what the dispatcher must do next.
    ///
    /// Pure: the time is given, nothing outside is called, and no continuation is resumed in here. One method per event;
    /// after each of them the dispatcher asks for `actions`.
    struct StateMachine {
        struct Revocation {
            var partitions: [TopicPartition]
            var deadline: ContinuousClock.Instant
        }

        /// Why a login is to be run again later.
        enum Delay {
            case retry(String)
            case outage(String)
        }

        struct Actions {
            var starts: [AdmittedLogin] = []
            var commit: [OffsetCommit] = []
            var wakeAt: ContinuousClock.Instant?
            var resumesIntake = false
            var finishesRevocation = false
            /// A drain missed its deadline: so many logins were begun and are not done.
            var abandoned = 0
            var ended: (CheckedContinuation<Void, any Error>, Result<Void, any Error>)?
        }

        private struct Place: Hashable {
            var partition: TopicPartition
            var offset: Int64

            init(_ login: AdmittedLogin) {
                self.partition = login.topicPartition
                self.offset = login.offset
            }
        }

        private(set) var dispatch: DispatchState
        private var schedule: CommitSchedule
        private var commitTimer: ContinuousClock.Instant?
        /// Read and not yet decoded.
        private var inbox: [AdmittedLogin] = []
        private var isDecoding = false
        /// The group gave this member its share, which may be nothing.
        private(set) var isAssigned = false
        private(set) var revocation: Revocation?
        private(set) var stopDeadline: ContinuousClock.Instant?
        private var hasInputEnded = false
        private(set) var problem: KafkaError?
        /// Failures that their topic refuses, until it takes them.
        private var refusals: [Place: String] = [:]
        private(set) var lastProgress: ContinuousClock.Instant
        private(set) var tally = Tally()
        private var end: Result<Void, any Error>?
        private var waiter: CheckedContinuation<Void, any Error>?

        init(_ limits: DispatchState.Limits, _ now: ContinuousClock.Instant) {
            self.dispatch = DispatchState(limits: limits)
            self.schedule = CommitSchedule(limit: limits.unacknowledged)
            self.lastProgress = now
        }

        /// Why a topic refuses failures, where one does.
        var refusal: String? { self.refusals.values.first }

        // MARK: Partitions

        mutating func partitionsAssigned(_ partitions: [AssignedPartition], _ now: ContinuousClock.Instant) {
            self.isAssigned = true
            self.lastProgress = now
            for partition in partitions { self.dispatch.assigned(partition) }
        }

        mutating func partitionsRevoked(_ partitions: [TopicPartition], _ deadline: ContinuousClock.Instant) {
            self.revocation = Revocation(partitions: partitions, deadline: deadline)
            self.dispatch.revoking(partitions)
        }

        /// Whether none is left.
        mutating func partitionsLost(_ partitions: [TopicPartition]) -> Bool {
            self.removed(partitions)
            let lost = Set(partitions)
            if let revoked = self.revocation?.partitions, revoked.allSatisfy(lost.contains) { self.revocation = nil }
            let isEmpty = self.dispatch.partitions.isEmpty
            if isEmpty { self.schedule.reset() }
            return isEmpty
        }

        mutating func problemChanged(_ problem: KafkaError?) { self.problem = problem }

        mutating func endsReached(_ ends: [TopicPartition: Int64]) {
            for (partition, offset) in ends {
                self.schedule.advanced(self.dispatch.endReached(partition, at: offset))
            }
        }

        mutating func inputEnded() { self.hasInputEnded = true }

        // MARK: Logins

        /// Whether the inbox is to be decoded, and whether more may be read.
        mutating func recordsReceived(
            _ records: [KafkaRecord],
            _ now: ContinuousClock.Instant
        ) -> (decodes: Bool, isOpen: Bool) {
            for record in records {
                guard let login = self.dispatch.received(record, now: now) else { continue }
                self.inbox.append(login)
            }
            let decodes = !self.isDecoding && !self.inbox.isEmpty
            if decodes { self.isDecoding = true }
            return (decodes, self.dispatch.intakeIsOpen())
        }

        /// What is to be decoded now; nothing ends the decoding.
        mutating func takeInbox() -> [AdmittedLogin] {
            if self.inbox.isEmpty { self.isDecoding = false }
            return exchange(&self.inbox, with: [])
        }

        mutating func decoded(_ logins: [AdmittedLogin]) {
            for login in logins { self.dispatch.decoded(login) }
        }

        /// False when it was given up instead.
        mutating func delayed(_ login: AdmittedLogin, _ delay: Delay) -> Bool {
            switch delay {
            case .retry(let reason):
                self.tally.retries += 1
                return self.dispatch.retryLater(login, reason: reason)
            case .outage(let reason):
                self.tally.outages += 1
                return self.dispatch.retryLater(login, reason: reason)
            }
        }

        mutating func retryDue(_ login: AdmittedLogin) { self.dispatch.retryDue(login) }

        mutating func givenUp(_ login: AdmittedLogin) { self.dispatch.givenUp(login) }

        /// Its rules have ended, and its partition is somebody else's.
        mutating func becameStale(_ login: AdmittedLogin) {
            self.tally.stale += 1
            self.dispatch.abandoned(login, wasRunning: true)
        }

        /// Its result goes to the publisher; the login that takes over its slot.
        mutating func published(_ login: AdmittedLogin) -> AdmittedLogin? {
            self.dispatch.published(login)
            return self.dispatch.next()
        }

        mutating func acknowledged(
            _ login: AdmittedLogin,
            _ kind: ResultRecord.Kind,
            _ reason: String?,
            _ now: ContinuousClock.Instant
        ) {
            self.lastProgress = now
            if !self.refusals.isEmpty { self.refusals[Place(login)] = nil }
            switch kind {
            case .update: self.tally.updates += 1
            case .denial: self.tally.denials += 1
            case .failure: self.tally.failures[reason ?? "", default: 0] += 1
            }
            self.schedule.advanced(self.dispatch.acknowledged(login))
        }

        /// The topic of failures does not take it.
        mutating func refused(_ login: AdmittedLogin, _ reason: String) { self.refusals[Place(login)] = reason }

        /// Its result was handed over, and is published by nobody.
        mutating func dropped(_ login: AdmittedLogin) {
            if !self.refusals.isEmpty { self.refusals[Place(login)] = nil }
            self.dispatch.abandoned(login, wasRunning: false)
        }

        // MARK: Commits, time and the end

        mutating func commitAnswered(
            _ offsets: [OffsetCommit],
            _ result: Result<Void, KafkaError>,
            _ now: ContinuousClock.Instant
        ) {
            switch result {
            case .success:
                self.dispatch.committed(offsets)
                self.schedule.answered(now, succeeded: true, count: 0)
            case .failure(let error):
                let failed = Set(error.partitions)
                // An error without partitions: any subset may have been stored, so all are committed again.
                if !failed.isEmpty {
                    self.dispatch.committed(offsets.filter { !failed.contains($0.topicPartition) })
                }
                self.schedule.answered(now, succeeded: false, count: self.dispatch.commits().count)
            }
        }

        mutating func timerFired(_ instant: ContinuousClock.Instant) {
            if let timer = self.commitTimer, timer <= instant { self.commitTimer = nil }
        }

        /// `run` waits for the end.
        mutating func waiting(_ waiter: CheckedContinuation<Void, any Error>) { self.waiter = waiter }

        mutating func stopped(_ deadline: ContinuousClock.Instant) {
            guard !self.dispatch.isStopping else { return }
            self.dispatch.stopping()
            self.stopDeadline = deadline
        }

        /// The first end counts.
        mutating func ended(_ result: Result<Void, any Error>) { if self.end == nil { self.end = result } }

        // MARK: What is to be done

        mutating func actions(_ now: ContinuousClock.Instant) -> Actions {
            var actions = Actions()
            while let login = self.dispatch.next() { actions.starts.append(login) }
            actions.resumesIntake = self.dispatch.intakeIsClosed && self.dispatch.intakeIsOpen()
            let isUrgent = self.revocation != nil || self.dispatch.isStopping || self.hasInputEnded
            switch self.schedule.next(now, isUrgent: isUrgent) {
            case .none: break
            case .commit:
                actions.commit = self.dispatch.commits()
                if actions.commit.isEmpty { self.schedule.answered(now, succeeded: true, count: 0) }
            case .wait(let until):
                if self.commitTimer.map({ $0 > until }) ?? true {
                    self.commitTimer = until
                    actions.wakeAt = until
                }
            }
            if let revocation = self.revocation, self.isOver(revocation, now) {
                self.revocation = nil
                actions.abandoned = self.dispatch.unfinished(of: revocation.partitions)
                self.removed(revocation.partitions)
                actions.finishesRevocation = true
            }
            if self.end == nil, self.isFinished(now) {
                self.end = .success(())
                actions.abandoned = self.dispatch.unfinished(of: self.dispatch.partitions.keys)
            }
            if let end = self.end, let waiter = self.waiter.take() { actions.ended = (waiter, end) }
            return actions
        }

        /// The partitions are somebody else's.
        private mutating func removed(_ partitions: [TopicPartition]) {
            self.dispatch.removed(partitions)
            self.refusals = self.refusals.filter { self.dispatch.partitions[$0.key.partition] != nil }
            if self.dispatch.partitions.isEmpty { self.isAssigned = false }
        }

        private func isOver(_ revocation: Revocation, _ now: ContinuousClock.Instant) -> Bool {
            if now >= revocation.deadline { return true }
            guard self.dispatch.unfinished(of: revocation.partitions) == 0 else { return false }
            let revoked = Set(revocation.partitions)
            return !self.dispatch.commits().contains { revoked.contains($0.topicPartition) }
        }

        private func isFinished(_ now: ContinuousClock.Instant) -> Bool {
            if let deadline = self.stopDeadline {
                if now >= deadline { return true }
                return self.dispatch.unfinished(of: self.dispatch.partitions.keys) == 0
                    && self.dispatch.commits().isEmpty
            }
            return self.hasInputEnded && self.dispatch.admitted == 0 && self.dispatch.commits().isEmpty
        }
    }
}
