import Testing

@testable import AfterloginEgress

@Suite(.timeLimit(.minutes(1)))
struct TokenEntryTests {
    @Test
    func aTokenIsRefreshedAheadAndNotUsedAtTheEdge() {
        let start = ContinuousClock.now
        var entry = TokenEntry()
        let decision1 = entry.asked(start)
        #expect(decision1 == .fetch)
        let decision2 = entry.asked(start)
        #expect(decision2 == .join)
        entry.fetched("one", life: .seconds(1_000), now: start, fraction: 0)
        let expires = start + .seconds(1_000)
        let decision3 = entry.asked(start + .seconds(749))
        #expect(decision3 == .use("one", expires: expires))
        let decision4 = entry.asked(start + .seconds(751))
        #expect(decision4 == .useAndRefresh("one", expires: expires))
        let decision5 = entry.asked(start + .seconds(752))
        #expect(decision5 == .use("one", expires: expires))
        let decision6 = entry.asked(start + .seconds(941))
        #expect(decision6 == .join)
        entry.fetched("two", life: .seconds(1_000), now: start + .seconds(942), fraction: 0)
        let decision7 = entry.asked(start + .seconds(943))
        #expect(decision7 == .use("two", expires: start + .seconds(1_942)))
    }

    @Test
    func aRejectedTokenIsFetchedAgainOnlyIfItIsStillTheOne() {
        let start = ContinuousClock.now
        var entry = TokenEntry()
        _ = entry.asked(start)
        entry.fetched("one", life: .seconds(1_000), now: start, fraction: 0)
        let isOther = entry.rejected("zero", now: start)
        #expect(!isOther)
        let decision8 = entry.asked(start)
        #expect(decision8 == .use("one", expires: start + .seconds(1_000)))
        let isRejected = entry.rejected("one", now: start)
        #expect(isRejected)
        let decision9 = entry.asked(start)
        #expect(decision9 == .fetch)
    }

    @Test
    func renewalsThatDoNotHelpComeLessAndLessOften() {
        let start = ContinuousClock.now
        var entry = TokenEntry()
        _ = entry.asked(start)
        entry.fetched("0", life: .seconds(10_000), now: start, fraction: 0)
        var renewals: [Int] = []
        for second in 0..<80 {
            let now = start + .seconds(second)
            guard entry.rejected("\(renewals.count)", now: now) else { continue }
            renewals.append(second)
            _ = entry.asked(now)
            entry.fetched("\(renewals.count)", life: .seconds(10_000), now: now, fraction: 0)
        }
        #expect(renewals == [0, 5, 15, 35, 75])
        // A token that lived to its refresh shows that tokens are taken again.
        let refresh = start + .seconds(7_600)
        _ = entry.asked(refresh)
        entry.fetched("6", life: .seconds(10_000), now: refresh, fraction: 0)
        let isFirst = entry.rejected("6", now: refresh)
        entry.fetched("7", life: .seconds(10_000), now: refresh, fraction: 0)
        let isSecond = entry.rejected("7", now: refresh + .seconds(5))
        #expect(isFirst && isSecond)
    }

    @Test
    func aRefreshThatFailsIsTriedAgainAfterAWhileAndATokenInHandIsUsed() {
        let start = ContinuousClock.now
        var entry = TokenEntry()
        _ = entry.asked(start)
        entry.fetched("one", life: .seconds(1_000), now: start, fraction: 0)
        let due = start + .seconds(800)
        let expires = start + .seconds(1_000)
        let decision10 = entry.asked(due)
        #expect(decision10 == .useAndRefresh("one", expires: expires))
        entry.failed("answers 503", now: due, fraction: 0.5)
        #expect(entry.lastError == "answers 503")
        let decision11 = entry.asked(due + .milliseconds(100))
        #expect(decision11 == .use("one", expires: expires))
        let decision12 = entry.asked(due + .seconds(2))
        #expect(decision12 == .useAndRefresh("one", expires: expires))
        entry.fetched("two", life: .seconds(1_000), now: due + .seconds(3), fraction: 0)
        #expect(entry.lastError == nil)
    }

    @Test
    func aTokenWithAShortLifeIsUsedForThreeQuartersOfIt() {
        let start = ContinuousClock.now
        var entry = TokenEntry()
        _ = entry.asked(start)
        entry.fetched("one", life: .seconds(8), now: start, fraction: 0)
        let decision13 = entry.asked(start + .seconds(5))
        #expect(decision13 == .use("one", expires: start + .seconds(8)))
        let decision14 = entry.asked(start + .seconds(6))
        #expect(decision14 == .fetch)
    }
}
