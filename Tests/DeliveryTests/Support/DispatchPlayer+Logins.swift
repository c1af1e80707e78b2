import AfterloginKafka

@testable import AfterloginDelivery

/// The rules, the publisher, and the broker's answers.
extension DispatchPlayer {
    mutating func finish(_ login: AdmittedLogin) { self.apply { $0.finished(login, $1) } }

    mutating func holdBack(_ login: AdmittedLogin) {
        let until = self.chance(50) ? self.script.now + .seconds(1) : nil
        self.pause(login)
        self.apply { $0.heldBack(login, for: "it", until: until, bytes: 77, $1) }
    }

    mutating func interrupt(_ login: AdmittedLogin) {
        self.pause(login)
        self.apply { $0.interrupted(login, $1) }
    }

    mutating func pause(_ login: AdmittedLogin) {
        self.model.paused(login)
        self.waiting.append(login)
    }

    mutating func lendSlot() {
        if self.chance(50), let login = self.take(\.working) {
            self.idle.append(login)
            self.apply { $0.slotGivenBack(login, $1) }
        } else if let login = self.idle.filter({ self.script.dispatch.counts($0) }).randomElement(using: &self.random) {
            self.idle.removeAll { $0 == login }
            self.working.append(login)
            self.apply { $0.slotTaken(login, $1) }
        }
    }

    mutating func handOver() {
        guard let login = self.take(\.toHandOver) else { return }
        guard self.script.dispatch.partitions.isCurrent(login) else {
            self.apply { $0.becameStale(login, $1) }
            return
        }
        self.unacknowledged.append(login)
        self.model.ended(login)
        self.apply { $0.published([login], $1) }
    }

    mutating func acknowledge() {
        guard let login = self.take(\.unacknowledged) else { return }
        if self.script.dispatch.partitions.isCurrent(login) || self.chance(80) {
            self.acknowledgedCount += 1
            self.model.acknowledged(login)
            self.apply { $0.acknowledged(login, $1) }
        } else {
            self.apply { $0.dropped(login, $1) }
        }
    }

    mutating func refuseOrTryAgain() {
        if self.chance(60), let login = self.take(\.unacknowledged) {
            self.refused.append(login)
            self.model.refused(login)
            self.apply { $0.refused(login, $1) }
        } else if let login = self.take(\.refused) {
            self.apply { $0.handedOverAgain(login, $1) }
        }
    }

    mutating func answerCommit(luck: Int? = nil) {
        guard self.isCommitting else { return }
        self.isCommitting = false
        let commit = self.commit
        self.commit = []
        func store(_ isStored: (TopicPartition) -> Bool) {
            for (commit, epoch) in commit where isStored(commit.topicPartition) {
                self.model.wasStored(commit, epoch: epoch)
            }
        }
        switch luck ?? Int.random(in: 0..<20, using: &self.random) {
        case 0:
            let some = Set(commit.map(\.0.topicPartition).filter { _ in self.chance(50) })
            store { some.contains($0) }
            self.apply { $0.commitAnswered(.refused([]), $1) }
        case 1:
            let failed = commit.map(\.0.topicPartition).filter { _ in self.chance(50) }
            store { !failed.contains($0) }
            self.apply { $0.commitAnswered(failed.isEmpty ? .stored : .refused(failed), $1) }
        case 2 where self.world.mapBytes == 200 && self.chance(10):
            self.wasCut = true
            let some = Set(commit.map(\.0.topicPartition).filter { _ in self.chance(50) })
            store { some.contains($0) }
            self.apply { $0.commitAnswered(.mapTooLong, $1) }
        case _:
            store { _ in true }
            self.apply { $0.commitAnswered(.stored, $1) }
        }
    }

    mutating func tick(_ duration: Duration) {
        self.script.now += duration
        self.apply { $0.clockTicked($1) }
    }
}
