import AfterloginTestSupport
import Testing

@testable import AfterloginDelivery

@Suite("Whether nearly all logins fail", .timeLimit(.minutes(1)))
struct FailureShareTests {
    private let start = ContinuousClock.now

    private func share(_ endings: String) -> FailureShare {
        var share = FailureShare()
        for (second, ending) in endings.enumerated() {
            share.ended(ending == "." ? nil : String(ending), now: self.start.advanced(by: .seconds(second)))
        }
        return share
    }

    @Test func oneUserInAHundredIsNoSpell() {
        #expect(self.share(String(repeating: String(repeating: ".", count: 99) + "x", count: 5)).spell == nil)
    }

    @Test func aFewFailuresAfterTheStartAreNoSpell() {
        #expect(self.share(String(repeating: "x", count: 17)).spell == nil)
    }

    @Test func aSpellBeginsWithItsFirstFailureAndNamesWhatMostAre() {
        let spell = self.share(".........." + "xyxxxxxxxxxxxxxxxxxxxx").spell
        #expect(spell?.since == self.start.advanced(by: .seconds(10)) && spell?.reason == "x")
        #expect(spell?.failures == 20)
    }

    /// A few denials between thousands of failures said that all was well.
    @Test func aFewThatAreDoneDoNotEndIt() {
        let spell = self.share(String(repeating: "xxxxxxxxx.", count: 10)).spell
        #expect(spell?.since == self.start && spell?.failures == 18)
    }

    @Test func itEndsWhenHalfAreDone() {
        let failing = String(repeating: "x", count: 40)
        #expect(self.share(failing + ".........").spell?.failures == 11)
        #expect(self.share(failing + "..........").spell == nil)
    }

    /// A model that keeps every login.
    @Test(arguments: 1...20) func itIsWhatAModelThatRemembersAllSays(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var (share, all) = (FailureShare(), [Bool]())
        var isOn = false
        for second in 0..<2_000 {
            let failure = Int.random(in: 0..<100, using: &generator) < (second / 100 % 3) * 48
            share.ended(failure ? "x" : nil, now: self.start.advanced(by: .seconds(second)))
            all.append(failure)
            let failures = all.suffix(FailureShare.window).count { $0 }
            isOn = isOn ? failures > FailureShare.end : failures >= FailureShare.begin
            #expect((share.spell != nil) == isOn, "seed \(seed), login \(second)")
            if isOn { #expect(share.spell?.failures == failures) }
        }
    }
}

@Suite("How long a worker is without partitions", .timeLimit(.minutes(1)))
struct AssignmentWatchTests {
    private func at(_ seconds: Int) -> ContinuousClock.Instant { self.start.advanced(by: .seconds(seconds)) }
    private let start = ContinuousClock.now

    @Test func itIsSaidOnceEachTime() {
        var watch = AssignmentWatch()
        var said: [Int] = []
        for second in stride(from: 0, to: 60, by: 2)
        where watch.looked(isAssigned: 20...29 ~= second, now: self.at(second)) != nil {
            said.append(second)
        }
        #expect(said == [8, 38])
    }

    @Test func aShortRebalanceIsNoNews() {
        var watch = AssignmentWatch()
        for second in 0..<60 {
            let news = watch.looked(isAssigned: second % 8 == 0, now: self.at(second))
            #expect(news == nil)
        }
    }
}
