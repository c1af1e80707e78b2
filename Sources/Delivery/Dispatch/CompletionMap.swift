/// Which offsets beyond the commit offset are complete, as text for the metadata of a commit.
///
/// Pairs of two lengths from the commit offset on: so many offsets are not complete, so many after them are. Written with the 64 letters of base64url:
///
/// | first letter | stands for | letters |
/// |---|---|---|
/// | 0 to 31 | 1 incomplete, then 1 to 32 complete: one login that is still under way among others that are done | 1 |
/// | 32 to 47 | 1 to 16 incomplete; the next letter says how many complete, 1 to 64 | 2 |
/// | 48 to 63 | the numbers of digits, 1 to 4 each; then both lengths in base 64 | 3 to 9 |
///
/// A longer length is split with a length of 0. The version, and what detects damage, is the envelope's.
enum CompletionMap {
    /// What was written, and how far it reaches: what is complete at `end` or beyond did not fit.
    struct Text: Equatable {
        var bytes: [UInt8]
        var end: Int64
    }

    /// Of the 4,096 that a broker takes by default: the rest is for what else the metadata tell.
    static let maxBytes = 3_896

    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let values: [Int8] = {
        var values = [Int8](repeating: -1, count: 256)
        for (value, letter) in Self.letters.enumerated() { values[Int(letter)] = Int8(value) }
        return values
    }()
    /// Four digits.
    private static let longest: Int64 = (1 << 24) - 1

    /// Writes ranges in ascending order, at or beyond `offset`; those at the far end are left out where they don't fit.
    static func encode(_ complete: [Range<Int64>], from offset: Int64, limit: Int) -> Text {
        var text = Text(bytes: [], end: .max)
        var position = offset
        for range in complete where !range.isEmpty {
            let (gap, run) = (range.lowerBound - position, Int64(range.count))
            if text.bytes.count + self.byteCount(gap: gap, run: run) > limit {
                text.end = position
                return text
            }
            self.append(gap, run, to: &text.bytes)
            position = range.upperBound
        }
        return text
    }

    /// The ranges that a text names; nil where it is damaged, or was never one.
    static func decode(_ text: [UInt8], from offset: Int64) -> [Range<Int64>]? {
        var ranges: [Range<Int64>] = []
        var position = offset
        var index = 0
        func digits(_ count: Int) -> Int64? {
            guard index + count <= text.count else { return nil }
            var value: Int64 = 0
            for _ in 0..<count {
                let digit = self.values[Int(text[index])]
                guard digit >= 0 else { return nil }
                value = value << 6 | Int64(digit)
                index += 1
            }
            return value
        }
        while index < text.count {
            guard let first = digits(1) else { return nil }
            let pair: (gap: Int64?, run: Int64?)
            switch first {
            case 0..<32: pair = (1, first + 1)
            case 32..<48: pair = (first - 31, digits(1).map { $0 + 1 })
            case _: pair = (digits(Int(first - 48) / 4 + 1), digits(Int(first - 48) % 4 + 1))
            }
            guard let gap = pair.gap, let run = pair.run else { return nil }
            let start = position.addingReportingOverflow(gap)
            let end = start.partialValue.addingReportingOverflow(run)
            guard !start.overflow, !end.overflow else { return nil }
            position = end.partialValue
            guard run > 0 else { continue }
            if let last = ranges.last, last.upperBound == start.partialValue {
                ranges[ranges.count - 1] = last.lowerBound..<position
            } else {
                ranges.append(start.partialValue..<position)
            }
        }
        return ranges
    }

    /// How long the pair is as text; a longer gap never makes it shorter.
    static func byteCount(gap: Int64, run: Int64) -> Int {
        if gap == 1, 1...32 ~= run { return 1 }
        if 1...16 ~= gap, 1...64 ~= run { return 2 }
        let (gaps, runs) = (gap / self.longest, run / self.longest)
        // Each whole length of four digits has a pair of its own, beside a 0.
        return Int(gaps + runs) * 6 + 1 + self.digitCount(gap % self.longest) + self.digitCount(run % self.longest)
    }

    private static func append(_ gap: Int64, _ run: Int64, to text: inout [UInt8]) {
        if gap == 1, 1...32 ~= run { return text.append(self.letters[Int(run) - 1]) }
        if 1...16 ~= gap, 1...64 ~= run {
            text.append(self.letters[31 + Int(gap)])
            return text.append(self.letters[Int(run) - 1])
        }
        for _ in 0..<(gap / self.longest) { self.appendDigits(self.longest, 0, to: &text) }
        self.appendDigits(gap % self.longest, run % self.longest, to: &text)
        for _ in 0..<(run / self.longest) { self.appendDigits(0, self.longest, to: &text) }
    }

    private static func appendDigits(_ gap: Int64, _ run: Int64, to text: inout [UInt8]) {
        let (gapCount, runCount) = (self.digitCount(gap), self.digitCount(run))
        text.append(self.letters[48 + (gapCount - 1) * 4 + runCount - 1])
        for (value, count) in [(gap, gapCount), (run, runCount)] {
            for place in (0..<count).reversed() { text.append(self.letters[Int(value >> Int64(6 * place)) & 63]) }
        }
    }

    private static func digitCount(_ value: Int64) -> Int {
        value < 1 << 6 ? 1 : value < 1 << 12 ? 2 : value < 1 << 18 ? 3 : 4
    }
}
