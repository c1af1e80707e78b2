import AfterloginWaiting
import Testing

/// Transcripts: two users at one API, and what one login's failures are worth.
@Suite(.timeLimit(.minutes(1)))
struct LoginAttemptsTests {
    private let at = Timeline()
    private let transcript = Transcript()

    private func fail(_ attempts: inout LoginAttempts, _ destinations: inout Destinations, _ seconds: Double) {
        attempts.runBegan()
        let end = self.transcript.call(&destinations, .ada, .serverError, from: seconds, to: seconds + 0.1)
        guard let failed = end?.failed else {
            Issue.record("the call was not sent")
            return
        }
        let now = self.transcript.at(seconds + 0.1)
        attempts.callFailed(at: failed.destination, failed.failure, isForgiven: false, now: now)
    }

    @Test
    func theBackOffGrowsWithEachFailure() {
        var attempts = LoginAttempts(firstAttempt: self.at(0))
        let settings = WaitingSettings()
        let longest = (0..<6).map { _ in attempts.runFailed(fraction: 1, settings) }
        #expect(longest == [2, 4, 8, 15, 15, 15].map { .seconds($0) })
        #expect(attempts.runFailed(fraction: 0, settings) == .seconds(7.5))
        #expect(attempts.failures == 7)
    }

    @Test
    func anAttemptCountsOnlyIfSomebodyElseGotThrough() {
        var destinations = Destinations(WaitingSettings())
        var attempts = LoginAttempts(firstAttempt: self.transcript.at(0))
        self.fail(&attempts, &destinations, 0)
        let judge = { (seconds: Double) in
            attempts.backOffEnded(user: .ada, destinations, now: self.transcript.at(seconds))
        }
        #expect(judge(2) == .again(counted: false), "nobody called")
        self.transcript.call(&destinations, .ada, .gotThrough, from: 3, to: 3.1)
        #expect(judge(4) == .again(counted: false), "that was its own")
        self.transcript.call(&destinations, .bob, .gotThrough, from: 0.05, to: 4)
        #expect(judge(5) == .again(counted: false), "that began before it failed")
        self.transcript.call(&destinations, .bob, .gotThrough, from: 6, to: 6.1)
        #expect(judge(7) == .again(counted: true))
        #expect(attempts.counted == 1)
    }

    @Test
    func oneSuccessSinceTheFirstFailureIsEnoughForAllThatFollow() {
        var destinations = Destinations(WaitingSettings())
        var attempts = LoginAttempts(firstAttempt: self.transcript.at(0))
        var judgements: [LoginAttempts.Judgement] = []
        for run in 0..<8 {
            self.fail(&attempts, &destinations, Double(run) * 20)
            if run == 0 { self.transcript.call(&destinations, .bob, .gotThrough, from: 1, to: 1.1) }
            let now = self.transcript.at(Double(run) * 20 + 15)
            judgements.append(attempts.backOffEnded(user: .ada, destinations, now: now))
        }
        #expect(judgements == Array(repeating: .again(counted: true), count: 7) + [.exhausted])
    }

    @Test
    func whatIsAwayIsWaitedForAndCountsNothing() {
        var destinations = Destinations(WaitingSettings())
        var attempts = LoginAttempts(firstAttempt: self.transcript.at(0))
        self.fail(&attempts, &destinations, 0)
        self.transcript.call(&destinations, .bob, .gotThrough, from: 1, to: 1.1)
        for _ in 0..<3 { self.transcript.call(&destinations, .bob, .of(.connectionRefused), from: 2, to: 2) }
        let judgement = attempts.backOffEnded(user: .ada, destinations, now: self.transcript.at(3))
        #expect(judgement == .again(counted: true), "the connection is away, not what it failed at")
        self.transcript.call(&destinations, .bob, .gotThrough, from: 3, to: 3.1)
        for number in 0..<20 {
            let user = number % 2 == 0 ? LoginUser.bob : .eve
            self.transcript.call(&destinations, user, .failedToAnswer(nil), from: 4, to: 4)
        }
        let away = attempts.backOffEnded(user: .ada, destinations, now: self.transcript.at(5))
        #expect(away == .waits(self.transcript.route.answers, counted: false))
    }

    @Test
    func anErrorOfTheApplicationCountsBeyondPatience() {
        var destinations = Destinations(WaitingSettings())
        var attempts = LoginAttempts(firstAttempt: self.transcript.at(0))
        self.fail(&attempts, &destinations, 0)
        let judge = { (seconds: Double) in
            attempts.backOffEnded(user: .ada, destinations, now: self.transcript.at(seconds))
        }
        #expect(judge(899) == .again(counted: false))
        #expect(judge(901) == .again(counted: true))
        #expect(judge(86_400) == .tooOld)
    }

    @Test
    func aRunWithoutFailedCallsIsNotJudged() {
        var destinations = Destinations(WaitingSettings())
        var attempts = LoginAttempts(firstAttempt: self.transcript.at(0))
        self.fail(&attempts, &destinations, 0)
        self.transcript.call(&destinations, .bob, .gotThrough, from: 1, to: 1.1)
        attempts.runBegan()
        #expect(!attempts.hasFailedCalls)
        let judgement = attempts.backOffEnded(user: .ada, destinations, now: self.transcript.at(2))
        #expect(judgement == .again(counted: false))
        #expect(!attempts.isFirstFailure(at: self.transcript.route.answers))
    }

    @Test
    func aKeptVerdictStandsWhenItFailsAgainWhileOthersGetThrough() {
        var destinations = Destinations(WaitingSettings())
        var attempts = LoginAttempts(firstAttempt: self.transcript.at(0))
        let kept = KeptVerdict(user: .ada)
        self.fail(&attempts, &destinations, 0)
        #expect(
            kept.backOffEnded(&attempts, destinations, now: self.transcript.at(2))
                == .discarded(.again(counted: false))
        )
        self.fail(&attempts, &destinations, 2)
        self.transcript.call(&destinations, .bob, .gotThrough, from: 3, to: 3.1)
        #expect(kept.somebodyGotThrough(attempts, destinations, now: self.transcript.at(3.1)) == .keeps)
        #expect(
            kept.backOffEnded(&attempts, destinations, now: self.transcript.at(4)) == .discarded(.again(counted: true))
        )
        self.fail(&attempts, &destinations, 4)
        #expect(kept.somebodyGotThrough(attempts, destinations, now: self.transcript.at(4.2)) == .keeps)
        self.transcript.call(&destinations, .bob, .gotThrough, from: 5, to: 5.1)
        #expect(kept.somebodyGotThrough(attempts, destinations, now: self.transcript.at(5.1)) == .stands)
    }
}
