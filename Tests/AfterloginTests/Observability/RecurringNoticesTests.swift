import Testing

@testable import Afterlogin

@Suite("What recurs, in few lines")
struct RecurringNoticesTests {
    private let start = ContinuousClock.now

    @Test func theFirstIsSaidAtOnceAndTheOthersOnceAMinute() {
        var notices = RecurringNotices()
        var said = 0
        for second in 0..<59 {
            let now = self.start.advanced(by: .seconds(second))
            if notices.happened("a", latest: "number \(second)", now: now) { said += 1 }
            let due = notices.due(now: now)
            #expect(due.isEmpty)
        }
        #expect(said == 1)
        let due = notices.due(now: self.start.advanced(by: .seconds(60)))
        #expect(due.count == 1 && due.first?.kind == "a" && due.first?.count == 58)
        #expect(due.first?.latest == "number 58")
    }

    @Test func eachKindIsForItself() {
        var notices = RecurringNotices()
        let first = notices.happened("a", latest: "", now: self.start)
        let second = notices.happened("b", latest: "", now: self.start)
        #expect(first && second)
    }

    @Test func afterAQuietMinuteItIsNewsAgain() {
        var notices = RecurringNotices()
        _ = notices.happened("a", latest: "", now: self.start)
        let later = self.start.advanced(by: .seconds(61))
        let due = notices.due(now: later)
        #expect(due.isEmpty)
        let isNews = notices.happened("a", latest: "", now: later)
        #expect(isNews)
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
        let early = report.looked(self.tally(5), admitted: 0, waiting: 0, now: self.start.advanced(by: .seconds(59)))
        #expect(early == nil)
        let first = report.looked(
            self.tally(9, failures: ["limit": 1]),
            admitted: 7,
            waiting: 2,
            now: self.start.advanced(by: .seconds(60))
        )
        #expect(first == "in 60 s: 9 updates, 1 failure; 7 logins are admitted, 2 of them wait")
        let second = report.looked(
            self.tally(12, failures: ["limit": 1]),
            admitted: 0,
            waiting: 0,
            now: self.start.advanced(by: .seconds(120))
        )
        #expect(second == "in 60 s: 3 updates")
    }

    @Test func aMinuteWithoutAnythingIsNoLine() {
        var report = MinuteReport(now: self.start)
        _ = report.looked(self.tally(1), admitted: 0, waiting: 0, now: self.start.advanced(by: .seconds(60)))
        let idle = report.looked(self.tally(1), admitted: 3, waiting: 3, now: self.start.advanced(by: .seconds(120)))
        #expect(idle == nil)
    }
}
