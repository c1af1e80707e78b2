import TestSupport
import Testing
import Waiting

@Suite(.timeLimit(.minutes(1)))
struct SlotKeeperTests {
    private let at = Timeline()

    @Test
    func whoMovesNoFrameForASecondGivesItsSlotBack() {
        var slots = SlotKeeper(concurrency: 2, WaitingSettings())
        slots.began(1, now: self.at(0))
        slots.began(2, now: self.at(0))
        #expect(!slots.mayBegin)
        slots.frameMoved(2, now: self.at(0.5))
        #expect(slots.clockTicked(now: self.at(0.9)) == [])
        #expect(slots.clockTicked(now: self.at(1)) == [1])
        #expect(slots.free == 1)
        #expect(slots.nextWake == self.at(1.5))
        slots.began(3, now: self.at(1))
        slots.frameMoved(1, now: self.at(1.1))
        #expect(slots.working == 3, "an answer came: it runs on beyond concurrency")
        #expect(!slots.mayBegin)
        slots.ended(1)
        #expect(!slots.mayBegin)
        slots.ended(3)
        #expect(slots.mayBegin)
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func itCountsWhoWorks(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var slots = SlotKeeper(concurrency: 5, WaitingSettings())
        var frames: [UInt64: Double] = [:]
        var now = 0.0
        for _ in 0..<1_000 {
            now += Double.random(in: 0..<0.3, using: &random)
            _ = slots.clockTicked(now: self.at(now))
            let id = UInt64.random(in: 1...12, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                slots.began(id, now: self.at(now))
                frames[id] = now
            case 1:
                slots.ended(id)
                frames[id] = nil
            default:
                slots.frameMoved(id, now: self.at(now))
                if frames[id] != nil { frames[id] = now }
            }
            let working = frames.values.count { now - $0 < 1 }
            #expect(slots.working == working, "seed \(seed) at \(now)")
        }
    }
}
