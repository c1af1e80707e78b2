import AfterloginHTTPMessages
import Testing

@testable import AfterloginEgress

@Suite(.timeLimit(.minutes(1)))
struct BackoffTests {
    @Test(
        arguments: [
            (0, 200), (1, 200), (2, 400), (3, 800), (7, 12_800), (8, 25_600), (9, 30_000), (1_000_000_000, 30_000),
        ]
    )
    func theCeilingDoublesUpToTheCap(failures: Int, milliseconds: Int) {
        #expect(Backoff().ceiling(failures: failures) == .milliseconds(milliseconds))
    }

    @Test func theDelayIsAFractionOfTheCeiling() {
        let backoff = Backoff(base: .seconds(1), cap: .seconds(3))
        #expect(backoff.delay(failures: 2, fraction: 0) == .zero)
        #expect(backoff.delay(failures: 2, fraction: 0.5) == .seconds(1))
        #expect(backoff.delay(failures: 9, fraction: 0.5) == .milliseconds(1_500))
        #expect((0..<1_000).allSatisfy { backoff.delay(failures: $0) < .seconds(3) })
    }

    @Test func hugeCapsDoNotOverflow() {
        let backoff = Backoff(base: .seconds(1), cap: .seconds(Int64.max / 4))
        #expect(backoff.ceiling(failures: 1_000) == .seconds(Int64.max / 4))
        #expect(Backoff(base: .zero, cap: .seconds(1)).ceiling(failures: 5) == .zero)
        #expect(Backoff(base: .seconds(5), cap: .seconds(1)).ceiling(failures: 1) == .seconds(1))
    }
}

@Suite(.timeLimit(.minutes(1)))
struct RetryAfterTests {
    @Test(
        arguments: [
            ("120", 120.0), (" 0 ", 0), ("1.5", 1.5), ("99999999999999999999", 31_536_000),
            // 784111777 is the date below.
            ("Sun, 06 Nov 1994 08:49:37 GMT", 77), ("Sunday, 06-Nov-94 08:49:37 GMT", 77),
            ("Sun Nov  6 08:49:37 1994", 77), ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ]
    )
    func secondsAndDatesAreUnderstood(value: String, seconds: Double) {
        #expect(RetryAfter.duration(value, wallClock: 784_111_700) == .seconds(seconds))
    }

    @Test(
        arguments: [
            "", " ", "soon", "-5", "1e9", "1.2.3", "0x10", "Sun, 06 Nov 1994", "Sun, 99 Nov 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT", String(repeating: "9", count: 1_000),
        ]
    )
    func anythingElseIsNothing(value: String) {
        #expect(RetryAfter.duration(value, wallClock: 0) == nil)
    }

    /// Of 10,000 each tenth gets 1,000, give or take six standard deviations (30 each).
    @Test func randomFractionsAreEven() {
        var tenths = [Int](repeating: 0, count: 10)
        for _ in 0..<10_000 { tenths[Int(Backoff.random() * 10)] += 1 }
        #expect(tenths.allSatisfy { abs($0 - 1_000) <= 180 })
    }

    @Test func theLongestOfSeveralHeadersCounts() {
        let headers: HTTPFields = [HTTPField("retry-after", "1"), HTTPField("Retry-After", "3"), HTTPField("X", "9")]
        #expect(RetryAfter.duration(in: headers, wallClock: 0) == .seconds(3))
        #expect(RetryAfter.duration(in: [HTTPField("x", "1")], wallClock: 0) == nil)
    }

    @Test(arguments: [("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000)])
    func datesAreCountedFrom1970(text: String, seconds: Int) {
        #expect(HTTPDate(text)?.secondsSince1970 == seconds)
    }
}
