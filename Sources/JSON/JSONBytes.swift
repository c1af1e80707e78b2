/// Small questions about bytes, eight at a time where that helps.
enum JSONBytes {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highs: UInt64 = 0x8080_8080_8080_8080

    /// Eight bytes, the first in the lowest bits; there must be that many.
    @inline(__always)
    static func load(_ bytes: Span<UInt8>, _ index: Int) -> UInt64 {
        UInt64(littleEndian: unsafe bytes.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
    }

    /// Bits set for the bytes that end a plain run inside a string: quote, backslash, control, not ASCII.
    ///
    /// The lowest set bit is exact; those above it may be false (borrows).
    @inline(__always)
    static func special(in word: UInt64) -> UInt64 {
        (self.quoteOrBackslash(in: word) | (word &- self.ones &* 0x20) & ~word | word) & self.highs
    }

    /// The same for quote and backslash alone: in text that is known to be valid.
    @inline(__always)
    static func quoteOrBackslash(in word: UInt64) -> UInt64 {
        let quote = word ^ (self.ones &* 0x22)
        let backslash = word ^ (self.ones &* 0x5C)
        return ((quote &- self.ones) & ~quote | (backslash &- self.ones) & ~backslash) & self.highs
    }

    /// The length of the UTF-8 sequence that begins at `index` with a byte of 0x80 or more; 0 where it is not valid (RFC 3629:
    /// nothing overlong, no surrogates, nothing above U+10FFFF).
    static func lengthOfScalar(_ bytes: Span<UInt8>, _ index: Int) -> Int {
        let first = bytes[index]
        let length: Int
        var lowest: UInt8 = 0x80
        var highest: UInt8 = 0xBF
        switch first {
        case 0xC2...0xDF:
            length = 2
        case 0xE0...0xEF:
            length = 3
            if first == 0xE0 { lowest = 0xA0 }
            if first == 0xED { highest = 0x9F }
        case 0xF0...0xF4:
            length = 4
            if first == 0xF0 { lowest = 0x90 }
            if first == 0xF4 { highest = 0x8F }
        default:
            return 0
        }
        guard index + length <= bytes.count, bytes[index + 1] >= lowest, bytes[index + 1] <= highest else { return 0 }
        for offset in 2..<max(2, length) where bytes[index + offset] & 0xC0 != 0x80 { return 0 }
        return length
    }

    /// Whether both have the same bytes.
    static func areEqual(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        var index = 0
        while index + 8 <= left.count {
            guard self.load(left, index) == self.load(right, index) else { return false }
            index += 8
        }
        while index < left.count {
            guard left[index] == right[index] else { return false }
            index += 1
        }
        return true
    }

    /// The value of four hexadecimal digits, or nil; there must be that many bytes.
    static func hexadecimal(_ bytes: Span<UInt8>, _ index: Int) -> UInt16? {
        var value: UInt16 = 0
        for offset in 0..<4 {
            let byte = bytes[index + offset]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            value = value << 4 | UInt16(digit)
        }
        return value
    }
}

extension String {
    /// By code point, not by Unicode equivalence.
    func hasSameBytes(as other: String) -> Bool {
        self.utf8.count == other.utf8.count && JSONBytes.areEqual(self.utf8.span, other.utf8.span)
    }
}
