/// Base64 of RFC 4648, with padding (section 4).
package enum Base64 {
    package static func encode(_ bytes: [UInt8]) -> String { Base64Alphabet.standard.encode(bytes, pads: true) }

    /// nil for anything but the one right encoding: no white space, padding required.
    package static func decode(_ text: String) -> [UInt8]? {
        let text = Array(text.utf8)
        guard text.count % 4 == 0 else { return nil }
        let padding = text.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        guard padding <= 2 else { return nil }
        return Base64Alphabet.standard.decode(text.dropLast(padding))
    }
}

/// Base64 for URLs and file names (RFC 4648, section 5), without padding, as JWS has it (RFC 7515).
package enum Base64URL {
    package static func encode(_ bytes: [UInt8]) -> String { Base64Alphabet.url.encode(bytes, pads: false) }

    /// nil for anything but the one right encoding: no padding, no white space.
    package static func decode(_ text: String) -> [UInt8]? { Base64Alphabet.url.decode(Array(text.utf8)[...]) }
}

private struct Base64Alphabet {
    static let standard = Self("+/")
    static let url = Self("-_")

    private let characters: [UInt8]
    private var values = [UInt8](repeating: 255, count: 256)

    private init(_ last: String) {
        self.characters = Array(("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + last).utf8)
        for (value, character) in self.characters.enumerated() { self.values[Int(character)] = UInt8(value) }
    }

    func encode(_ bytes: [UInt8], pads: Bool) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[index + 2]) }
            for position in 0...count { text.append(self.characters[Int(group >> (18 - 6 * UInt32(position)) & 63)]) }
            if pads { for _ in count..<3 { text.append(UInt8(ascii: "=")) } }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count * 3 / 4)
        var group: UInt32 = 0
        var bits: UInt32 = 0
        for character in text {
            let value = self.values[Int(character)]
            guard value != 255 else { return nil }
            group = group << 6 | UInt32(value)
            bits += 6
            guard bits >= 8 else { continue }
            bits -= 8
            bytes.append(UInt8(group >> bits & 255))
        }
        // Bits that are left over must be zero, or two texts would decode to the same bytes.
        return group & ((1 << bits) - 1) == 0 ? bytes : nil
    }
}
