import AfterloginKafka

/// Which login begins, whose result is published, what is committed, and when a drain is over: all that the dispatcher decides.
///
/// Pure: the time is given, nothing outside is called, and no continuation is kept in here. One method an event; each returns what is to be done
/// once the lock is released.
struct Dispatch {
    typealias Instant = ContinuousClock.Instant

    struct Limits: Equatable {
        /// Logins whose rules work.
        var concurrency: Int
        /// How many of these have run before, and waited: they come in crowds, when a time-out or an outage ends for all at once, and each may keep its
        /// slot for a second; those that begin need not wait behind them.
        var concurrencyAgain: Int { max(1, self.concurrency / 2) }
        var logins: Int
        var bytes: Int
        /// Logins whose rules have begun, those included that wait without a slot.
        var evaluations = 2_000
        /// Results handed over that no acknowledged commit covers: what comes twice after a crash.
        var uncommitted = 1_000
        /// Bytes of a partition's completion map; nil where none is kept.
        var mapBytes: Int? = CompletionMap.maxBytes
    }

    /// What is to be done after an event.
    struct Step: Equatable {
        /// Their rules are to be run.
        var starts: [AdmittedLogin] = []
        /// Their results may be handed over; then `published` is to be told.
        var publishes: [AdmittedLogin] = []
        /// Their rules have ended, and the result counts for nothing.
        var discards: [AdmittedLogin] = []
        /// They waited, or run without a slot, and are given up here: whatever is kept for them can go.
        var drops: [AdmittedLogin] = []
        /// To be answered by `commitAnswered`.
        var commit: [OffsetCommit] = []
        /// `clockTicked` is to be told then.
        var wakeAt: Instant?
        /// `inboxTaken` gives what is to be decoded.
        var decodes = false
        var resumesIntake = false
        var finishesRevocation = false
        /// Nothing that waits in the publisher is ours.
        var purges = false
        var isOver = false
        var remarks: [Remark] = []
    }

    /// What people should read in the log.
    enum Remark: Equatable, CustomStringConvertible {
        /// So many logins were begun and did not end in time.
        case drainMissedItsDeadline(Int)
        /// The committed map can't be read: what it named runs again.
        case mapIsDamaged(TopicPartition)
        /// The broker takes no metadata of that length; so long are maps from now on.
        case mapIsTooLong(limit: Int)

        var description: String {
            switch self {
            case .drainMissedItsDeadline(let count):
                "the drain missed its deadline: \(count) logins are not done, and run again"
            case .mapIsDamaged(let partition):
                "\(partition): the completion map of the committed offset can't be read; logins beyond the offset run again"
            case .mapIsTooLong(let limit):
                "the broker takes less metadata with a commit than 4,096 bytes; completion maps have \(limit) at most from now on"
            }
        }
    }

    let limits: Limits
    var partitions: Partitions
    var lanes = Lanes()
    var intake: Intake
    var drain = Drain()
    var schedule: CommitSchedule
    /// Their rules have ended, and their results wait for commits that cover earlier ones.
    var finished: [AdmittedLogin] = []
    /// When `clockTicked` is told next.
    var alarm: Instant?

    init(limits: Limits) {
        self.limits = limits
        self.partitions = Partitions(mapLimit: limits.mapBytes)
        self.intake = Intake(logins: limits.logins, bytes: limits.bytes)
        self.schedule = CommitSchedule(limit: limits.uncommitted)
    }

    // MARK: Partitions

    mutating func partitionsAssigned(_ partitions: [AssignedPartition], _ now: Instant) -> Step {
        var step = Step()
        self.remove(partitions.map(\.topicPartition), &step)
        step.remarks = self.partitions.assigned(partitions).map { .mapIsDamaged($0) }
        return self.finish(step, now)
    }

    /// What works may end, and its results are committed; everything else is given up, and runs again elsewhere.
    mutating func partitionsRevoked(_ partitions: [TopicPartition], deadline: Instant, _ now: Instant) -> Step {
        var step = Step()
        self.drain.revoked(partitions, deadline: deadline)
        self.partitions.revoking(partitions)
        self.drop(self.partitions.epochs(of: partitions), &step)
        return self.finish(step, now)
    }

    /// Nothing of these may be published or committed.
    mutating func partitionsLost(_ partitions: [TopicPartition], _ now: Instant) -> Step {
        var step = Step()
        self.drain.lost(partitions)
        self.remove(partitions, &step)
        step.purges = self.partitions.isEmpty
        return self.finish(step, now)
    }

    // MARK: Intake

    /// Records were read, and that much of the partitions there is at the moment; `intake.isClosed` says whether more may come.
    ///
    /// An end counts only behind records that were taken: none does while its partition or the worker drains.
    mutating func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64], _ now: Instant) -> Step {
        var step = Step()
        guard !self.drain.isStopping else { return step }
        for record in records {
            switch self.partitions.received(record) {
            case .admitted(let epoch): self.intake.admitted(record, epoch: epoch, now)
            case .complete: self.schedule.advanced(1)
            case .unwanted: break
            }
        }
        for (partition, offset) in ends where self.partitions.endReached(partition, at: offset) {
            self.schedule.advanced(1)
        }
        step.decodes = self.intake.beginsDecoding()
        if !records.isEmpty { _ = self.intake.closes() }
        return self.finish(step, now)
    }

    mutating func inboxTaken() -> [AdmittedLogin] { self.intake.inboxTaken() }

    mutating func decoded(_ logins: [AdmittedLogin], _ now: Instant) -> Step {
        for login in logins {
            if self.mayBegin(login) { self.lanes.queued(login) } else { self.intake.released(login) }
        }
        return self.finish(Step(), now)
    }

    /// There is nothing more to come, ever.
    mutating func inputEnded(_ now: Instant) -> Step {
        self.drain.inputEnded()
        return self.finish(Step(), now)
    }

    // MARK: Time and the end

    mutating func clockTicked(_ now: Instant) -> Step {
        if let alarm = self.alarm, alarm <= now { self.alarm = nil }
        self.lanes.resumeDue(now)
        return self.finish(Step(), now)
    }

    /// The worker is to end: what works may finish until the deadline.
    mutating func stopped(deadline: Instant, _ now: Instant) -> Step {
        var step = Step()
        guard self.drain.stopped(deadline: deadline) else { return step }
        self.drop(self.partitions.epochs(of: self.partitions.names), &step)
        return self.finish(step, now)
    }

    /// Nothing can go on.
    mutating func failed() -> Step {
        var step = Step()
        step.isOver = self.drain.ended()
        return step
    }

    mutating func commitAnswered(_ answer: CommitAnswer, _ now: Instant) -> Step {
        var step = Step()
        switch answer {
        case .stored:
            _ = self.partitions.commitAnswered { _ in true }
            self.schedule.answered(now, .stored)
        case .refused(let failed):
            // Without names any subset may have been stored, so all are committed again.
            let again = self.partitions.commitAnswered { !failed.isEmpty && !failed.contains($0) }
            self.schedule.answered(now, .refused(again))
        case .mapTooLong:
            self.partitions.mapRefused()
            self.schedule.answered(now, .reworded(self.partitions.commitAnswered { _ in false }))
            step.remarks.append(.mapIsTooLong(limit: self.partitions.mapLimit ?? 0))
        }
        return self.finish(step, now)
    }

    // MARK: A login

    /// Its rules have ended with a result.
    mutating func finished(_ login: AdmittedLogin, _ now: Instant) -> Step {
        var step = Step()
        if self.counts(login) {
            if !self.lanes.finished(login) { self.partitions.slotTaken(login) }
            self.finished.append(login)
        } else {
            self.giveUp(login, &step)
        }
        return self.finish(step, now)
    }

    /// Its result was handed over: the next login of its user may begin.
    mutating func published(_ logins: [AdmittedLogin], _ now: Instant) -> Step {
        for login in logins { self.intake.extraBytesChanged(by: -self.lanes.ended(login)) }
        return self.finish(Step(), now)
    }

    /// Its result was not handed over, for its partition has gone.
    mutating func becameStale(_ login: AdmittedLogin, _ now: Instant) -> Step {
        var step = Step()
        self.giveUp(login, &step)
        return self.finish(step, now)
    }

    /// The broker has the result.
    mutating func acknowledged(_ login: AdmittedLogin, _ now: Instant) -> Step {
        self.intake.released(login)
        if self.partitions.acknowledged(login) { self.schedule.advanced(1) }
        return self.finish(Step(), now)
    }

    /// Its topic refused its result, which is kept until it is handed over again.
    mutating func refused(_ login: AdmittedLogin, _ now: Instant) -> Step {
        self.partitions.refused(login)
        return self.finish(Step(), now)
    }

    /// What was refused is to be handed over again, as room for results that no commit covers allows.
    mutating func handedOverAgain(_ login: AdmittedLogin, _ now: Instant) -> Step {
        var step = Step()
        if self.partitions.isCurrent(login) {
            self.partitions.slotTaken(login)
            self.finished.append(login)
        } else {
            self.giveUp(login, &step)
        }
        return self.finish(step, now)
    }

    /// Its result was handed over, and nobody publishes it.
    mutating func dropped(_ login: AdmittedLogin, _ now: Instant) -> Step {
        self.intake.released(login)
        self.partitions.dropped(login)
        return self.finish(Step(), now)
    }

    /// It is to begin again, from what it carries: at that instant, or when `resumed` says so.
    ///
    /// `bytes` are kept for it beside its record, until it ends. In a drain it is given up: it runs again elsewhere.
    mutating func heldBack(
        _ login: AdmittedLogin,
        for reason: String,
        until: Instant?,
        bytes: Int,
        _ now: Instant
    ) -> Step {
        var step = Step()
        if self.counts(login), self.mayBegin(login), let standing = self.lanes.standing(of: login) {
            self.partitions.left(login, hadSlot: standing == .running(hasSlot: true))
            let growth = self.lanes.heldBack(login, for: reason, until: until, bytes: bytes)
            self.intake.extraBytesChanged(by: growth)
        } else {
            self.giveUp(login, &step)
        }
        return self.finish(step, now)
    }

    /// Its rules were ended from outside.
    ///
    /// Where the worker runs on it begins again after a moment: dropped, it would hold its lane and the commit for good.
    mutating func interrupted(_ login: AdmittedLogin, _ now: Instant) -> Step {
        let until = now.advanced(by: .seconds(1))
        return self.heldBack(login, for: "its rules were interrupted", until: until, bytes: 0, now)
    }

    /// What it waited for is over: it may begin, at its old place.
    mutating func resumed(_ login: AdmittedLogin, _ now: Instant) -> Step {
        self.lanes.resumed(login)
        return self.finish(Step(), now)
    }

    /// It works no more for now, and another may; in a drain nobody waits for it.
    mutating func slotGivenBack(_ login: AdmittedLogin, _ now: Instant) -> Step {
        var step = Step()
        guard self.lanes.slotGivenBack(login) else { return step }
        self.partitions.slotGivenBack(login)
        if self.partitions.isCurrent(login), !self.mayBegin(login) {
            self.lanes.isDropped(login)
            self.partitions.left(login, hadSlot: false)
            step.drops.append(login)
        }
        return self.finish(step, now)
    }

    /// It works again, beyond `concurrency` if need be; nothing new begins until fewer work.
    mutating func slotTaken(_ login: AdmittedLogin, _ now: Instant) -> Step {
        if self.counts(login), self.lanes.slotTaken(login) { self.partitions.slotTaken(login) }
        return self.finish(Step(), now)
    }
}
