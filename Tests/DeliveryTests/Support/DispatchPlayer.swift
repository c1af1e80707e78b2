import AfterloginKafka
import AfterloginTestSupport

@testable import AfterloginDelivery

/// The group, the rules, the publisher and the clock around one `Dispatch`.
struct DispatchPlayer {
    let world: DispatchModelTests.World
    var random: SeededGenerator
    var script: DispatchScript
    var model = DispatchModel()
    let partitions = [DispatchScript.zero, DispatchScript.one, TopicPartition(topic: "logins", partition: 2)]
    var owned: Set<TopicPartition> = []
    /// The next offset of each, in this assignment; beyond what exists nothing is read.
    var position: [TopicPartition: Int64] = [:]
    var revocation: (partitions: Set<TopicPartition>, deadline: Dispatch.Instant)?
    var working: [AdmittedLogin] = []
    var idle: [AdmittedLogin] = []
    var waiting: [AdmittedLogin] = []
    var toHandOver: [AdmittedLogin] = []
    var unacknowledged: [AdmittedLogin] = []
    /// Their topic took them not, and they wait to be handed over again.
    var refused: [AdmittedLogin] = []
    var commit: [(OffsetCommit, epoch: Int?)] = []
    var isCommitting = false
    var wasCut = false
    var isOver = false
    var acknowledgedCount = 0
    var complaints: [String] = []
    var problems: [String] { self.model.problems + self.complaints }

    init(_ world: DispatchModelTests.World) {
        self.world = world
        self.random = SeededGenerator(seed: world.seed)
        self.script = DispatchScript(
            concurrency: world.concurrency,
            uncommitted: world.uncommitted,
            mapBytes: world.mapBytes,
            logins: 120
        )
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self.random) < percent }
    mutating func take(_ list: WritableKeyPath<DispatchPlayer, [AdmittedLogin]>) -> AdmittedLogin? {
        guard let index = self[keyPath: list].indices.randomElement(using: &self.random) else { return nil }
        return self[keyPath: list].remove(at: index)
    }

    mutating func play() {
        switch Int.random(in: 0..<1_000, using: &self.random) {
        case 0..<160: self.read()
        case 160..<420: if let login = self.take(\.working) { self.finish(login) }
        case 420..<580: self.handOver()
        case 580..<725: self.acknowledge()
        case 725..<740: self.refuseOrTryAgain()
        case 740..<820: self.answerCommit()
        case 820..<860: if let login = self.take(\.working) { self.holdBack(login) }
        case 860..<890:
            if let login = self.waiting.randomElement(using: &self.random) { self.apply { $0.resumed(login, $1) } }
        case 890..<915: self.lendSlot()
        case 915..<935: if let login = self.take(\.idle) { self.finish(login) }
        case 935..<975: self.tick(.milliseconds(Int.random(in: 1...400, using: &self.random)))
        case 975..<985: self.assign()
        case 985..<991: self.revoke()
        case 991..<994: self.lose()
        case 994..<996: self.crash()
        case _: if let login = self.take(\.working) { self.interrupt(login) }
        }
    }

    // MARK: The group

    mutating func assign() {
        guard self.revocation == nil else { return }
        let new = self.partitions.filter { !self.owned.contains($0) }
        self.owned.formUnion(new)
        let model = self.model
        self.apply { dispatch, now in
            dispatch.partitionsAssigned(
                new.map {
                    AssignedPartition(
                        topicPartition: $0,
                        committedOffset: model.stored[$0]?.offset,
                        committedMap: model.stored[$0]?.map ?? []
                    )
                },
                now
            )
        }
        for partition in new { self.position[partition] = self.model.stored[partition]?.offset ?? 0 }
    }

    mutating func read() {
        guard let partition = self.owned.sorted(by: { $0.partition < $1.partition }).randomElement(using: &self.random),
            !self.script.dispatch.intake.isClosed
        else { return }
        var records: [KafkaRecord] = []
        for _ in 0..<Int.random(in: 0..<30, using: &self.random) {
            let offset = self.position[partition] ?? 0
            self.position[partition] = offset + 1
            // Every eleventh is a marker; few users, so that lanes grow.
            guard offset % 11 != 5 else { continue }
            records.append(
                KafkaRecord(
                    topicPartition: partition,
                    offset: offset,
                    key: Array("\(offset * 7919 % 23)".utf8),
                    value: nil
                )
            )
        }
        // Not taken in a drain, and read by whoever comes next.
        let isTaken = self.revocation?.partitions.contains(partition) != true
        for record in records { self.model.delivered(record) }
        let ends = self.chance(30) ? [partition: self.position[partition] ?? 0] : [:]
        self.apply { $0.batchReceived(records, ends: ends, $1) }
        let logins = self.script.dispatch.inboxTaken()
        if !isTaken, !logins.isEmpty { self.complaints.append("taken in a drain") }
        for login in logins { self.model.decoded(login) }
        self.apply { $0.decoded(logins, $1) }
        _ = self.script.dispatch.inboxTaken()
    }

    mutating func revoke() {
        guard self.revocation == nil, !self.owned.isEmpty else { return }
        let revoked = self.owned.filter { _ in self.chance(70) }
        guard !revoked.isEmpty else { return }
        let deadline = self.script.now + .seconds(5)
        self.revocation = (revoked, deadline)
        self.model.draining { revoked.contains($0) }
        self.apply { $0.partitionsRevoked(Array(revoked), deadline: deadline, $1) }
    }

    mutating func lose() {
        let lost = self.owned.filter { _ in self.chance(50) }
        guard !lost.isEmpty else { return }
        for (commit, epoch) in self.commit where lost.contains(commit.topicPartition) && self.chance(50) {
            self.model.wasStored(commit, epoch: epoch)
        }
        self.commit.removeAll { lost.contains($0.0.topicPartition) }
        let isEmpty = self.owned == lost
        self.gone(lost)
        let step = self.apply { $0.partitionsLost(Array(lost), $1) }
        if step.purges != isEmpty { self.complaints.append("purges: \(step.purges)") }
        if let revoked = self.revocation?.partitions {
            let rest = revoked.subtracting(lost)
            self.revocation = rest.isEmpty ? nil : (rest, self.revocation?.deadline ?? self.script.now)
        }
    }

    mutating func gone(_ partitions: Set<TopicPartition>) {
        self.owned.subtract(partitions)
        self.model.gone { partitions.contains($0) }
        self.waiting.removeAll { partitions.contains($0.topicPartition) }
    }

    /// A `kill -9`: what was handed over may have been written; another process goes on from what the broker holds.
    mutating func crash() {
        if !self.wasCut, self.model.uncovered.count > self.world.uncommitted {
            self.complaints.append("\(self.model.uncovered.count) results come twice")
        }
        for login in self.unacknowledged where self.chance(50) { self.model.acknowledged(login) }
        for (commit, epoch) in self.commit where self.chance(50) { self.model.wasStored(commit, epoch: epoch) }
        var next = DispatchPlayer(self.world)
        next.random = self.random
        next.script.now = self.script.now
        next.acknowledgedCount = self.acknowledgedCount
        next.model = self.model
        next.model.restarted()
        next.complaints = self.problems
        self = next
        self.assign()
    }

    // MARK: What follows

    @discardableResult
    mutating func apply(
        _ event: (inout Dispatch, Dispatch.Instant) -> Dispatch.Step
    ) -> Dispatch.Step {
        let step = event(&self.script.dispatch, self.script.now)
        for login in step.discards {
            self.model.ended(login)
            self.toHandOver.removeAll { $0 == login }
            self.waiting.removeAll { $0 == login }
        }
        for login in step.drops where self.waiting.contains(login) {
            self.waiting.removeAll { $0 == login }
            self.model.ended(login)
        }
        for login in step.publishes {
            self.toHandOver.append(login)
            self.model.handedOver(login)
        }
        if self.world.mapBytes >= 200, !self.wasCut, self.model.uncovered.count > self.world.uncommitted {
            self.complaints.append("\(self.model.uncovered.count) results are not covered")
        }
        for login in step.starts {
            self.waiting.removeAll { $0 == login }
            self.model.begun(login, inOrderOfArrival: self.world.mapBytes == CompletionMap.maxBytes)
            self.working.append(login)
        }
        if !step.starts.isEmpty, self.script.dispatch.lanes.working > self.world.concurrency {
            self.complaints.append("too many work")
        }
        if !step.commit.isEmpty {
            if self.isCommitting { self.complaints.append("two commits under way") }
            self.isCommitting = true
            for commit in step.commit {
                self.model.committed(commit)
                self.commit.append((commit, self.script.dispatch.partitions[commit.topicPartition]?.epoch))
                if commit.map.count > self.world.mapBytes {
                    self.complaints.append("a map of \(commit.map.count) bytes")
                }
            }
        }
        if step.finishesRevocation {
            if self.revocation == nil { self.complaints.append("finished what nobody revoked") }
            if !self.commit.isEmpty, self.script.now < self.revocation?.deadline ?? self.script.now,
                self.commit.contains(where: { self.revocation?.partitions.contains($0.0.topicPartition) == true })
            {
                self.complaints.append("finished before its commit was answered")
            }
            self.gone(self.revocation?.partitions ?? [])
            self.revocation = nil
        } else if let deadline = self.revocation?.deadline, self.script.now >= deadline {
            self.complaints.append("a drain that does not end")
        }
        self.isOver = self.isOver || step.isOver
        return step
    }

    /// Everything that is under way ends; the stop must follow, and nothing may be left.
    mutating func end() {
        if self.revocation != nil { self.tick(.seconds(6)) }
        self.answerCommit(luck: 19)
        // One that was refused is sent again after half a second.
        self.tick(.milliseconds(500))
        while let login = self.refused.popLast() { self.apply { $0.handedOverAgain(login, $1) } }
        let deadline = self.script.now + .seconds(5)
        self.apply { $0.stopped(deadline: deadline, $1) }
        while let login = self.working.popLast() ?? self.idle.popLast() { self.finish(login) }
        for _ in 0..<1_000 where !self.isOver {
            while !self.toHandOver.isEmpty { self.handOver() }
            while !self.unacknowledged.isEmpty { self.acknowledge() }
            self.answerCommit(luck: 19)
            self.tick(.milliseconds(1))
        }
        while !self.toHandOver.isEmpty { self.handOver() }
        while !self.unacknowledged.isEmpty { self.acknowledge() }
        if !self.isOver { self.complaints.append("the stop waits for nothing") }
        if !self.script.isEmpty {
            let (lanes, intake) = (self.script.dispatch.lanes, self.script.dispatch.intake)
            self.complaints.append(
                """
                not given back: \(intake.admitted) logins, \(intake.admittedBytes) bytes, \(lanes.working) slots, \(lanes.idle) idle, \
                \(lanes.waiting) waiting, lanes \(lanes.all.map(\.standing))
                """
            )
        }
        let owned = self.script.dispatch.partitions.uncovered
        if owned != 0, !self.wasCut { self.complaints.append("\(owned) results are not covered in the end") }
    }
}
