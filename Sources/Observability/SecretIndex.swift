/// Known secrets by their first bytes, so that a text is searched for all of them in one pass.
///
/// A plus counts as a blank, as forms write it.
package struct SecretIndex: Sendable {
    package static let prefixBytes = 4
    /// With the number of times each was put in.
    private var secrets: [UInt32: [[UInt8]: Int]] = [:]
    /// A bit for each hash of a prefix: most places of most texts are passed by with one look.
    private var filter = [UInt64](repeating: 0, count: 1 << 10)
    /// Bits that were set for secrets which are gone; when they are many, the filter is made anew.
    private var staleBits = 0

    mutating func insert(_ secret: [UInt8]) {
        let prefix = Self.prefix(secret, 0)
        self.secrets[prefix, default: [:]][secret.map(Self.folded), default: 0] += 1
        self.mark(prefix)
    }

    mutating func remove(_ secret: [UInt8]) {
        let prefix = Self.prefix(secret, 0)
        let secret = secret.map(Self.folded)
        guard let count = self.secrets[prefix]?[secret] else { return }
        self.secrets[prefix]?[secret] = count > 1 ? count - 1 : nil
        guard self.secrets[prefix]?.isEmpty == true else { return }
        self.secrets[prefix] = nil
        self.staleBits += 1
        guard self.staleBits > 2_000 else { return }
        self.staleBits = 0
        self.filter = [UInt64](repeating: 0, count: self.filter.count)
        for prefix in self.secrets.keys { self.mark(prefix) }
    }

    private mutating func mark(_ prefix: UInt32) {
        let bit = Self.bit(prefix)
        self.filter[bit >> 6] |= 1 << UInt64(bit & 63)
    }

    private static func bit(_ prefix: UInt32) -> Int { Int((prefix &* 0x9E37_79B1) >> 16) }

    private static func folded(_ byte: UInt8) -> UInt8 { byte == UInt8(ascii: "+") ? 0x20 : byte }

    private static func prefix(_ bytes: [UInt8], _ start: Int) -> UInt32 {
        bytes[start..<start + self.prefixBytes].reduce(0) { $0 << 8 | UInt32(self.folded($1)) }
    }

    func matches(in text: [UInt8]) -> [Range<Int>] {
        guard !self.secrets.isEmpty, text.count >= Self.prefixBytes else { return [] }
        var ranges: [Range<Int>] = []
        var prefix = Self.prefix(text, 0) >> 8
        var start = 0
        var skipUntil = 0
        while start + Self.prefixBytes <= text.count {
            prefix = prefix << 8 | UInt32(Self.folded(text[start + Self.prefixBytes - 1]))
            let bit = Self.bit(prefix)
            if self.filter[bit >> 6] & 1 << UInt64(bit & 63) != 0, start >= skipUntil,
                let candidates = self.secrets[prefix]
            {
                let rest = text[start...].lazy.map(Self.folded)
                let length = candidates.keys.filter { rest.starts(with: $0) }.map(\.count).max()
                if let length {
                    ranges.append(start..<start + length)
                    skipUntil = start + length
                }
            }
            start += 1
        }
        return ranges
    }
}
