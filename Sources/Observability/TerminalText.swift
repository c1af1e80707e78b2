/// Text of rules, files and networks that may come to a terminal: it must not steer it, nor show something else than it says.
package enum TerminalText {
    /// With a blank for each control character, mark of direction, and end of line or paragraph.
    package static func plain(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: Self.steers) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { Self.steers($0) ? " " : $0 }))
    }

    /// The same of JSON, where an escape of its own stands for each: nothing is lost to a program that reads it.
    ///
    /// JSON has none of the first 32 but between its lines.
    package static func escaped(json bytes: [UInt8]) -> [UInt8] {
        guard bytes.contains(where: { $0 >= 0x7F }) else { return bytes }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.unicodeScalars.contains(where: { $0 != "\n" && Self.steers($0) }) else { return bytes }
        var escaped = ""
        for scalar in text.unicodeScalars {
            if scalar == "\n" || !Self.steers(scalar) {
                escaped.unicodeScalars.append(scalar)
                continue
            }
            for unit in UTF16.encode(scalar) ?? .init() {
                let digits = String(unit, radix: 16)
                escaped += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)"
            }
        }
        return Array(escaped.utf8)
    }

    private static func steers(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value < 0x20 }
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: return true
        // Words of some scripts, and pictures of people, are joined by these two.
        case .format: return scalar != "\u{200C}" && scalar != "\u{200D}"
        default: return false
        }
    }
}
