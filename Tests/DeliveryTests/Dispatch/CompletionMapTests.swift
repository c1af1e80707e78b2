import AfterloginTestSupport
import Testing

@testable import AfterloginDelivery

@Suite("The completion map as text", .timeLimit(.minutes(1)))
struct CompletionMapTests {
    private static func text(_ ranges: [Range<Int64>], from offset: Int64) -> String {
        String(decoding: CompletionMap.encode(ranges, from: offset, limit: .max).bytes, as: UTF8.self)
    }

    @Test(
        arguments: [
            ([], ""),
            // One login under way, then one to 32 that are done.
            ([1..<2], "A"), ([1..<33], "f"), ([1..<2, 3..<5], "AB"),
            // Up to 16, up to 64.
            ([2..<3], "hA"), ([16..<80], "v_"), ([1..<65], "g_"),
            // The numbers of digits, then the digits.
            ([17..<18], "wRB"), ([1..<66], "xBBB"), ([4_096..<4_097], "4BAAB"),
        ] as [([Range<Int64>], String)]
    )
    func shortIsWhatIsCommon(ranges: [Range<Int64>], text: String) {
        #expect(Self.text(ranges, from: 0) == text)
        #expect(Self.text(ranges.map { $0.lowerBound + 900..<$0.upperBound + 900 }, from: 900) == text)
        #expect(CompletionMap.decode(Array(text.utf8), from: 0) == ranges)
    }

    @Test(arguments: UInt64(1)...200)
    func whatIsWrittenIsRead(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let offset = Int64.random(in: 0...1 << 50, using: &random)
        var ranges: [Range<Int64>] = []
        var position = offset
        for _ in 0..<Int.random(in: 0...400, using: &random) {
            func length() -> Int64 {
                Int64.random(in: 1...(1 << Int64.random(in: 0...27, using: &random)), using: &random)
            }
            position += length()
            ranges.append(position..<position + length())
            position = ranges[ranges.count - 1].upperBound
        }
        let all = CompletionMap.encode(ranges, from: offset, limit: .max)
        #expect(all.end == .max)
        #expect(CompletionMap.decode(all.bytes, from: offset) == ranges)
        #expect(
            all.bytes.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: "=") }
        )
        var last = offset
        let bytes = ranges.reduce(0) { sum, range in
            defer { last = range.upperBound }
            return sum + CompletionMap.byteCount(gap: range.lowerBound - last, run: Int64(range.count))
        }
        #expect(bytes == all.bytes.count)
        // Cut off at the far end, it names less, and nothing that is wrong.
        let limit = Int.random(in: 0...max(1, bytes), using: &random)
        let cut = CompletionMap.encode(ranges, from: offset, limit: limit)
        #expect(cut.bytes.count <= limit)
        #expect(CompletionMap.decode(cut.bytes, from: offset) == ranges.filter { $0.upperBound <= cut.end })
    }

    /// Commit metadata are anybody's: whatever stands there must not end the process, nor name what was never written.
    @Test(arguments: UInt64(1)...50)
    func anyBytesAreReadOrRefused(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        for round in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                round % 2 == 0
                    ? UInt8.random(in: 0...255, using: &random) : letters[Int.random(in: 0..<64, using: &random)]
            }
            let offset = Bool.random(using: &random) ? 0 : Int64.max - Int64.random(in: 0...1 << 30, using: &random)
            guard let ranges = CompletionMap.decode(bytes, from: offset) else { continue }
            #expect(ranges.allSatisfy { !$0.isEmpty && $0.lowerBound >= offset })
            #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
            let again = CompletionMap.encode(ranges, from: offset, limit: .max).bytes
            #expect(CompletionMap.decode(again, from: offset) == ranges)
        }
    }

    @Test
    func whatIsNoMapIsRefused() {
        for text in ["{}", "A=", "g", "w", "wA", "4AA", "A A"] {
            #expect(CompletionMap.decode(Array(text.utf8), from: 0) == nil, "\(text)")
        }
        #expect(
            CompletionMap.decode(Array("___________".utf8), from: .max - 10) == nil,
            "beyond the last offset there is"
        )
    }

    /// A longer gap never makes a pair shorter: a gap that a completion divides costs one more pair, and no other letter.
    @Test
    func thePairOfAShorterGapIsNotLonger() {
        for run: Int64 in [1, 2, 32, 33, 64, 65, 4_095, 4_096, 300_000] {
            var last = 0
            for gap: Int64 in 1...5_000 {
                let bytes = CompletionMap.byteCount(gap: gap, run: run)
                #expect(bytes >= last)
                last = bytes
            }
        }
        #expect((1...63).allSatisfy { CompletionMap.byteCount(gap: $0, run: 1) <= 3 }, "what `hasRoom` counts with")
    }

    /// Logins under way that end in any order, in one partition: one letter for each that another has overtaken, and less.
    @Test(arguments: [256, 2_000])
    func aLoginUnderWayCostsLessThanALetter(count: Int) {
        var random = SeededGenerator(seed: 7)
        var ledger = OffsetLedger()
        var underWay: [Int64] = []
        var most = 0
        for offset: Int64 in 0..<Int64(20 * count) {
            _ = ledger.received(offset)
            underWay.append(offset)
            guard underWay.count == count else { continue }
            let index = Int.random(in: 0..<count, using: &random)
            underWay.swapAt(index, count - 1)
            ledger.resolved(underWay.removeLast())
            guard offset % 50 == 0 else { continue }
            let text = CompletionMap.encode(
                ledger.complete(),
                from: ledger.position ?? 0,
                limit: CompletionMap.maxBytes
            )
            #expect(text.end == .max)
            most = max(most, text.bytes.count)
        }
        #expect(most < count && most > count / 2, "\(most) bytes with \(count) under way")
    }
}
