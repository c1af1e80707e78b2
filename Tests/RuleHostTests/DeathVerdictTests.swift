import Testing

@testable import RuleHost

@Suite("The verdict on a host's death", .timeLimit(.minutes(1)))
struct DeathVerdictTests {
    private func verdict(
        _ inFlight: [UInt32],
        suspect: UInt32? = nil,
        rule: Int? = nil,
        _ words: Host.LastWords?
    ) -> DeathVerdict {
        DeathVerdict(
            inFlight: inFlight,
            suspect: suspect.map { ($0, rule) },
            lastWords: words,
            limits: .init(turn: "1 s", memory: "300 MB"),
            cause: "signal 9"
        )
    }

    @Test func theOneThatTheWatchdogNamesIsTheCulprit() {
        let verdict = self.verdict([1, 2, 3], .turn(evaluation: 2, rule: 4))
        #expect(verdict.culprit == 2)
        #expect(verdict.kill?.reason == .limit)
        #expect(verdict.kill?.rule == 4)
        #expect(verdict.innocent == [1, 3])
        #expect(verdict.suspects.isEmpty)
    }

    @Test(arguments: [Host.LastWords.memory, .pool, .turn(evaluation: 9, rule: 0), nil])
    func whereNobodyInFlightIsNamedAllAreSuspects(_ words: Host.LastWords?) {
        let verdict = self.verdict([1, 2, 3], words)
        #expect(verdict.culprit == nil)
        #expect(verdict.kill == nil)
        #expect(verdict.suspects == [1, 2, 3])
        #expect(verdict.innocent.isEmpty)
    }

    @Test func oneInFlightThatWasNoSuspectBeforeGetsAnotherTry() {
        #expect(self.verdict([1], nil).suspects == [1])
    }

    @Test func theSuspectThatKillsAloneIsTheCulprit() {
        let crash = self.verdict([1], suspect: 1, nil)
        #expect(crash.culprit == 1)
        #expect(crash.kill?.reason == .crashed)
        #expect(crash.kill?.message.contains("signal 9") == true)
        let memory = self.verdict([1], suspect: 1, .memory)
        #expect(memory.kill?.reason == .limit)
        #expect(memory.kill?.message.contains("300 MB") == true)
        let turn = self.verdict([1], suspect: 1, rule: 3, .turn(evaluation: 0, rule: nil))
        #expect(turn.kill?.reason == .limit)
        #expect(turn.kill?.message.contains("1 s") == true)
        #expect(turn.kill?.rule == 3)
    }

    @Test func aHostWithoutWorkHasNoCulprit() {
        let verdict = self.verdict([], nil)
        #expect(verdict.culprit == nil)
        #expect(verdict.suspects.isEmpty)
    }
}
