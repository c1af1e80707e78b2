import Testing

@testable import AfterloginDelivery

@Suite("When offsets are committed")
struct CommitScheduleTests {
    private let start = ContinuousClock.now

    @Test func oneIsInFlightAndTheNextWaitsALittle() {
        var schedule = CommitSchedule(limit: 1_000)
        var action = schedule.next(self.start, isUrgent: false)
        #expect(action == .none)
        schedule.advanced(1)
        action = schedule.next(self.start, isUrgent: false)
        #expect(action == .commit)
        schedule.advanced(900)
        action = schedule.next(self.start + .seconds(1), isUrgent: true)
        #expect(action == .none, "one is in flight")
        schedule.answered(self.start + .milliseconds(1), .stored)
        action = schedule.next(self.start + .milliseconds(1), isUrgent: false)
        #expect(action == .commit, "a quarter of the limit waits")
        schedule.answered(self.start + .milliseconds(2), .stored)
        schedule.advanced(1)
        action = schedule.next(self.start + .milliseconds(2), isUrgent: false)
        #expect(action == .wait(until: self.start + .milliseconds(26)))
        action = schedule.next(self.start + .milliseconds(26), isUrgent: false)
        #expect(action == .commit)
    }

    @Test func aDrainDoesNotWait() {
        var schedule = CommitSchedule(limit: 1_000)
        schedule.advanced(1)
        _ = schedule.next(self.start, isUrgent: false)
        schedule.answered(self.start, .stored)
        schedule.advanced(1)
        let action = schedule.next(self.start, isUrgent: true)
        #expect(action == .commit)
    }

    @Test func aRefusedOneIsTriedAgainAfterAWhile() {
        var schedule = CommitSchedule(limit: 4)
        schedule.advanced(3)
        _ = schedule.next(self.start, isUrgent: false)
        schedule.answered(self.start, .refused(3))
        #expect(schedule.waiting == 3)
        var action = schedule.next(self.start + .milliseconds(499), isUrgent: true)
        #expect(action == .wait(until: self.start + .milliseconds(500)))
        action = schedule.next(self.start + .milliseconds(500), isUrgent: false)
        #expect(action == .commit)
        schedule.answered(self.start, .stored)
        action = schedule.next(self.start + .seconds(9), isUrgent: true)
        #expect(action == .none)
    }

    @Test func whatWasSaidTooLongIsSaidAgainAtOnce() {
        var schedule = CommitSchedule(limit: 1_000)
        schedule.advanced(3)
        _ = schedule.next(self.start, isUrgent: false)
        schedule.answered(self.start, .reworded(3))
        let action = schedule.next(self.start, isUrgent: true)
        #expect(action == .commit && schedule.waiting == 0)
    }
}

@Suite("Bytes cut into lines")
struct LineCutterTests {
    private func cut(_ chunks: [[UInt8]], limit: Int = 100) -> [String] {
        var cutter = LineCutter(maxLineBytes: limit)
        var lines: [[UInt8]] = []
        for chunk in chunks { lines += cutter.received(chunk[...]) }
        lines += cutter.finished()
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func whereverTheyAreCutTheLinesAreTheSame() {
        let text = Array("one\r\ntwo\n\n  \nfour é\r\n\rfive\r".utf8)
        let expected = ["one", "two", "", "  ", "four é", "\rfive"]
        #expect(self.cut([text]) == expected)
        #expect(self.cut(text.map { [$0] }) == expected)
        for place in text.indices { #expect(self.cut([Array(text[..<place]), Array(text[place...])]) == expected) }
    }

    @Test func aLineThatIsTooLongIsCutAndTheNextIsWhole() {
        #expect(self.cut([Array("123456789\nab\n".utf8)], limit: 4) == ["1234", "ab"])
        #expect(self.cut("123456789\nab".utf8.map { [$0] }, limit: 4) == ["1234", "ab"])
        #expect(self.cut([]) == [] && self.cut([[0x0A]]) == [""])
    }
}
