/// Walks text that has been validated, without looking at what it skips.
enum JSONSkimmer {
    /// Where the value that begins at `start` ends.
    static func endOfValue(_ bytes: Span<UInt8>, _ start: Int) -> Int {
        switch bytes[start] {
        case UInt8(ascii: "\""): self.endOfString(bytes, start)
        case UInt8(ascii: "{"), UInt8(ascii: "["): self.endOfContainer(bytes, start)
        default: self.endOfScalar(bytes, start)
        }
    }

    /// Where the string whose opening quote is at `start` ends, closing quote included.
    @inline(__always)
    static func endOfString(_ bytes: Span<UInt8>, _ start: Int) -> Int {
        var index = start + 1
        while true {
            while index + 8 <= bytes.count {
                let special = JSONBytes.quoteOrBackslash(in: JSONBytes.load(bytes, index))
                guard special == 0 else {
                    index += special.trailingZeroBitCount / 8
                    break
                }
                index += 8
            }
            switch bytes[index] {
            case UInt8(ascii: "\""): return index + 1
            case UInt8(ascii: "\\"): index += 2
            default: index += 1
            }
        }
    }

    private static func endOfContainer(_ bytes: Span<UInt8>, _ start: Int) -> Int {
        var depth = 0
        var index = start
        while true {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                index = self.endOfString(bytes, index)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                index += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                index += 1
                if depth == 0 { return index }
            default:
                index += 1
            }
        }
    }

    @inline(__always)
    private static func endOfScalar(_ bytes: Span<UInt8>, _ start: Int) -> Int {
        var index = start
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), 0x20, 0x0A, 0x0D, 0x09: return index
            default: index += 1
            }
        }
        return index
    }

    /// Calls `body` with the range of each member's name (quotes included) and of its value.
    @inline(__always)
    static func forEachMember(_ bytes: Span<UInt8>, _ range: Range<Int>, _ body: (Range<Int>, Range<Int>) -> Void) {
        var index = JSONGrammar.skipWhitespace(bytes, range.lowerBound + 1)
        while bytes[index] != UInt8(ascii: "}") {
            if bytes[index] == UInt8(ascii: ",") { index = JSONGrammar.skipWhitespace(bytes, index + 1) }
            let name = index..<self.endOfString(bytes, index)
            // Over the colon.
            index = JSONGrammar.skipWhitespace(bytes, JSONGrammar.skipWhitespace(bytes, name.upperBound) + 1)
            let value = index..<self.endOfValue(bytes, index)
            body(name, value)
            index = JSONGrammar.skipWhitespace(bytes, value.upperBound)
        }
    }

    /// Calls `body` with the range of each element of an array.
    @inline(__always)
    static func forEachElement(_ bytes: Span<UInt8>, _ range: Range<Int>, _ body: (Range<Int>) -> Void) {
        var index = JSONGrammar.skipWhitespace(bytes, range.lowerBound + 1)
        while bytes[index] != UInt8(ascii: "]") {
            if bytes[index] == UInt8(ascii: ",") { index = JSONGrammar.skipWhitespace(bytes, index + 1) }
            let value = index..<self.endOfValue(bytes, index)
            body(value)
            index = JSONGrammar.skipWhitespace(bytes, value.upperBound)
        }
    }

    /// Whether the string at `range` (quotes included) reads as `name`.
    @inline(__always)
    static func string(_ bytes: Span<UInt8>, _ range: Range<Int>, is name: Span<UInt8>) -> Bool {
        if range.count - 2 == name.count {
            let inner = bytes.extracting((range.lowerBound + 1)..<(range.upperBound - 1))
            // A name that contains a backslash is never equal to its own escaped form.
            return JSONBytes.areEqual(inner, name) && !self.hasEscape(inner)
        }
        // An escaped form is always longer.
        guard range.count - 2 > name.count,
            self.hasEscape(bytes.extracting((range.lowerBound + 1)..<(range.upperBound - 1)))
        else { return false }
        let text = self.unescape(bytes, range)
        return text.count == name.count && text.indices.allSatisfy { text[$0] == name[$0] }
    }

    /// Of a string without its quotes: one that is still in it has a backslash in front.
    private static func hasEscape(_ inner: Span<UInt8>) -> Bool {
        var index = 0
        while index + 8 <= inner.count {
            guard JSONBytes.quoteOrBackslash(in: JSONBytes.load(inner, index)) == 0 else { return true }
            index += 8
        }
        while index < inner.count {
            if inner[index] == UInt8(ascii: "\\") { return true }
            index += 1
        }
        return false
    }

    /// The text of the string at `range` (quotes included).
    static func string(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
        let inner = bytes.extracting((range.lowerBound + 1)..<(range.upperBound - 1))
        guard self.hasEscape(inner), let text = try? UTF8Span(validating: self.unescape(bytes, range).span) else {
            // Validated before; the repair of `String(decoding:)` has nothing to do.
            guard let text = try? UTF8Span(validating: inner) else { return "" }
            return String(copying: text)
        }
        return String(copying: text)
    }

    /// The bytes of the string at `range` without its escapes; a lone surrogate becomes U+FFFD.
    private static func unescape(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(range.count)
        var index = range.lowerBound + 1
        let end = range.upperBound - 1
        while index < end {
            let byte = bytes[index]
            guard byte == UInt8(ascii: "\\") else {
                text.append(byte)
                index += 1
                continue
            }
            let escape = bytes[index + 1]
            index += 2
            switch escape {
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "u"):
                let scalar = self.scalar(bytes, &index, end)
                text.append(contentsOf: String(Character(scalar)).utf8)
            default: text.append(escape)
            }
        }
        return text
    }

    /// Whether the string at `range` (quotes included) has half a pair of surrogates.
    static func hasLoneSurrogate(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var index = range.lowerBound + 1
        while index < range.upperBound - 1 {
            guard bytes[index] == UInt8(ascii: "\\") else {
                index += 1
                continue
            }
            guard bytes[index + 1] == UInt8(ascii: "u") else {
                index += 2
                continue
            }
            let unit = JSONBytes.hexadecimal(bytes, index + 2) ?? 0
            index += 2
            let scalar = self.scalar(bytes, &index, range.upperBound - 1)
            if scalar == "\u{FFFD}", UTF16.isLeadSurrogate(unit) || UTF16.isTrailSurrogate(unit) { return true }
        }
        return false
    }

    /// The scalar whose four digits begin at `index`, together with a second escape where both are a surrogate pair.
    private static func scalar(_ bytes: Span<UInt8>, _ index: inout Int, _ end: Int) -> Unicode.Scalar {
        let unit = JSONBytes.hexadecimal(bytes, index) ?? 0xFFFD
        index += 4
        if let scalar = Unicode.Scalar(unit) { return scalar }
        guard UTF16.isLeadSurrogate(unit), index + 6 <= end, bytes[index] == UInt8(ascii: "\\"),
            bytes[index + 1] == UInt8(ascii: "u"), let second = JSONBytes.hexadecimal(bytes, index + 2),
            UTF16.isTrailSurrogate(second)
        else { return "\u{FFFD}" }
        index += 6
        return UTF16.decode(UTF16.EncodedScalar([unit, second]))
    }
}
