/// Text without its percent-encoding and its escapes of JSON, and where each byte of it came from.
///
/// Secrets travel in URLs, forms, JSON and one inside the other. There is more than one right way to write each, so it is the text
/// that is decoded, not the secret that is written in all ways.
struct DecodedText {
    private(set) var bytes: [UInt8] = []
    /// Where each byte begins in the text that was decoded, and where the last one ends; empty where nobody asks.
    private var starts: [Int] = []
    private let isMapped: Bool
    /// Whether there was anything to decode.
    private(set) var hasChanged = false
    /// Whether what was decoded has a character that the shapes of secrets are made of.
    private(set) var mayHaveNewShapes = false

    /// Whether there can be anything to decode in it.
    static func isNeeded(_ text: [UInt8]) -> Bool {
        text.contains(where: Self.begins)
    }

    /// With `mapped`, each byte's place is kept, which costs more than to decode it.
    init(_ text: [UInt8], mapped: Bool) {
        self.isMapped = mapped
        self.bytes.reserveCapacity(text.count)
        if mapped { self.starts.reserveCapacity(text.count + 1) }
        var index = 0
        while index < text.count {
            guard Self.begins(text[index]) else {
                self.append(text[index], from: index)
                index += 1
                continue
            }
            let (length, byte) = Self.encoded(text, index)
            if length > 0 {
                self.append(byte, from: index)
                if ":=\"' .-@/".utf8.contains(byte), text[index] != UInt8(ascii: "+") { self.mayHaveNewShapes = true }
                self.hasChanged = true
                index += length
            } else if let (length, scalar) = Self.escaped(text, index) {
                for byte in Unicode.UTF8.encode(scalar) ?? .init() { self.append(byte, from: index) }
                (self.hasChanged, self.mayHaveNewShapes) = (true, true)
                index += length
            } else {
                self.append(text[index], from: index)
                index += 1
            }
        }
        if mapped { self.starts.append(text.count) }
    }

    private mutating func append(_ byte: UInt8, from index: Int) {
        self.bytes.append(byte)
        if self.isMapped { self.starts.append(index) }
    }

    private static func begins(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "%") || byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "+")
    }

    /// The part of the text that was decoded behind a part of this one, which is mapped.
    func source(of range: Range<Int>) -> Range<Int> {
        // A character of several bytes has one escape: its end is where another begins.
        var end = range.upperBound
        while end < self.bytes.count, self.starts[end] == self.starts[end - 1] { end += 1 }
        return self.starts[range.lowerBound]..<self.starts[end]
    }

    /// `%40`, `+`, `\n`; a length of 0 where nothing is encoded here.
    private static func encoded(_ text: [UInt8], _ index: Int) -> (length: Int, byte: UInt8) {
        switch text[index] {
        // A form's blank.
        case UInt8(ascii: "+"): return (1, 0x20)
        case UInt8(ascii: "%"):
            guard index + 2 < text.count, let high = text[index + 1].digit, let low = text[index + 2].digit else {
                return (0, 0)
            }
            return (3, high << 4 | low)
        case UInt8(ascii: "\\"):
            guard index + 1 < text.count else { return (0, 0) }
            switch text[index + 1] {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "'"):
                return (2, text[index + 1])
            case UInt8(ascii: "n"): return (2, 0x0A)
            case UInt8(ascii: "r"): return (2, 0x0D)
            case UInt8(ascii: "t"): return (2, 0x09)
            default: return (0, 0)
            }
        default: return (0, 0)
        }
    }

    /// `\u00e9`, or two of them that are a pair of surrogates.
    private static func escaped(_ text: [UInt8], _ index: Int) -> (length: Int, scalar: Unicode.Scalar)? {
        guard let first = self.unit(text, index) else { return nil }
        if let scalar = Unicode.Scalar(first) { return (6, scalar) }
        guard UTF16.isLeadSurrogate(first), let second = self.unit(text, index + 6), UTF16.isTrailSurrogate(second)
        else {
            return nil
        }
        return (12, UTF16.decode(UTF16.EncodedScalar([first, second])))
    }

    private static func unit(_ text: [UInt8], _ index: Int) -> UInt16? {
        guard index + 5 < text.count, text[index] == UInt8(ascii: "\\"), text[index + 1] == UInt8(ascii: "u") else {
            return nil
        }
        var unit: UInt16 = 0
        for digit in text[(index + 2)...(index + 5)] {
            guard let digit = digit.digit else { return nil }
            unit = unit << 4 | UInt16(digit)
        }
        return unit
    }
}

extension UInt8 {
    /// The value of a hexadecimal digit.
    fileprivate var digit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
