import AfterloginTestSupport
import Testing

@testable import AfterloginRuleHost

@Suite("The verdict on a host's death", .timeLimit(.minutes(1)))
struct DeathVerdictTests {
    private func verdict(
        _ inFlight: [UInt32],
        alone: UInt32? = nil,
        rule: Int? = nil,
        _ words: Host.LastWords?,
        pardons: [UInt32: Int] = [:]
    ) -> DeathVerdict {
        DeathVerdict(
            inFlight: inFlight.map { .init(evaluation: $0, pardons: pardons[$0] ?? 0) },
            alone: alone.map { ($0, rule) },
            lastWords: words,
            limits: .init(turn: "1 s", memory: "300 MB"),
            cause: "signal 9"
        )
    }

    /// A rule can write to the watchdog's descriptor as well.
    @Test func theOneThatTheWatchdogNamesRunsAgainAloneAndTheOthersAreInnocent() {
        let verdict = self.verdict([1, 2, 3], .turn(evaluation: 2, rule: 4))
        #expect(verdict.culprit == nil)
        #expect(verdict.kill == nil)
        #expect(verdict.groups == [[2]])
        #expect(verdict.innocent == [1, 3])
    }

    @Test(arguments: [Host.LastWords.memory, .pool, .nonsense, .turn(evaluation: 9, rule: 0), nil])
    func whereNobodyInFlightIsNamedTheyAreHalved(_ words: Host.LastWords?) {
        let verdict = self.verdict([1, 2, 3, 4, 5], words)
        #expect(verdict.culprit == nil)
        #expect(verdict.kill == nil)
        #expect(verdict.groups == [[1, 2, 3], [4, 5]])
        #expect(verdict.innocent.isEmpty)
    }

    @Test func oneInFlightThatWasNotAloneOnAFreshHostGetsAnotherTry() {
        #expect(self.verdict([1], nil).groups == [[1]])
        #expect(self.verdict([1], .turn(evaluation: 1, rule: 0)).groups == [[1]])
    }

    @Test func oneThatWasInnocentTooOftenIsSuspected() {
        let often = DeathVerdict.maxPardons
        let verdict = self.verdict(
            [1, 2, 3, 4],
            .turn(evaluation: 2, rule: 4),
            pardons: [1: often, 3: often - 1, 4: often]
        )
        #expect(verdict.groups == [[2], [1], [4]])
        #expect(verdict.innocent == [3])
    }

    @Test func theOneThatKillsAloneIsTheCulprit() {
        let crash = self.verdict([1], alone: 1, nil)
        #expect(crash.culprit == 1)
        #expect(crash.groups.isEmpty && crash.innocent.isEmpty)
        #expect(crash.kill?.reason == .crashed)
        #expect(crash.kill?.message.contains("signal 9") == true)
        let memory = self.verdict([1], alone: 1, .memory)
        #expect(memory.kill?.reason == .limit)
        #expect(memory.kill?.message.contains("300 MB") == true)
        let turn = self.verdict([1], alone: 1, rule: 3, .turn(evaluation: 0, rule: nil))
        #expect(turn.kill?.reason == .limit)
        #expect(turn.kill?.message.contains("1 s") == true)
        #expect(turn.kill?.rule == 3)
        #expect(self.verdict([1], alone: 1, rule: 3, .turn(evaluation: 1, rule: 5)).kill?.rule == 5)
        #expect(self.verdict([1], alone: 1, .nonsense).kill?.reason == .crashed)
    }

    @Test func aHostWithoutWorkHasNoCulprit() {
        let verdict = self.verdict([], nil)
        #expect(verdict.culprit == nil)
        #expect(verdict.groups.isEmpty && verdict.innocent.isEmpty)
    }

    /// Hosts die if and only if a culprit runs on them, and nobody says who it was.
    @Test(arguments: 0..<200)
    func everyCulpritIsFoundAndNoInnocentFails(_ round: Int) {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let count = Int.random(in: 1...300, using: &random)
        let all = (1...UInt32(count)).map { $0 }
        let culprits = Set(all.shuffled(using: &random).prefix(Int.random(in: 0...min(count, 12), using: &random)))
        var (failed, completed): (Set<UInt32>, Set<UInt32>) = ([], [])
        var (deaths, runs) = (0, 0)
        /// The first is a host with everybody; the others are groups, alone where there is one.
        var groups: [(evaluations: [UInt32], isAlone: Bool)] = [(all, false)]
        while !groups.isEmpty {
            let (group, isAlone) = groups.removeFirst()
            runs += 1
            guard !culprits.isDisjoint(with: group) else {
                completed.formUnion(group)
                continue
            }
            deaths += 1
            let words: Host.LastWords? = [nil, .memory, .pool, .nonsense].randomElement(using: &random) ?? nil
            let verdict = self.verdict(group, alone: isAlone ? group.first : nil, words)
            if let culprit = verdict.culprit { failed.insert(culprit) }
            #expect(verdict.innocent.isEmpty, "seed \(seed)")
            groups += verdict.groups.map { ($0, $0.count == 1) }
        }
        #expect(failed == culprits, "seed \(seed)")
        #expect(completed == Set(all).subtracting(culprits), "seed \(seed)")
        // Groups with a culprit in a tree of halves, and the first try of one that was alone by chance.
        let levels = count == 1 ? 0 : Int(UInt32(count - 1).bitWidth - UInt32(count - 1).leadingZeroBitCount)
        let bound = (0...levels).reduce(0) { $0 + min(1 << $1, culprits.count) } + (count == 1 ? 1 : 0)
        #expect(deaths <= bound, "seed \(seed): \(deaths) deaths, \(culprits.count) of \(count)")
        #expect(runs <= 2 * bound + 1, "seed \(seed): \(runs) runs, \(culprits.count) of \(count)")
    }

    /// One that names somebody else each time it kills a host is found all the same.
    @Test(arguments: 0..<50)
    func whoForgesTheWatchdogsWordsIsFound(_ round: Int) {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let all = (1...UInt32(Int.random(in: 2...64, using: &random))).map { $0 }
        let culprit = all.randomElement(using: &random) ?? 1
        var pardons: [UInt32: Int] = [:]
        var (failed, completed): (Set<UInt32>, Set<UInt32>) = ([], [])
        var (deaths, hosts): (Int, [(evaluations: [UInt32], isAlone: Bool)]) = (0, [(all, false)])
        while !hosts.isEmpty, deaths < 1_000 {
            let (group, isAlone) = hosts.removeFirst()
            guard group.contains(culprit) else {
                completed.formUnion(group)
                continue
            }
            deaths += 1
            let named = group.filter { $0 != culprit }.randomElement(using: &random) ?? culprit
            let verdict = self.verdict(
                group,
                alone: isAlone ? group.first : nil,
                .turn(evaluation: named, rule: 0),
                pardons: pardons
            )
            if let culprit = verdict.culprit { failed.insert(culprit) }
            for innocent in verdict.innocent { pardons[innocent, default: 0] += 1 }
            if !verdict.innocent.isEmpty { hosts.append((verdict.innocent, false)) }
            hosts += verdict.groups.map { ($0, $0.count == 1) }
        }
        #expect(failed == [culprit], "seed \(seed)")
        #expect(completed == Set(all).subtracting([culprit]), "seed \(seed)")
        #expect(deaths <= 12, "seed \(seed): \(deaths)")
    }
}
