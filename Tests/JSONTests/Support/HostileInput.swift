import Testing

/// Inputs on which parsers differ, with the verdict of `JSON.parse` over a strict UTF-8 decoder (checked against Node where there is one).
struct HostileInput: CustomTestStringConvertible, Sendable {
    let bytes: [UInt8]
    let isAccepted: Bool

    var testDescription: String { String(decoding: self.bytes.prefix(40), as: UTF8.self) }

    init(_ text: String, accepted: Bool) {
        self.bytes = Array(text.utf8)
        self.isAccepted = accepted
    }

    init(_ bytes: [UInt8], accepted: Bool) {
        self.bytes = bytes
        self.isAccepted = accepted
    }

    /// A string literal with these bytes inside.
    static func string(_ inner: [UInt8], accepted: Bool) -> HostileInput {
        HostileInput([0x22] + inner + [0x22], accepted: accepted)
    }

    static let accepted: [HostileInput] = [
        "0", "-0", "-0.0", "1e400", "-1E-400", "1e+0", "123456789012345678901234567890", "0.1e1", "\"\"", "null",
        " true ", "\t\r\n[]\n", "{}", "{\"\":{}}", "{\"a\":1,\"a\":2}", "\"\\ud800\"", "\"\\udc00\\ud800\"",
        "\"\\u0000\"",
        "\"\\/\"", "\"\u{7F}\"", "\"\u{2028}\u{2029}\"", "\"\u{FEFF}\"", "{\"__proto__\":1}", "\"\\uD83D\\uDE00\"",
        "[[[[[[[[[[]]]]]]]]]]", "\"\u{10FFFF}\"", "\"\\uFFFF\"", "[1 , 2]", "{ \"a\" : [ ] }",
    ].map { HostileInput($0, accepted: true) }

    static let refused: [HostileInput] = [
        "", " ", "01", "-", "-01", "+1", ".5", "1.", "1.e1", "1e", "1e+", "1e1.5", "0x10", "1_000", "Infinity", "NaN",
        "nul", "nulll", "True", "tru", "'a'", "\"a", "\"\\\"", "\"\\", "\"\\u12\"", "\"\\u12G4\"", "\"\\x41\"",
        "\"\\'\"",
        "\"\u{1F}\"", "\"\n\"", "\"\t\"", "\"\u{0}\"", "[", "]", "{", "}", "[1,]", "[,1]", "[1 2]", "[1,,2]", "{\"a\"}",
        "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{1:2}", "[}", "{]", "[1}", "{\"a\":1]",
        "1 2",
        "{}{}", "[]]", "null,", "\u{FEFF}1", "\u{FEFF}", "\u{A0}1", "1\u{A0}", "\u{B}1", "\u{C}1", "1\u{0}", "// c\n1",
        "/**/1", "\"a\"b", "\u{2028}1", "-a", "--1", "1-", "{\"a\":1,,\"b\":2}", "{,}", "[\"a\",\n4\n,1,", "undefined",
    ].map { HostileInput($0, accepted: false) }

    static let encodings: [HostileInput] = [
        .string([0xC3, 0xA9], accepted: true), .string([0xEF, 0xBF, 0xBF], accepted: true),
        .string([0xED, 0x9F, 0xBF], accepted: true), .string([0xEE, 0x80, 0x80], accepted: true),
        .string([0xF4, 0x8F, 0xBF, 0xBF], accepted: true),
        // Overlong.
        .string([0xC0, 0xAF], accepted: false), .string([0xC1, 0x81], accepted: false),
        .string([0xE0, 0x80, 0xAF], accepted: false), .string([0xE0, 0x9F, 0xBF], accepted: false),
        .string([0xF0, 0x8F, 0xBF, 0xBF], accepted: false),
        // Surrogates, beyond the last code point, and no lead at all.
        .string([0xED, 0xA0, 0x80], accepted: false), .string([0xED, 0xBF, 0xBF], accepted: false),
        .string([0xF4, 0x90, 0x80, 0x80], accepted: false), .string([0xF5, 0x80, 0x80, 0x80], accepted: false),
        .string([0x80], accepted: false), .string([0xBF], accepted: false), .string([0xFE], accepted: false),
        .string([0xFF], accepted: false),
        // Cut short, by the end of the string or of everything.
        .string([0xC3], accepted: false), .string([0xE2, 0x82], accepted: false),
        .string([0xF0, 0x9F, 0x98], accepted: false),
        HostileInput([0x22, 0xC3], accepted: false), HostileInput([0x22, 0xF0, 0x9F, 0x98], accepted: false),
        .string([0xE2, 0x28, 0xA1], accepted: false), .string([0xF0, 0x28, 0x8C, 0xBC], accepted: false),
        .string([0xF0, 0x90, 0x28, 0xBC], accepted: false), .string([0xF0, 0x90, 0x80, 0x28], accepted: false),
        // Outside strings, and other encodings.
        HostileInput([0xC3, 0xA9], accepted: false), HostileInput([0x31, 0xFF], accepted: false),
        HostileInput([0xFE, 0xFF, 0x00, 0x31], accepted: false), HostileInput([0x31, 0x00], accepted: false),
    ]

    static let all = Self.accepted + Self.refused + Self.encodings
}
