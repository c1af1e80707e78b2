import AfterloginWaiting
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ProbeScheduleTests {
    private let at = Timeline()
    private let settings = WaitingSettings()

    private func make() -> ProbeSchedule { ProbeSchedule(now: self.at(0), fraction: 1, self.settings) }

    @Test
    func probesComeWithJitterFrom200MillisecondsTo5Seconds() {
        var schedule = self.make()
        var gaps: [Duration] = []
        var now = self.at(0)
        for _ in 0..<7 {
            let next = schedule.next(self.settings)
            gaps.append(next - now)
            now = next
            #expect(schedule.mayCall(now: now, self.settings))
            schedule.called(user: .ada, now: now)
            schedule.probeFailed(now: now, retryAfter: nil, fraction: 1, self.settings)
        }
        #expect(gaps == [200, 400, 800, 1_600, 3_200, 5_000, 5_000].map { .milliseconds($0) })
        schedule.probeFailed(now: now, retryAfter: .seconds(60), fraction: 1, self.settings)
        #expect(schedule.next(self.settings) == now + .seconds(60))
    }

    @Test
    func oneThatIsUnansweredForFiveSecondsNoLongerHoldsBackTheNext() {
        var schedule = self.make()
        #expect(!schedule.mayCall(now: self.at(0.1), self.settings))
        schedule.called(user: .ada, now: self.at(1))
        #expect(schedule.isOut(now: self.at(5.9), self.settings))
        #expect(!schedule.mayCall(now: self.at(5.9), self.settings))
        #expect(schedule.mayCall(now: self.at(6), self.settings))
        #expect(schedule.isDue(now: self.at(6), self.settings))
    }

    @Test
    func aLoginThatEndsWithoutCallingDecidesNothing() {
        var schedule = self.make()
        schedule.loginBegan(1, user: .ada, now: self.at(1))
        #expect(!schedule.isDue(now: self.at(1), self.settings), "one login is begun at a time")
        #expect(schedule.mayCall(now: self.at(1), self.settings), "whose call is first is the probe")
        schedule.loginEnded(9, now: self.at(2), fraction: 1, self.settings)
        #expect(!schedule.isDue(now: self.at(2), self.settings), "another login's end is nothing to it")
        schedule.loginEnded(1, now: self.at(2), fraction: 1, self.settings)
        #expect(schedule.isDue(now: self.at(2), self.settings), "the next is begun at once")
        #expect(schedule.lastUser == .ada)
    }

    @Test
    func notAllLoginsAreBegunForOneProbe() {
        var schedule = self.make()
        var begun = 0
        while schedule.isDue(now: self.at(1), self.settings), begun < 100 {
            begun += 1
            schedule.loginBegan(UInt64(begun), user: .ada, now: self.at(1))
            schedule.loginEnded(UInt64(begun), now: self.at(1), fraction: 1, self.settings)
        }
        #expect(begun == 16)
        #expect(schedule.next(self.settings) > self.at(1))
    }
}
