import AfterloginKafka

/// What follows from an event.
extension Dispatch {
    /// Whether what it comes to still counts here.
    func counts(_ login: AdmittedLogin) -> Bool {
        self.partitions.isCurrent(login) && self.lanes.holds(login)
    }

    /// Whether one more may begin: so many may work, and so many be under way.
    private var hasRoom: Bool {
        self.lanes.working < self.limits.concurrency && self.lanes.working + self.lanes.idle < self.limits.evaluations
    }

    func mayBegin(_ login: AdmittedLogin) -> Bool {
        !self.drain.isStopping && !self.partitions.isRevoking(login)
    }

    private static let longestAlarm = Duration.seconds(60)

    /// What each event may have made possible, in the order in which one makes the next possible.
    mutating func finish(_ step: Step, _ now: Instant) -> Step {
        var step = step
        self.commit(&step, now)
        self.publish(&step)
        self.begin(&step)
        step.resumesIntake = self.intake.reopens()
        self.endDrains(&step, now)
        // The alarm that is set for the end of a day would be one task more for each that came before it.
        self.setAlarm(self.lanes.nextDue.map { min($0, now.advanced(by: Self.longestAlarm)) }, &step)
        self.setAlarm(self.drain.deadline, &step)
        return step
    }

    mutating func commit(_ step: inout Step, _ now: Instant) {
        switch self.schedule.next(now, isUrgent: self.drain.isUrgent) {
        case .none: break
        case .commit:
            step.commit = self.partitions.takeCommits()
            if step.commit.isEmpty { self.schedule.answered(now, .stored) }
        case .wait(let until): self.setAlarm(until, &step)
        }
    }

    /// At the limit only what holds a commit goes on, and only where no commit can help: else it would stand still for good.
    mutating func publish(_ step: inout Step) {
        guard !self.finished.isEmpty else { return }
        let room = max(0, self.limits.uncommitted - self.partitions.uncovered)
        if self.finished.count <= room {
            for login in self.finished { self.partitions.published(login) }
            step.publishes = exchange(&self.finished, with: [])
            return
        }
        var published = Array(self.finished.prefix(room))
        self.finished.removeFirst(published.count)
        if published.isEmpty, self.partitions.isCoveredAsFarAsCanBe {
            published = self.finished.filter { self.partitions.holdsTheCommit($0) }
            self.finished.removeAll { published.contains($0) }
        }
        for login in published { self.partitions.published(login) }
        step.publishes += published
    }

    mutating func begin(_ step: inout Step) {
        guard !self.drain.isStopping, self.hasRoom else { return }
        let isFull = self.partitions.uncovered >= self.limits.uncommitted
        if isFull, !self.partitions.isCoveredAsFarAsCanBe { return }
        let again = isFull ? self.limits.concurrency : self.limits.concurrencyAgain
        self.lanes.released()
        while self.hasRoom {
            let login = self.lanes.next(again: again) { login in
                isFull ? self.partitions.holdsTheCommit(login) : self.partitions.hasRoom(for: login)
            }
            guard let login else { return }
            self.partitions.begun(login)
            step.starts.append(login)
        }
    }

    mutating func endDrains(_ step: inout Step, _ now: Instant) {
        if let revocation = self.drain.revocation,
            now >= revocation.deadline || self.partitions.areSettled(revocation.partitions)
        {
            self.remark(unfinished: revocation.partitions, &step)
            self.drain.revocationEnded()
            self.remove(revocation.partitions, &step)
            step.finishesRevocation = true
        }
        switch self.drain.state {
        case .over: return
        case .running, .draining(.revoked):
            guard self.drain.inputHasEnded, self.intake.admitted == 0 else { return }
            guard self.partitions.areSettled(self.partitions.names) else { return }
        case .draining(.stopped(let deadline, _)):
            guard now >= deadline || self.partitions.areSettled(self.partitions.names) else { return }
        }
        self.remark(unfinished: self.partitions.names, &step)
        step.isOver = self.drain.ended()
    }

    func remark(unfinished partitions: [TopicPartition], _ step: inout Step) {
        let count = self.partitions.unfinished(of: partitions)
        if count > 0 { step.remarks.append(.drainMissedItsDeadline(count)) }
    }

    mutating func setAlarm(_ instant: Instant?, _ step: inout Step) {
        guard let instant, self.alarm.map({ $0 > instant }) ?? true else { return }
        self.alarm = instant
        step.wakeAt = instant
    }

    // MARK: Giving up

    /// What has not begun, waits, or runs without a slot is given up; it is not complete, and runs again elsewhere.
    mutating func drop(_ epochs: Set<Int>, _ step: inout Step) {
        guard !epochs.isEmpty else { return }
        let dropped = self.lanes.dropped(epochs)
        for login in dropped.queued + dropped.waiting { self.intake.released(login) }
        self.intake.extraBytesChanged(by: -dropped.extraBytes)
        for login in dropped.idle { self.partitions.left(login, hadSlot: false) }
        step.drops += dropped.waiting + dropped.idle
    }

    /// The partitions are somebody else's.
    mutating func remove(_ partitions: [TopicPartition], _ step: inout Step) {
        self.drop(self.partitions.epochs(of: partitions), &step)
        self.partitions.removed(partitions)
        for login in self.finished where !self.partitions.isCurrent(login) { self.giveUp(login, &step) }
        self.finished.removeAll { !self.partitions.isCurrent($0) }
    }

    /// It has ended and counts for nothing.
    mutating func giveUp(_ login: AdmittedLogin, _ step: inout Step) {
        if self.counts(login), let standing = self.lanes.standing(of: login) {
            self.partitions.left(login, hadSlot: standing != .running(hasSlot: false))
        }
        self.intake.extraBytesChanged(by: -self.lanes.ended(login))
        self.intake.released(login)
        step.discards.append(login)
    }
}
