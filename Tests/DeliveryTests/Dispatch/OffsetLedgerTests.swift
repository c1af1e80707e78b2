import AfterloginTestSupport
import Testing

@testable import AfterloginDelivery

@Suite("What of a partition is complete", .timeLimit(.minutes(1)))
struct OffsetLedgerTests {
    private func received(_ offsets: Int64..., by ledger: inout OffsetLedger) {
        for offset in offsets {
            let reception = ledger.received(offset)
            #expect(reception == .admitted)
        }
    }

    @Test
    func aGapBlocksTheCommit() {
        var ledger = OffsetLedger()
        #expect(ledger.position == nil)
        self.received(5, 6, 9, by: &ledger)
        #expect(ledger.position == 5)
        ledger.resolved(6)
        #expect(ledger.position == 5)
        // 7 and 8 were never seen: markers of a transaction.
        #expect(ledger.complete() == [6..<9])
        ledger.resolved(5)
        #expect(ledger.position == 9 && ledger.complete().isEmpty)
        ledger.resolved(9)
        #expect(ledger.position == 10 && ledger.isComplete)
    }

    @Test
    func aHoleBetweenIncompleteOffsetsIsNotInTheMap() {
        var ledger = OffsetLedger()
        self.received(1, 5, 9, 10, by: &ledger)
        #expect(ledger.complete().isEmpty)
        ledger.resolved(9)
        #expect(ledger.complete() == [6..<10])
        ledger.resolved(10)
        #expect(ledger.complete() == [6..<11])
        ledger.resolved(1)
        #expect(ledger.position == 5 && ledger.complete() == [6..<11])
    }

    @Test
    func anOffsetIsTakenAndResolvedOnce() {
        var ledger = OffsetLedger()
        self.received(1, by: &ledger)
        let again = ledger.received(1)
        #expect(again == .known)
        let (first, second, stranger) = (ledger.resolved(1), ledger.resolved(1), ledger.resolved(7))
        #expect(first && !second && !stranger)
        let late = ledger.received(1)
        #expect(late == .known)
    }

    @Test
    func anEndIsReachedWhenAllBeforeItIsComplete() {
        var ledger = OffsetLedger()
        self.received(1, by: &ledger)
        let early = ledger.endReached(4)
        #expect(!early && ledger.position == 1)
        ledger.resolved(1)
        #expect(ledger.position == 4)
        let (later, same) = (ledger.endReached(6), ledger.endReached(6))
        #expect(later && !same && ledger.position == 6)
    }

    /// What the committed map names is not run again, and stays in the next maps until it is received.
    @Test
    func whatTheMapNamedStaysKnown() {
        var ledger = OffsetLedger(restored: [12..<15, 20..<22])
        self.received(10, 11, by: &ledger)
        #expect(ledger.complete() == [12..<15, 20..<22])
        for offset: Int64 in 12...14 {
            let reception = ledger.received(offset)
            #expect(reception == .complete)
        }
        self.received(15, by: &ledger)
        ledger.resolved(11)
        #expect(ledger.position == 10 && ledger.complete() == [11..<15, 20..<22])
        ledger.resolved(10)
        #expect(ledger.position == 15)
        // Retention removed 20 and 21 meanwhile.
        self.received(30, by: &ledger)
        #expect(ledger.complete().isEmpty)
    }

    /// A login that is not done for long costs one run, however many are done after it.
    @Test
    func memoryIsBoundByRunsNotByOffsets() {
        var ledger = OffsetLedger()
        self.received(0, by: &ledger)
        for offset: Int64 in 1..<1_000_000 {
            _ = ledger.received(offset)
            ledger.resolved(offset)
        }
        #expect(ledger.position == 0 && ledger.complete() == [1..<1_000_000])
        #expect(ledger.runCount == 1)
    }

    @Test(arguments: UInt64(1)...20)
    func itAgreesWithANaiveModel(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var restored: [Range<Int64>] = []
        var start: Int64 = 0
        for _ in 0..<Int.random(in: 0...5, using: &random) {
            start += Int64.random(in: 1...20, using: &random)
            restored.append(start..<start + Int64.random(in: 1...20, using: &random))
            start = restored[restored.count - 1].upperBound
        }
        var ledger = OffsetLedger(restored: restored)
        var seen: [Int64] = []
        var done: Set<Int64> = []
        var next: Int64 = -1
        for _ in 0..<2_000 {
            let open = seen.filter { !done.contains($0) }
            if open.isEmpty || (seen.count < 400 && Bool.random(using: &random)) {
                // Now and then a hole.
                next += Int.random(in: 0..<5, using: &random) == 0 ? Int64.random(in: 2...40, using: &random) : 1
                seen.append(next)
                let wasDone = restored.contains { $0.contains(next) }
                if wasDone { done.insert(next) }
                let reception = ledger.received(next)
                #expect(reception == (wasDone ? .complete : .admitted), "seed \(seed)")
            } else if let offset = open.suffix(60).randomElement(using: &random) {
                let adds = ledger.addsPair(offset)
                let before = ledger.complete().count
                let isOldest = offset == open.first
                done.insert(offset)
                let resolved = ledger.resolved(offset)
                #expect(resolved, "seed \(seed)")
                // The oldest can take pairs away as it moves the position; none is ever added unannounced.
                #expect(ledger.complete().count <= before + (adds ? 1 : 0), "seed \(seed)")
                #expect(!(isOldest && adds), "seed \(seed)")
            }
            let firstOpen = seen.first { !done.contains($0) }
            #expect(ledger.position == firstOpen ?? next + 1, "seed \(seed)")
            let map = ledger.complete()
            for offset in seen where offset >= firstOpen ?? next + 1 {
                #expect(map.contains { $0.contains(offset) } == done.contains(offset), "seed \(seed), \(offset)")
            }
            #expect(
                map.allSatisfy { !$0.isEmpty } && zip(map, map.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }
            )
            let bytes = CompletionMap.encode(map, from: ledger.position ?? 0, limit: .max).bytes.count
            let limit = Int.random(in: 0...200, using: &random)
            if ledger.mapIsShorter(than: limit) { #expect(bytes < limit, "seed \(seed)") }
            let isShorter = ledger.mapIsShorter(than: bytes + 1)
            #expect(isShorter, "seed \(seed): a limit that it keeps is never said to be passed")
            if seen.count == 400, seen.allSatisfy(done.contains) { (seen, done) = ([next], [next]) }
        }
    }
}
