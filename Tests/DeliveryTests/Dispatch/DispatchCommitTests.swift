import AfterloginKafka
import Testing

@testable import AfterloginDelivery

@Suite("What is committed, and what no commit covers", .timeLimit(.minutes(1)))
struct DispatchCommitTests {
    private typealias Step = Dispatch.Step
    private let zero = DispatchScript.zero

    private func commit(_ offset: Int64, _ map: String = "") -> OffsetCommit {
        OffsetCommit(topicPartition: self.zero, offset: offset, map: Array(map.utf8))
    }

    @Test
    func whatIsCompleteBeyondTheCommitIsInItsMap() {
        var script = DispatchScript(concurrency: 10)
        _ = script.assign(self.zero)
        let logins = script.read(self.zero, (0..<6).map { ($0, "user-\($0)") }).logins
        #expect(script.complete(logins[1])[2].commit == [self.commit(0, "A")])
        for login in logins[3...5] { #expect(script.complete(login)[2].commit == []) }
        script.now += .seconds(1)
        // Not before the first was answered.
        #expect(script.dispatch.clockTicked(script.now).commit == [])
        #expect(script.commitAnswered().commit == [self.commit(0, "AC")])
        #expect(script.dispatch.partitions.uncovered == 3)
        _ = script.commitAnswered()
        #expect(script.dispatch.partitions.uncovered == 0)
        script.now += .seconds(1)
        #expect(script.complete(logins[0])[2].commit == [self.commit(2, "C")])
    }

    @Test
    func whatTheMapNamesIsNotRunAgain() {
        var script = DispatchScript()
        #expect(script.assign(self.zero, from: 10, map: "B") == Step())
        // 11 and 12 are complete; 13 does not exist.
        let (logins, batch, decoded) = script.read(self.zero, [(10, "a"), (11, "b"), (12, "c"), (14, "d")])
        #expect(logins.map(\.offset) == [10, 14] && decoded.starts == logins)
        #expect(batch.commit == [self.commit(10, "C")])
        _ = script.commitAnswered()
        script.now += .seconds(1)
        #expect(script.complete(logins[0])[2].commit == [self.commit(14)])
    }

    @Test
    func aDamagedMapIsSaidAndRunsEverything() {
        var script = DispatchScript()
        #expect(script.assign(self.zero, from: 0, map: "!").remarks == [.mapIsDamaged(self.zero)])
        #expect(script.read(self.zero, [(0, "a"), (1, "b")]).decoded.starts.count == 2)
    }

    @Test
    func atTheLimitNothingIsPublishedThatNoCommitCovers() {
        var script = DispatchScript(concurrency: 3, uncommitted: 2)
        _ = script.assign(self.zero)
        let logins = script.read(self.zero, (0..<6).map { ($0, "user-\($0)") }).logins
        #expect(script.dispatch.finished(logins[0], script.now).publishes == [logins[0]])
        #expect(script.dispatch.finished(logins[1], script.now).publishes == [logins[1]])
        #expect(script.dispatch.finished(logins[2], script.now) == Step(), "two are published and not covered")
        #expect(script.dispatch.published([logins[0], logins[1]], script.now).starts == [], "nor does anything begin")
        #expect(script.dispatch.acknowledged(logins[0], script.now).commit == [self.commit(1)])
        _ = script.dispatch.acknowledged(logins[1], script.now)
        // One is covered, so one more may be published.
        let answered = script.commitAnswered()
        #expect(answered.publishes == [logins[2]] && answered.starts == [] && answered.commit == [self.commit(2)])
        #expect(script.commitAnswered().starts == [logins[3], logins[4]])
    }

    @Test
    func aRefusedCommitCoversNothing() {
        var script = DispatchScript(concurrency: 2, uncommitted: 1)
        _ = script.assign(self.zero)
        let logins = script.read(self.zero, [(0, "a"), (1, "b")]).logins
        #expect(script.complete(logins[0])[2].commit == [self.commit(1)])
        _ = script.dispatch.finished(logins[1], script.now)
        #expect(script.commitAnswered(.refused([])) == .with { $0.wakeAt = script.now + .milliseconds(500) })
        script.now += .milliseconds(500)
        #expect(script.dispatch.clockTicked(script.now).commit == [self.commit(1)])
        #expect(script.commitAnswered().publishes == [logins[1]])
    }

    /// Brokers may be set to less than 4,096 bytes; what does not fit any more is not covered.
    @Test
    func aMapThatTheBrokerRefusesIsShortenedAndSentAtOnce() {
        var script = DispatchScript(concurrency: 20, mapBytes: 60)
        _ = script.assign(self.zero)
        let logins = script.read(self.zero, (0..<12).map { ($0, "user-\($0)") }).logins
        #expect(script.complete(logins[1])[2].commit == [self.commit(0, "A")])
        for index in [3, 5, 7, 9] { _ = script.complete(logins[index]) }
        script.now += .seconds(1)
        #expect(script.commitAnswered().commit == [self.commit(0, "AAAAA")])
        for limit in [30, 15, 7] {
            let step = script.commitAnswered(.mapTooLong)
            #expect(step.commit == [self.commit(0, "AAAAA")] && step.remarks == [.mapIsTooLong(limit: limit)])
        }
        #expect(script.commitAnswered(.mapTooLong).commit == [self.commit(0, "AAA")])
        #expect(script.commitAnswered() == Step())
        #expect(script.dispatch.partitions.uncovered == 2, "7 and 9 are in no commit")
        for index in [0, 2, 4] { _ = script.complete(logins[index]) }
        script.now += .seconds(1)
        #expect(script.dispatch.clockTicked(script.now).commit == [self.commit(6, "AA")], "now they fit")
        _ = script.commitAnswered()
        #expect(script.dispatch.partitions.uncovered == 0)
    }

    /// At three quarters only what adds no pair begins, the oldest always: so a full map empties.
    @Test
    func aFullMapLetsBeginWhatDoesNotLengthenIt() {
        var script = DispatchScript(concurrency: 2, mapBytes: 12)
        _ = script.assign(self.zero)
        let logins = script.read(self.zero, (0..<30).map { ($0, "user-\($0)") }).logins
        var begun = Set(logins[0...1].map(\.offset))
        var waiting: [AdmittedLogin] = []
        // Every second one waits, until nothing more begins.
        while let offset = begun.min() {
            begun.remove(offset)
            let login = logins[Int(offset)]
            let steps: [Step]
            if offset % 2 == 0 {
                waiting.append(login)
                steps = [script.dispatch.heldBack(login, for: "API", until: nil, bytes: 0, script.now)]
            } else {
                steps = script.complete(login)
            }
            script.now += .seconds(1)
            for step in steps + [script.commitAnswered()] {
                begun.formUnion(step.starts.map(\.offset))
                for commit in step.commit { #expect(commit.map.count <= 12) }
            }
        }
        #expect(waiting.count < 12, "it was full before all had begun")
        let oldest = waiting.removeFirst()
        #expect(oldest.offset == 0)
        #expect(script.dispatch.resumed(oldest, script.now).starts == [oldest])
        // Its completion shortens the map: the next may begin.
        #expect(script.complete(oldest).flatMap(\.starts) != [])
    }

    /// An end without the records before it would be committed over them.
    @Test
    func anEndCountsOnlyBehindRecordsThatWereTaken() {
        var script = DispatchScript()
        _ = script.assign(self.zero)
        let login = script.read(self.zero, [(0, "a")], end: 3).logins[0]
        #expect(script.complete(login)[2].commit == [self.commit(3)])
        _ = script.commitAnswered()
        let next = script.read(self.zero, [(3, "a")]).logins[0]
        _ = script.dispatch.partitionsRevoked([self.zero], deadline: script.now + .seconds(5), script.now)
        #expect(script.read(self.zero, [(4, "b")], end: 5).batch == Step())
        script.now += .seconds(1)
        #expect(script.complete(next)[2].commit == [self.commit(4)])
        #expect(script.commitAnswered().finishesRevocation)
    }
}
