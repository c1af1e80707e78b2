import Testing

@testable import AfterloginDelivery

@Suite("What recurs, in few lines")
struct RecurringNoticesTests {
    @Test func theFirstIsSaidAtOnceAndTheOthersAtTheEndOfTheMinute() {
        var notices = RecurringNotices()
        let said = (0..<59).count { notices.happened("a", latest: "number \($0)") }
        #expect(said == 1)
        let first = notices.minuteEnded()
        #expect(first.count == 1 && first.first?.kind == "a" && first.first?.count == 58)
        #expect(first.first?.latest == "number 58")
        // All of the next minute: none was said in it.
        for number in 0..<7 { check(!notices.happened("a", latest: "number \(number)")) }
        #expect(notices.minuteEnded().first?.count == 7)
    }

    @Test func eachKindIsForItself() {
        var notices = RecurringNotices()
        let first = notices.happened("a", latest: "")
        let second = notices.happened("b", latest: "")
        #expect(first && second)
    }

    @Test func afterAQuietMinuteItIsNewsAgain() {
        var notices = RecurringNotices()
        _ = notices.happened("a", latest: "")
        #expect(notices.minuteEnded().isEmpty)
        check(notices.happened("a", latest: ""))
    }

    private func check(_ isTrue: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(isTrue, sourceLocation: sourceLocation)
    }
}

@Suite("What was done in a minute")
struct MinuteReportTests {
    private let start = ContinuousClock.now

    private func tally(_ updates: Int, failures: [String: Int] = [:]) -> Dispatcher.Tally {
        var tally = Dispatcher.Tally()
        tally.updates = updates
        tally.failures = failures
        return tally
    }

    @Test func aMinuteIsOneLineWithWhatWasNew() {
        var report = MinuteReport(now: self.start)
        let early = report.looked(self.tally(5), .init(), now: self.start.advanced(by: .seconds(59)))
        #expect(early == nil)
        let first = report.looked(
            self.tally(9, failures: ["limit": 1]),
            .init(admitted: 7, waiting: 2, behind: 4),
            now: self.start.advanced(by: .seconds(60))
        )
        #expect(
            first
                == "in 60 s: 9 updates, 1 failure; 7 logins are under way, of which 2 wait and 4 come after an earlier one of the same user"
        )
        let second = report.looked(
            self.tally(12, failures: ["limit": 1]),
            .init(admitted: 1, waiting: 1, unread: 120),
            now: self.start.advanced(by: .seconds(120))
        )
        #expect(
            second == "in 60 s: 3 updates; 1 login is under way, of which 1 waits; 120 in the topic are not read yet"
        )
    }

    @Test func aMinuteWithoutAnythingIsNoLine() {
        var report = MinuteReport(now: self.start)
        _ = report.looked(self.tally(1), .init(), now: self.start.advanced(by: .seconds(60)))
        let idle = report.looked(self.tally(1), .init(), now: self.start.advanced(by: .seconds(120)))
        #expect(idle == nil)
    }

    /// In an outage in which everybody waits the log must not fall silent.
    @Test func aMinuteInWhichAllWaitIsALine() {
        var report = MinuteReport(now: self.start)
        let load = MinuteReport.Load(admitted: 3, waiting: 3, degraded: "api.example:443 is away since noon")
        let line = report.looked(self.tally(0), load, now: self.start.advanced(by: .seconds(60)))
        #expect(
            line
                == "in 60 s: nothing; 3 logins are under way, of which 3 wait; degraded: api.example:443 is away since noon"
        )
    }
}
