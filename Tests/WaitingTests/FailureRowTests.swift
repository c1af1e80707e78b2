import AfterloginWaiting
import Testing

@Suite(.timeLimit(.minutes(1)))
struct FailureRowTests {
    private let at = Timeline()
    private let settings = WaitingSettings()

    private func fails(_ row: inout FailureRow, _ user: LoginUser?, _ seconds: Double) -> Bool {
        row.answerFailed(user: user, now: self.at(seconds), self.settings)
    }

    @Test
    func threeConnectionsInARow() {
        var row = FailureRow()
        for _ in 1...2 { #expect(row.connectionFailed(self.settings) == false) }
        row.gotThrough(now: self.at(0))
        for _ in 1...2 { #expect(row.connectionFailed(self.settings) == false) }
        #expect(row.connectionFailed(self.settings) == true)
    }

    @Test
    func twentyAnswersInARowWhileOthersGotThroughShortlyBefore() {
        var row = FailureRow()
        row.gotThrough(now: self.at(0))
        for number in 1...19 { #expect(!self.fails(&row, number % 2 == 0 ? .ada : .bob, 1)) }
        #expect(self.fails(&row, .eve, 1))
    }

    @Test
    func allOfTheLastFifteenSeconds() {
        var row = FailureRow()
        row.gotThrough(now: self.at(0))
        #expect(!self.fails(&row, .ada, 14))
        #expect(!self.fails(&row, .bob, 14.5))
        #expect(!self.fails(&row, .ada, 15), "something got through 15 s ago")
        #expect(self.fails(&row, .bob, 15.1))
    }

    @Test
    func threeFromTheStartAreEnoughWithinFifteenSeconds() {
        var row = FailureRow()
        #expect(!self.fails(&row, .ada, 0))
        #expect(!self.fails(&row, .bob, 1))
        #expect(!self.fails(&row, .ada, 16.5), "the first two are too old")
        #expect(!self.fails(&row, .bob, 17))
        #expect(self.fails(&row, .ada, 18))
    }

    @Test
    func oneUserAloneNeverDoes() {
        var row = FailureRow()
        for second in 0..<100 { #expect(!self.fails(&row, .ada, Double(second) / 10)) }
        #expect(self.fails(&row, .bob, 10))
    }

    @Test
    func theWorkersOwnCallsAreNobodys() {
        var row = FailureRow()
        #expect(!self.fails(&row, nil, 0))
        #expect(!self.fails(&row, nil, 0.1))
        #expect(self.fails(&row, nil, 0.2))
    }
}
