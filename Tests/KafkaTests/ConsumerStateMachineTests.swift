import AfterloginTestSupport
import Testing

@testable import AfterloginKafka

@Suite("Standing of partitions in a consumer group")
struct ConsumerStateMachineTests {
    private typealias Machine = KafkaConsumer.StateMachine

    private let zero = BootTime(nanoseconds: 0)
    private let one = TopicPartition(topic: "t", partition: 1)
    private let two = TopicPartition(topic: "t", partition: 2)

    private func machine(owning partitions: [TopicPartition]) -> Machine {
        var machine = Machine(revocationDeadline: .seconds(5))
        check(machine.assignmentReceived(partitions) == .fetchCommitted(partitions))
        check(machine.committedFetched(partitions))
        return machine
    }

    @Test func nothingIsDeliveredBeforeItsStartIsKnown() {
        var machine = Machine(revocationDeadline: .seconds(5))
        _ = machine.assignmentReceived([self.one])
        check(!machine.isDelivered(self.one) && !machine.isCommitted(self.one))
        check(machine.committedFetched([self.one]))
        check(machine.isDelivered(self.one) && machine.isCommitted(self.one))
    }

    @Test func anAssignmentThatWasTakenBackMeanwhileIsNotBegun() {
        var machine = Machine(revocationDeadline: .seconds(5))
        _ = machine.assignmentReceived([self.one])
        #expect(
            machine.revocationReceived([self.one], isLost: false, now: self.zero) == .unassign([self.one], lost: [])
        )
        check(!machine.committedFetched([self.one]))
        check(!machine.isDelivered(self.one))
    }

    @Test func aRevokeWaitsForTheDrainAndForItsCommits() {
        var machine = self.machine(owning: [self.one, self.two])
        check(machine.revocationReceived([self.one], isLost: false, now: self.zero) == .drain([self.one]))
        check(!machine.isDelivered(self.one) && machine.isCommitted(self.one) && machine.isDelivered(self.two))
        check(machine.commitAnswered(openCommits: 0) == .wait)
        check(machine.revocationFinished(openCommits: 2) == .wait)
        check(machine.commitAnswered(openCommits: 1) == .wait)
        check(machine.commitAnswered(openCommits: 0) == .unassign([self.one], abandoned: []))
        check(!machine.isCommitted(self.one) && machine.isCommitted(self.two))
        check(machine.phase == .member)
    }

    @Test func aDrainThatMissesItsDeadlineIsAbandoned() {
        var machine = self.machine(owning: [self.one])
        _ = machine.revocationReceived([self.one], isLost: false, now: self.zero)
        check(machine.clockTicked(self.zero.advanced(by: .seconds(4.9))) == .wait)
        #expect(
            machine.clockTicked(self.zero.advanced(by: .seconds(5))) == .unassign([self.one], abandoned: [self.one])
        )
        check(machine.revocationFinished(openCommits: 0) == .wait)
    }

    @Test func lostDoesNotWait() {
        var machine = self.machine(owning: [self.one, self.two])
        let action = machine.revocationReceived([self.one, self.two], isLost: true, now: self.zero)
        #expect(action == .unassign([self.one, self.two], lost: [self.one, self.two]))
        check(!machine.isCommitted(self.one))
    }

    @Test func aSessionThatEndsInADrainLosesWhatWasDrained() {
        var machine = self.machine(owning: [self.one])
        check(machine.assignmentLost() == .wait)
        _ = machine.revocationReceived([self.one], isLost: false, now: self.zero)
        check(machine.assignmentLost() == .unassign([self.one], abandoned: [self.one]))
    }

    @Test func aDeletedTopicIsNeitherDeliveredNorCommitted() {
        var machine = self.machine(owning: [self.one, self.two])
        check(machine.partitionsVanished([self.one], now: self.zero) == [self.one])
        check(machine.partitionsVanished([self.one], now: self.zero) == [])
        check(!machine.isDelivered(self.one) && !machine.isCommitted(self.one) && machine.isDelivered(self.two))
        check(!machine.rejoinIsDue(self.zero.advanced(by: .seconds(9)), patience: .seconds(10)))
        check(machine.rejoinIsDue(self.zero.advanced(by: .seconds(10)), patience: .seconds(10)))
        // The drain is for the other one; both are unassigned at its end, and nothing is lost twice.
        let action = machine.revocationReceived([self.one, self.two], isLost: false, now: self.zero)
        #expect(action == .drain([self.two]))
        check(machine.revocationFinished(openCommits: 0) == .unassign([self.one, self.two], abandoned: []))
    }

    @Test func whoLeavesTakesNothingMore() {
        var machine = self.machine(owning: [self.one])
        machine.leaveAsked()
        check(machine.assignmentReceived([self.two]) == .decline)
        #expect(
            machine.revocationReceived([self.one], isLost: false, now: self.zero) == .unassign([self.one], lost: [])
        )
    }

    /// Whatever comes in whatever order: delivered implies committed, and a revoked partition is never either.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func anyInterleavingKeepsWhatIsOursApart(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var machine = Machine(revocationDeadline: .seconds(5))
        let all = (0..<4).map { TopicPartition(topic: "t", partition: $0) }
        var now = self.zero
        for _ in 0..<2_000 {
            let some = all.filter { _ in Bool.random(using: &random) }
            var gone: [TopicPartition] = []
            func ended(_ action: Machine.DrainAction) {
                if case .unassign(let partitions, let abandoned) = action {
                    gone = partitions
                    #expect(Set(abandoned).isSubset(of: partitions))
                }
            }
            switch Int.random(in: 0..<9, using: &random) {
            case 0: _ = machine.assignmentReceived(some)
            case 1, 2:
                guard case .assigning(let partitions) = machine.phase else { break }
                check(machine.committedFetched(partitions))
                #expect(partitions.allSatisfy { machine.isDelivered($0) })
            case 3, 4:
                let isLost = Bool.random(using: &random)
                switch machine.revocationReceived(some, isLost: isLost, now: now) {
                case .drain(let partitions):
                    #expect(!isLost && partitions.allSatisfy { !machine.isDelivered($0) && machine.isCommitted($0) })
                case .unassign(let partitions, _): gone = partitions
                }
            case 5: ended(machine.revocationFinished(openCommits: Int.random(in: 0...1, using: &random)))
            case 6: ended(machine.commitAnswered(openCommits: Int.random(in: 0...1, using: &random)))
            case 7:
                now = now.advanced(by: .seconds(Int.random(in: 0...3, using: &random)))
                ended(machine.clockTicked(now))
            default:
                for lost in machine.partitionsVanished(some, now: now) { check(!machine.isCommitted(lost)) }
            }
            for partition in all where machine.isDelivered(partition) { check(machine.isCommitted(partition)) }
            for partition in gone { check(!machine.isCommitted(partition) && !machine.isDelivered(partition)) }
        }
    }
}

@Suite("What is wrong, and when it is over")
struct ConsumerTroubleTests {
    private let zero = BootTime(nanoseconds: 0)
    private let away = KafkaError(code: "_TRANSPORT", number: -195, message: "b:1: refused")
    private let refused = KafkaError(code: "INCONSISTENT_GROUP_PROTOCOL", number: 23, message: "JoinGroup failed")

    private func at(_ seconds: Int) -> BootTime { self.zero.advanced(by: .seconds(seconds)) }

    /// The cluster may find out seconds later than librdkafka that a broker is gone.
    @Test func aSuspicionIsLookedIntoForAWhile() {
        var trouble = ConsumerTrouble(topics: ["t"], now: self.zero)
        check(!trouble.probeIsDue(self.at(60), hasPartitions: true))
        trouble.suspected(self.away, now: self.at(60))
        let leaderless = KafkaError(code: "LEADER_NOT_AVAILABLE", number: 5, message: "topic t: partition 0")
        for second in 60..<64 {
            check(trouble.probeIsDue(self.at(second), hasPartitions: true))
            check(trouble.probed(nil, now: self.at(second)) == .none)
        }
        check(trouble.probed(leaderless, now: self.at(64)) == .tell(leaderless))
        check(trouble.probed(nil, now: self.at(70)) == .tell(nil))
        check(!trouble.probeIsDue(self.at(600), hasPartitions: true))
    }

    @Test func theReasonIsToldAndNotThatAllBrokersAreDown() {
        var trouble = ConsumerTrouble(topics: ["t"], now: self.zero)
        trouble.suspected(self.away, now: self.zero)
        trouble.suspected(KafkaError(code: "_ALL_BROKERS_DOWN", number: -187, message: "1/1 down"), now: self.zero)
        check(
            trouble.probed(KafkaError(code: "_TRANSPORT", number: -195, message: ""), now: self.zero)
                == .tell(self.away)
        )
    }

    @Test func whatTheGroupRefusesIsOverWhenItTakesTheMemberIn() {
        var trouble = ConsumerTrouble(topics: ["t"], now: self.zero)
        check(trouble.groupFailed(self.refused) == .tell(self.refused))
        check(trouble.probed(nil, now: self.zero) == .none)
        check(trouble.groupWorked() == .tell(nil))
        check(trouble.groupFailed(self.refused) == .tell(self.refused))
        check(trouble.groupAnswered() == .tell(nil))
    }

    /// A broker is back, and the group takes half a minute to share out its partitions: until then nothing is read.
    @Test func whatWasToldIsNotOverBeforeTheGroupHasSharedOutItsPartitions() {
        var trouble = ConsumerTrouble(topics: ["t"], now: self.zero)
        trouble.suspected(self.away, now: self.zero)
        check(trouble.probed(self.away, now: self.zero) == .tell(self.away))
        trouble.groupRebalances()
        check(trouble.probed(nil, now: self.at(10)) == .none)
        check(trouble.groupWorked() == .tell(nil))
        // Nothing was told: a rebalance alone is no trouble.
        trouble.groupRebalances()
        check(trouble.probed(nil, now: self.at(20)) == .none)
        check(trouble.groupWorked() == .none)
    }

    @Test func aFetchThatIsRefusedIsOverWhenItsPartitionIsFetched() {
        var trouble = ConsumerTrouble(topics: ["t"], now: self.zero)
        let (one, two) = (TopicPartition(topic: "t", partition: 1), TopicPartition(topic: "t", partition: 2))
        let error = KafkaError(code: "TOPIC_AUTHORIZATION_FAILED", number: 29, message: "denied")
        let told = KafkaError(code: error.code, number: error.number, message: "topic t: denied")
        check(trouble.fetchFailed(one, error) == .tell(told))
        check(trouble.fetchFailed(two, error) == .none)
        check(trouble.probed(nil, now: self.zero) == .none)
        check(trouble.fetched(one) == .none)
        check(trouble.fetched(two) == .tell(nil))
    }
}
