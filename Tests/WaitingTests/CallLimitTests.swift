import AfterloginWaiting
import Testing

@Suite(.timeLimit(.minutes(1)))
struct CallLimitTests {
    private let at = Timeline()
    private let settings = WaitingSettings()

    @Test
    func afterTheReturnItGrowsWithEachSuccess() {
        var limit = CallLimit(self.settings)
        #expect(limit.limit == 256)
        let old = limit.began()
        limit.returned(self.settings)
        #expect(limit.limit == 1)
        #expect(limit.inFlight == 0, "calls of before the return don't count")
        #expect(limit.hasRoom(cap: 256))
        limit.ended(generation: old)
        #expect(limit.inFlight == 0)
        #expect(limit.total == 0)
        for expected in 2...256 {
            #expect(limit.gotThrough(self.settings) == true)
            #expect(limit.limit == expected)
        }
        #expect(limit.gotThrough(self.settings) == false)
    }

    @Test
    func aPauseHalvesItOnceAndRoundsOfSuccessesRaiseIt() {
        var limit = CallLimit(self.settings)
        let paced = { (limit: inout CallLimit, begun: Double, now: Double) in
            limit.paced(
                begun: self.at(begun),
                now: self.at(now),
                retryAfter: .seconds(1),
                cap: .seconds(300),
                fraction: 1,
                self.settings
            )
        }
        #expect(paced(&limit, 0, 1) == self.at(2))
        #expect(paced(&limit, 0.5, 1) == nil, "calls that were sent before the pause say the same")
        #expect(paced(&limit, 0.9, 1.5) == self.at(2.5), "but may lengthen it")
        #expect(limit.limit == 128)
        #expect(limit.pauseEnd(now: self.at(2.4)) == self.at(2.5))
        #expect(limit.pauseEnd(now: self.at(2.5)) == nil)
        for _ in 0..<127 { #expect(limit.gotThrough(self.settings) == false) }
        #expect(limit.gotThrough(self.settings) == true)
        #expect(limit.limit == 129)
    }

    @Test
    func wherePausesFollowEachOtherOneCallIsEnoughToFindOut() {
        var limit = CallLimit(self.settings)
        var now = 0.0
        var pauses: [Duration] = []
        for _ in 0..<6 {
            let end = limit.paced(
                begun: self.at(now),
                now: self.at(now + 0.01),
                retryAfter: nil,
                cap: .seconds(300),
                fraction: 1,
                self.settings
            )
            pauses.append((end ?? self.at(0)) - self.at(now + 0.01))
            now += 60
        }
        #expect(pauses == [1, 2, 4, 8, 8, 8].map { .seconds($0) })
        #expect(limit.limit == 1)
        #expect(limit.gotThrough(self.settings) == true, "up to the half of before it grows with each success")
        #expect(limit.limit == 2)
    }

    @Test
    func retryAfterIsBounded() {
        var limit = CallLimit(self.settings)
        let end = limit.paced(
            begun: self.at(0),
            now: self.at(0),
            retryAfter: .seconds(86_400),
            cap: .seconds(300),
            fraction: 0,
            self.settings
        )
        #expect(end == self.at(300))
    }
}
