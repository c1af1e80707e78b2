import AfterloginKafka
import Testing

@testable import AfterloginDelivery

@Suite("What the dispatcher decides", .timeLimit(.minutes(1)))
struct DispatchTests {
    private typealias Step = Dispatch.Step
    private let zero = DispatchScript.zero
    private let one = DispatchScript.one

    private func commit(_ offset: Int64, _ map: String = "") -> OffsetCommit {
        OffsetCommit(topicPartition: self.zero, offset: offset, map: Array(map.utf8))
    }

    @Test
    func theWayOfALogin() {
        var script = DispatchScript()
        #expect(script.assign(self.zero) == Step())
        let (logins, batch, decoded) = script.read(self.zero, [(0, "a"), (1, "a")])
        #expect(batch == .with { $0.decodes = true })
        #expect(decoded == .with { $0.starts = [logins[0]] })
        #expect(script.dispatch.finished(logins[0], script.now) == .with { $0.publishes = [logins[0]] })
        // Handed over: the next of the user may begin.
        #expect(script.dispatch.published([logins[0]], script.now) == .with { $0.starts = [logins[1]] })
        #expect(script.dispatch.acknowledged(logins[0], script.now) == .with { $0.commit = [self.commit(1)] })
        #expect(script.commitAnswered() == Step())
        script.now += .milliseconds(10)
        let due = script.now + .milliseconds(15)
        #expect(
            script.complete(logins[1]) == [.with { $0.publishes = [logins[1]] }, Step(), .with { $0.wakeAt = due }]
        )
        script.now = due
        #expect(script.dispatch.clockTicked(script.now) == .with { $0.commit = [self.commit(2)] })
        #expect(script.commitAnswered() == Step())
        #expect(script.isEmpty && script.dispatch.partitions.uncovered == 0)
    }

    @Test
    func aLoginThatWaitsKeepsItsPlaceAndNoSlot() {
        var script = DispatchScript(concurrency: 1)
        _ = script.assign(self.zero)
        let logins = script.read(self.zero, [(0, "a"), (1, "b"), (2, "a"), (3, "c")]).logins
        let wait = script.dispatch.heldBack(logins[0], for: "API", until: nil, bytes: 500, script.now)
        #expect(wait == .with { $0.starts = [logins[1]] })
        #expect(script.dispatch.lanes.waitingReasons == ["API": 1])
        let bytes = logins.reduce(500) { $0 + $1.byteCount }
        #expect(script.dispatch.intake.admittedBytes == bytes)
        let room = 1_000_000 - bytes
        #expect(script.dispatch.intake.hasRoom(forBytes: room) && !script.dispatch.intake.hasRoom(forBytes: room + 1))
        _ = script.dispatch.resumed(logins[0], script.now)
        // Before 3, though 3 has waited for longer for a slot; 2 stays behind its user's first.
        _ = script.dispatch.finished(logins[1], script.now)
        #expect(script.dispatch.published([logins[1]], script.now).starts == [logins[0]])
        _ = script.dispatch.finished(logins[0], script.now)
        #expect(script.dispatch.published([logins[0]], script.now).starts == [logins[2]])
        #expect(script.dispatch.intake.admittedBytes == bytes - 500, "what was kept has gone")
    }

    /// A time-out ends for all at once; each of them may keep its slot for a second.
    @Test
    func aCrowdThatRunsAgainLeavesHalfOfTheSlotsToWhoeverBegins() {
        var script = DispatchScript(concurrency: 4)
        _ = script.assign(self.zero)
        let crowd = script.read(self.zero, [(0, "a"), (1, "b"), (2, "c"), (3, "d")]).logins
        for login in crowd {
            _ = script.dispatch.heldBack(login, for: "API", until: script.now + .seconds(2), bytes: 0, script.now)
        }
        script.now += .seconds(2)
        #expect(script.dispatch.clockTicked(script.now).starts == Array(crowd[..<2]))
        let others = script.read(self.zero, [(4, "e"), (5, "f"), (6, "g")])
        #expect(
            others.decoded.starts == Array(others.logins[..<2]),
            "two slots are left, and the crowd gets none of them"
        )
        _ = script.dispatch.finished(others.logins[0], script.now)
        #expect(script.dispatch.published([others.logins[0]], script.now).starts == [others.logins[2]])
        // Who gave its slot back is no longer among those that work.
        #expect(script.dispatch.slotGivenBack(crowd[0], script.now).starts == [crowd[2]])
        #expect(script.dispatch.slotGivenBack(crowd[1], script.now).starts == [crowd[3]])
        let rest = crowd + others.logins[1...]
        for login in rest { _ = script.complete(login) }
        #expect(script.dispatch.lanes.working == 0 && script.dispatch.lanes.workingAgain == 0)
    }

    /// An outage makes a login wait again and again, each time until it is too old: a day.
    @Test
    func whoWaitedAndWentOnIsNotRememberedUntilItWouldHaveBeenTooOld() {
        var script = DispatchScript(concurrency: 1)
        _ = script.assign(self.zero)
        let login = script.read(self.zero, [(0, "a")]).logins[0]
        for _ in 0..<1_000 {
            let until = script.now + .seconds(86_400)
            _ = script.dispatch.heldBack(login, for: "away", until: until, bytes: 0, script.now)
            #expect(script.dispatch.resumed(login, script.now).starts == [login])
        }
        #expect(script.dispatch.lanes.due.count <= 66)
    }

    @Test
    func whoWaitsUntilAnInstantIsWokenByTheClock() {
        var script = DispatchScript(concurrency: 1)
        _ = script.assign(self.zero)
        let login = script.read(self.zero, [(0, "a")]).logins[0]
        let (later, sooner) = (script.now + .seconds(9), script.now + .seconds(2))
        #expect(script.dispatch.heldBack(login, for: "503", until: later, bytes: 0, script.now).wakeAt == later)
        let other = script.read(self.zero, [(1, "b")]).logins[0]
        #expect(script.dispatch.heldBack(other, for: "503", until: sooner, bytes: 0, script.now).wakeAt == sooner)
        script.now = sooner
        #expect(
            script.dispatch.clockTicked(script.now)
                == .with {
                    $0.starts = [other]
                    $0.wakeAt = later
                }
        )
        // Resumed before, and waiting anew: the old instant means nothing.
        _ = script.dispatch.finished(other, script.now)
        _ = script.dispatch.published([other], script.now)
        #expect(script.dispatch.resumed(login, script.now).starts == [login])
        _ = script.dispatch.heldBack(login, for: "503", until: later + .seconds(5), bytes: 0, script.now)
        script.now = later
        #expect(script.dispatch.clockTicked(script.now).starts == [])
        script.now += .seconds(5)
        #expect(script.dispatch.clockTicked(script.now).starts == [login])
    }

    @Test
    func aSlotIsLentAndTakenBackBeyondTheLimit() {
        var script = DispatchScript(concurrency: 1)
        _ = script.assign(self.zero)
        let logins = script.read(self.zero, [(0, "a"), (1, "b"), (2, "c")]).logins
        #expect(script.dispatch.slotGivenBack(logins[0], script.now).starts == [logins[1]])
        #expect(script.dispatch.slotGivenBack(logins[0], script.now) == Step(), "it has none")
        #expect(script.dispatch.slotTaken(logins[0], script.now) == Step())
        #expect(script.dispatch.lanes.working == 2 && script.dispatch.lanes.idle == 0)
        _ = script.dispatch.finished(logins[1], script.now)
        #expect(script.dispatch.published([logins[1]], script.now).starts == [], "as many work as may")
        _ = script.dispatch.finished(logins[0], script.now)
        #expect(script.dispatch.published([logins[0]], script.now).starts == [logins[2]])
    }

    @Test
    func aDrainWaitsOnlyForThoseThatWork() {
        var script = DispatchScript(concurrency: 2)
        _ = script.assign(self.zero, self.one)
        let logins = script.read(self.zero, [(0, "a"), (1, "b"), (2, "c"), (3, "d")]).logins
        _ = script.dispatch.heldBack(logins[0], for: "API", until: nil, bytes: 10, script.now)
        _ = script.dispatch.slotGivenBack(logins[1], script.now)
        // 2 and 3 work, 0 waits, 1 runs without a slot.
        let deadline = script.now + .seconds(5)
        let revoke = script.dispatch.partitionsRevoked([self.zero], deadline: deadline, script.now)
        #expect(
            revoke
                == .with {
                    $0.drops = [logins[0], logins[1]]
                    $0.wakeAt = deadline
                }
        )
        #expect(script.dispatch.finished(logins[1], script.now).discards == [logins[1]])
        #expect(script.dispatch.slotGivenBack(logins[3], script.now).drops == [logins[3]], "nobody waits for it now")
        #expect(script.complete(logins[2])[2] == .with { $0.commit = [self.commit(0, "hA")] })
        #expect(script.commitAnswered() == .with { $0.finishesRevocation = true })
        #expect(script.dispatch.finished(logins[3], script.now).discards == [logins[3]])
        #expect(script.isEmpty && script.dispatch.partitions.uncovered == 0)
    }

    @Test
    func aDrainThatMissesItsDeadlineSaysHowManyAreNotDone() {
        var script = DispatchScript()
        _ = script.assign(self.zero)
        let logins = script.read(self.zero, [(0, "a"), (1, "b")]).logins
        let deadline = script.now + .seconds(5)
        #expect(script.dispatch.stopped(deadline: deadline, script.now) == .with { $0.wakeAt = deadline })
        script.now = deadline
        let end = script.dispatch.clockTicked(script.now)
        #expect(
            end
                == .with {
                    $0.remarks = [.drainMissedItsDeadline(2)]
                    $0.isOver = true
                }
        )
        #expect(logins.count == 2)
    }

    /// Its partition came back meanwhile: two of one user must not run at once, nor may the old one's end count.
    @Test
    func aLaneOutlivesAnAssignmentWhileItsFirstRuns() {
        var script = DispatchScript()
        _ = script.assign(self.zero)
        let old = script.read(self.zero, [(0, "a"), (1, "a")]).logins[0]
        #expect(script.dispatch.partitionsLost([self.zero], script.now) == .with { $0.purges = true })
        _ = script.assign(self.zero)
        let (logins, _, decoded) = script.read(self.zero, [(0, "a")])
        #expect(decoded.starts == [] && logins[0] != old)
        #expect(
            script.dispatch.finished(old, script.now)
                == .with {
                    $0.starts = logins
                    $0.discards = [old]
                }
        )
        #expect(script.complete(logins[0])[2].commit == [self.commit(1)])
        #expect(script.isEmpty)
    }

    @Test
    func anInterruptedLoginRunsAgainUnlessItIsDrained() {
        var script = DispatchScript(concurrency: 1)
        _ = script.assign(self.zero)
        let login = script.read(self.zero, [(0, "a")]).logins[0]
        let due = script.now + .seconds(1)
        #expect(script.dispatch.interrupted(login, script.now) == .with { $0.wakeAt = due })
        script.now = due
        #expect(script.dispatch.clockTicked(script.now).starts == [login])
        _ = script.dispatch.stopped(deadline: script.now + .seconds(5), script.now)
        let step = script.dispatch.interrupted(login, script.now)
        #expect(
            step
                == .with {
                    $0.discards = [login]
                    $0.isOver = true
                }
        )
        #expect(script.isEmpty)
    }

    /// Reading is not summed up anew at every event; it closes at the limit and opens a good way below it.
    @Test
    func intakeClosesAtTheLimitAndOpensBelowIt() {
        var script = DispatchScript(concurrency: 4, logins: 4)
        _ = script.assign(self.zero)
        let logins = script.read(self.zero, (0..<4).map { ($0, "user-\($0)") }).logins
        #expect(script.dispatch.intake.isClosed)
        #expect(!script.complete(logins[0]).contains { $0.resumesIntake })
        #expect(script.complete(logins[1])[2].resumesIntake && !script.dispatch.intake.isClosed)
    }
}
