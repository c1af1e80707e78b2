import AfterloginTestSupport
import Testing

@testable import AfterloginKafka

@Suite("Whether a topic still is the one that was read", .timeLimit(.minutes(1)))
struct FingerprintCheckTests {
    private let partition = TopicPartition(topic: "t", partition: 0)
    private let error = KafkaError(code: "_AUTO_OFFSET_RESET", number: -140, message: "gone")

    private func seconds(_ seconds: Double) -> BootTime {
        BootTime(nanoseconds: 0).advanced(by: .seconds(seconds))
    }

    private func print(_ offset: Int64, _ checksum: UInt32 = 1) -> TopicFingerprint {
        TopicFingerprint(offset: offset, timestamp: 5, checksum: checksum)
    }

    private func check() -> FingerprintCheck { FingerprintCheck(interval: .seconds(10), now: self.seconds(0)) }

    /// The round that is due, with its number taken off.
    private func due(_ check: inout FingerprintCheck, _ time: Double) -> TopicFingerprint? {
        check.roundIsDue(self.seconds(time))?.fingerprints[self.partition]
    }

    private func answer(
        _ check: inout FingerprintCheck,
        _ number: UInt,
        _ finding: FingerprintCheck.Finding,
        _ time: Double,
        topicID: TopicID? = nil
    ) -> [FingerprintCheck.Outcome] {
        check.answered(
            number,
            [self.partition: FingerprintCheck.Reading(finding: finding, topicID: topicID)],
            now: self.seconds(time)
        )
    }

    private func taken(_ check: inout FingerprintCheck, _ offset: Int64, _ checksum: UInt32 = 1, at time: Double) {
        check.taken(self.print(offset, checksum), of: self.partition, now: self.seconds(time))
    }

    private func committed(_ check: FingerprintCheck) -> TopicFingerprint? {
        check.metadata(of: self.partition).fingerprint
    }

    /// A partition with nothing committed, whose record 5 was taken.
    private func started() -> FingerprintCheck {
        var check = self.check()
        check.assigned(self.partition, nil, now: self.seconds(0))
        self.taken(&check, 5, at: 0)
        return check
    }

    @Test func theFirstRecordIsCurrentAtOnce() {
        var check = self.check()
        check.assigned(self.partition, nil, now: self.seconds(0))
        #expect(!check.isAwaited([self.partition], now: self.seconds(0)))
        #expect(self.due(&check, 60) == nil)
        #expect(check.wantsRecord(of: self.partition, now: self.seconds(60)))
        self.taken(&check, 5, at: 60)
        #expect(self.committed(check) == self.print(5))
        #expect(!check.wantsRecord(of: self.partition, now: self.seconds(60.9)))
        #expect(check.wantsRecord(of: self.partition, now: self.seconds(61)))
        #expect(!check.wantsRecord(of: TopicPartition(topic: "t", partition: 9), now: self.seconds(61)))
    }

    @Test func onlyAPassedCheckLetsALaterRecordTakeItsPlace() {
        var check = self.started()
        self.taken(&check, 8, at: 3)
        #expect(self.due(&check, 9.9) == nil)
        #expect(self.due(&check, 10) == self.print(5))
        // Taken while the check is under way: of a new topic, perhaps.
        self.taken(&check, 9, at: 10)
        #expect(self.committed(check) == self.print(5))
        #expect(self.answer(&check, 1, .record(self.print(5)), 10).isEmpty)
        #expect(self.committed(check) == self.print(8))
        #expect(self.due(&check, 20) == self.print(8))
        #expect(self.answer(&check, 2, .record(self.print(8)), 20).isEmpty)
        #expect(self.committed(check) == self.print(9))
    }

    @Test func anotherRecordIsAnotherTopic() {
        var check = self.started()
        _ = self.due(&check, 10)
        let found = self.answer(&check, 1, .record(self.print(5, 2)), 10)
        #expect(found == [.another(self.partition, .otherRecord)])
        #expect(self.committed(check) == nil)
        // What is taken now is of the new topic.
        self.taken(&check, 0, 7, at: 11)
        #expect(self.committed(check) == self.print(0, 7))
    }

    @Test func theTimestampCountsToo() {
        var check = self.started()
        _ = self.due(&check, 10)
        let other = TopicFingerprint(offset: 5, timestamp: 6, checksum: 1)
        #expect(self.answer(&check, 1, .record(other), 10) == [.another(self.partition, .otherRecord)])
    }

    @Test func aLogThatIsTooShortIsLookedAtTwice() {
        var check = self.started()
        _ = self.due(&check, 10)
        #expect(self.answer(&check, 1, .ended, 10).isEmpty)
        #expect(self.due(&check, 10.9) == nil)
        #expect(self.due(&check, 11) == self.print(5))
        #expect(self.answer(&check, 2, .ended, 11) == [.another(self.partition, .shorterLog)])
    }

    /// The new leader did not know yet how far its log goes.
    @Test func aLogThatWasTooShortForAMomentIsTheSame() {
        var check = self.started()
        for round in 0..<3 {
            let time = 10 + 20 * Double(round)
            #expect(self.due(&check, time) == self.print(5))
            #expect(self.answer(&check, UInt(2 * round + 1), .ended, time).isEmpty)
            #expect(self.due(&check, time + 1) == self.print(5))
            #expect(self.answer(&check, UInt(2 * round + 2), .record(self.print(5)), time + 1).isEmpty)
        }
    }

    @Test(arguments: [FingerprintCheck.Finding.removed, .missing(isCompacted: true)])
    func whatRetentionOrCompactionTookIsNoOtherTopic(_ finding: FingerprintCheck.Finding) {
        var check = self.started()
        self.taken(&check, 8, at: 3)
        _ = self.due(&check, 10)
        #expect(self.answer(&check, 1, finding, 10).isEmpty)
        #expect(self.committed(check) == self.print(8))
        // Nothing was taken since: it stays, and tells by being away.
        for round in 2...5 {
            let time = Double(round) * 10
            #expect(self.due(&check, time) == self.print(8))
            #expect(self.answer(&check, UInt(round), finding, time).isEmpty)
        }
        self.taken(&check, 9, at: 51)
        #expect(self.due(&check, 60) == self.print(8))
        #expect(self.answer(&check, 6, finding, 60).isEmpty)
        #expect(self.due(&check, 70) == self.print(9))
    }

    @Test func aLogThatHasAgainWhatRetentionTookIsAnotherTopic() {
        var check = self.started()
        _ = self.due(&check, 10)
        #expect(self.answer(&check, 1, .removed, 10).isEmpty)
        _ = self.due(&check, 20)
        #expect(self.answer(&check, 2, .record(self.print(5, 2)), 20) == [.another(self.partition, .otherRecord)])
    }

    @Test func aGapInALogThatIsNotCompactedIsAnotherTopic() {
        var check = self.started()
        _ = self.due(&check, 10)
        #expect(self.answer(&check, 1, .missing(isCompacted: false), 10) == [.another(self.partition, .noRecord)])
    }

    @Test func aGapThatNobodyCanExplainIsNoVerdict() {
        var check = self.started()
        self.taken(&check, 8, at: 3)
        _ = self.due(&check, 10)
        #expect(self.answer(&check, 1, .missing(isCompacted: nil), 10).isEmpty)
        #expect(self.committed(check) == self.print(5))
        #expect(self.due(&check, 11) == self.print(5))
    }

    @Test func noAnswerIsNoVerdictAndIsAskedForAgainSoonThenSeldom() {
        var check = self.started()
        self.taken(&check, 8, at: 3)
        var time = 10.0
        for (number, wait) in [1.0, 2, 4, 8, 10, 10].enumerated() {
            #expect(self.due(&check, time) == self.print(5))
            #expect(self.answer(&check, UInt(number + 1), .unreadable("timed out"), time).isEmpty)
            #expect(self.due(&check, time + wait - 0.1) == nil)
            time += wait
        }
        #expect(self.committed(check) == self.print(5))
    }

    @Test func aMinuteWithoutAVerdictIsSaidOnce() {
        var check = self.started()
        var said: [Double] = []
        for number in 1...20 {
            let time = Double(number) * 10
            _ = check.roundIsDue(self.seconds(time))
            let outcomes = check.answered(UInt(number), [:], now: self.seconds(time))
            if !outcomes.isEmpty {
                #expect(outcomes == [.cannotCheck(self.partition, "no answer")])
                said.append(time)
            }
        }
        #expect(said == [70])
    }

    @Test func aRestartedWorkerWaitsForTheVerdictOnWhatWasCommitted() {
        var check = self.check()
        check.assigned(self.partition, CommitMetadata(fingerprint: self.print(5)), now: self.seconds(2))
        #expect(check.isAwaited([self.partition], now: self.seconds(2)))
        #expect(self.due(&check, 2) == self.print(5))
        #expect(self.answer(&check, 1, .record(self.print(5, 9)), 2) == [.another(self.partition, .otherRecord)])
        #expect(!check.isAwaited([self.partition], now: self.seconds(2)))

        check.assigned(self.partition, CommitMetadata(fingerprint: self.print(5)), now: self.seconds(30))
        #expect(self.due(&check, 30) == self.print(5))
        #expect(self.answer(&check, 2, .record(self.print(5)), 30).isEmpty)
        #expect(!check.isAwaited([self.partition], now: self.seconds(30)))
        #expect(self.committed(check) == self.print(5))
    }

    /// What it reads in the meantime does not vouch for the log.
    @Test func aRestartedWorkerGoesOnWithoutAnAnswerAndKeepsAsking() {
        var check = self.check()
        check.assigned(self.partition, CommitMetadata(fingerprint: self.print(5)), now: self.seconds(0))
        #expect(self.due(&check, 0) == self.print(5))
        #expect(check.isAwaited([self.partition], now: self.seconds(4.9)))
        #expect(!check.isAwaited([self.partition], now: self.seconds(5)))
        self.taken(&check, 8, 3, at: 5)
        #expect(self.answer(&check, 1, .unreadable("timed out"), 5).isEmpty)
        #expect(self.committed(check) == self.print(5))
        #expect(self.due(&check, 6) == self.print(5))
        #expect(self.answer(&check, 2, .record(self.print(5, 3)), 6) == [.another(self.partition, .otherRecord)])
    }

    @Test func aSuspicionBringsTheNextRoundForwardButNotTooMany() {
        var check = self.started()
        check.suspected(now: self.seconds(2))
        #expect(self.due(&check, 2) == self.print(5))
        check.suspected(now: self.seconds(2.1))
        #expect(self.due(&check, 2.5) == nil)
        #expect(self.answer(&check, 1, .record(self.print(5)), 2.5).isEmpty)
        #expect(self.due(&check, 2.9) == nil)
        #expect(self.due(&check, 3) == self.print(5))
    }

    @Test func aLostPositionIsExplainedByTheVerdict() {
        for (finding, outcome) in [
            (.record(self.print(5)), .positionLost(self.partition, self.error)),
            (.removed, .positionLost(self.partition, self.error)),
            (.record(self.print(5, 2)), .another(self.partition, .otherRecord)),
        ] as [(FingerprintCheck.Finding, FingerprintCheck.Outcome)] {
            var check = self.started()
            let isAsked = check.positionLost(self.partition, self.error, now: self.seconds(1))
            #expect(isAsked)
            #expect(self.due(&check, 1) == self.print(5))
            #expect(self.answer(&check, 1, .unreadable("timed out"), 1).isEmpty)
            #expect(self.due(&check, 2) == self.print(5))
            #expect(self.answer(&check, 2, finding, 2) == [outcome])
        }
        var unknown = self.check()
        unknown.assigned(self.partition, nil, now: self.seconds(0))
        let isAsked = unknown.positionLost(self.partition, self.error, now: self.seconds(1))
        #expect(!isAsked)
    }

    @Test func anotherIdentifierIsAnotherTopic() {
        let (old, new) = (TopicID(high: 1, low: 1), TopicID(high: 1, low: 2))
        var check = self.started()
        _ = self.due(&check, 10)
        #expect(self.answer(&check, 1, .record(self.print(5)), 10, topicID: old).isEmpty)
        #expect(check.metadata(of: self.partition).topicID == old)
        _ = self.due(&check, 20)
        // The library forgot how to ask, or the broker did not answer: the record decides.
        #expect(self.answer(&check, 2, .record(self.print(5)), 20).isEmpty)
        #expect(check.metadata(of: self.partition).topicID == old)
        _ = self.due(&check, 30)
        let found = self.answer(&check, 3, .unreadable("timed out"), 30, topicID: new)
        #expect(found == [.another(self.partition, .otherIdentifier)])
        #expect(check.metadata(of: self.partition).topicID == nil)
    }

    @Test func anIdentifierIsTakenOnlyWithARecordThatPassed() {
        var check = self.started()
        _ = self.due(&check, 10)
        _ = self.answer(&check, 1, .ended, 10, topicID: TopicID(high: 1, low: 2))
        #expect(check.metadata(of: self.partition).topicID == nil)
    }

    @Test func theSameIdentifierExplainsAGap() {
        let known = TopicID(high: 1, low: 1)
        var check = self.check()
        check.assigned(
            self.partition,
            CommitMetadata(fingerprint: self.print(5), topicID: known),
            now: self.seconds(0)
        )
        _ = self.due(&check, 0)
        #expect(self.answer(&check, 1, .missing(isCompacted: nil), 0, topicID: known).isEmpty)
        #expect(!check.isAwaited([self.partition], now: self.seconds(0)))
    }

    @Test func answersThatNobodyWaitsForAreIgnored() {
        var check = self.started()
        _ = self.due(&check, 10)
        #expect(self.answer(&check, 7, .record(self.print(5, 2)), 10).isEmpty)
        check.ended([self.partition])
        check.assigned(self.partition, nil, now: self.seconds(10))
        self.taken(&check, 6, at: 10)
        #expect(self.answer(&check, 1, .record(self.print(5, 2)), 10).isEmpty)
        #expect(self.answer(&check, 1, .record(self.print(5, 2)), 10).isEmpty)
        #expect(self.committed(check) == self.print(6))
    }
}
