import TestSupport
import Testing

@testable import Afterlogin

@Suite(.timeLimit(.minutes(1)))
struct OffsetLedgerTests {
    @Test
    func aGapBlocksTheCommit() {
        var ledger = OffsetLedger()
        for offset: Int64 in [5, 6, 9] {
            do {
                let answer = ledger.received(offset)
                #expect(answer)
            }
        }
        do {
            let answer = ledger.resolved(6)
            #expect(answer == 0)
        }
        #expect(ledger.committable == nil)
        #expect(ledger.resolvedBeyond == 1)
        do {
            let answer = ledger.resolved(5)
            #expect(answer == 2)
        }
        #expect(ledger.committable == 7)
        // 7 and 8 were never seen: markers of a transaction.
        do {
            let answer = ledger.resolved(9)
            #expect(answer == 1)
        }
        #expect(ledger.committable == 10)
        #expect(ledger.span == 0)
    }

    @Test
    func anOffsetIsTakenAndResolvedOnce() {
        var ledger = OffsetLedger()
        do {
            let answer = ledger.received(1)
            #expect(answer)
        }
        do {
            let answer = ledger.received(1)
            #expect(!answer)
        }
        do {
            let answer = ledger.resolved(1)
            #expect(answer == 1)
        }
        do {
            let answer = ledger.resolved(1)
            #expect(answer == 0)
        }
        do {
            let answer = ledger.received(1)
            #expect(!answer)
        }
        do {
            let answer = ledger.resolved(7)
            #expect(answer == 0)
        }
    }

    @Test(arguments: UInt64(1)...20)
    func itAgreesWithANaiveModel(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var ledger = OffsetLedger()
        var seen: [Int64] = []
        var done: Set<Int64> = []
        var next: Int64 = 0
        for _ in 0..<5_000 {
            if Bool.random(using: &random) || seen.allSatisfy(done.contains) {
                next += Int64.random(in: 1...3, using: &random)
                seen.append(next)
                do {
                    let answer = ledger.received(next)
                    #expect(answer)
                }
            } else if let offset = seen.filter({ !done.contains($0) }).suffix(40).randomElement(using: &random) {
                done.insert(offset)
                ledger.resolved(offset)
            }
            let contiguous = seen.prefix { done.contains($0) }
            #expect(ledger.committable == contiguous.last.map { $0 + 1 }, "seed \(seed)")
            #expect(ledger.span == seen.count - contiguous.count, "seed \(seed)")
            if seen.count > 300 {
                // The model is a square: begin again now and then.
                for offset in seen where !done.contains(offset) { ledger.resolved(offset) }
                #expect(ledger.committable == next + 1)
                let last = next
                (seen, done) = ([last], [last])
            }
        }
    }
}
