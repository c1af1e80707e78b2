import AfterloginJSON

/// The grammar of RFC 8259 in its simplest form: recursive, over scalars, into a tree.
///
/// The model that the product is compared with.
struct NaiveParser {
    private var scalars: [Unicode.Scalar]
    private var index = 0

    /// The tree, or nil where `bytes` is not JSON.
    static func parse(_ bytes: [UInt8]) -> JSONValue? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        var parser = NaiveParser(scalars: Array(text.unicodeScalars))
        guard let value = parser.value() else { return nil }
        parser.space()
        return parser.index == parser.scalars.count ? value : nil
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private var next: Unicode.Scalar? { self.index < self.scalars.count ? self.scalars[self.index] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard self.next == scalar else { return false }
        self.index += 1
        return true
    }

    private mutating func take(word: String) -> Bool {
        for scalar in word.unicodeScalars {
            guard self.take(scalar) else { return false }
        }
        return true
    }

    private mutating func space() {
        while let next, " \t\r\n".unicodeScalars.contains(next) { self.index += 1 }
    }

    private mutating func value() -> JSONValue? {
        self.space()
        switch self.next {
        case "{": return self.object()
        case "[": return self.array()
        case "\"": return self.string().map(JSONValue.string)
        case "t": return self.take(word: "true") ? .bool(true) : nil
        case "f": return self.take(word: "false") ? .bool(false) : nil
        case "n": return self.take(word: "null") ? .null : nil
        default: return self.number()
        }
    }

    private mutating func object() -> JSONValue? {
        var members: [(name: String, value: JSONValue)] = []
        guard self.take("{") else { return nil }
        self.space()
        if self.take("}") { return JSONValue([]) }
        repeat {
            self.space()
            guard let name = self.string() else { return nil }
            self.space()
            guard self.take(":"), let value = self.value() else { return nil }
            if let index = members.firstIndex(where: { Array($0.name.utf8) == Array(name.utf8) }) {
                members[index].value = value
            } else {
                members.append((name, value))
            }
            self.space()
        } while self.take(",")
        return self.take("}") ? .object(JSONObject(members)) : nil
    }

    private mutating func array() -> JSONValue? {
        var elements: [JSONValue] = []
        guard self.take("[") else { return nil }
        self.space()
        if self.take("]") { return .array([]) }
        repeat {
            guard let value = self.value() else { return nil }
            elements.append(value)
            self.space()
        } while self.take(",")
        return self.take("]") ? .array(elements) : nil
    }

    private mutating func string() -> String? {
        guard self.take("\"") else { return nil }
        var units: [UInt16] = []
        while let next {
            self.index += 1
            switch next {
            case "\"": return String(decoding: units, as: UTF16.self)
            case "\\":
                guard let escape = self.next else { return nil }
                self.index += 1
                let simple: [Unicode.Scalar: UInt16] = [
                    "\"": 0x22, "\\": 0x5C, "/": 0x2F, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9,
                ]
                if let unit = simple[escape] {
                    units.append(unit)
                } else if escape == "u", self.index + 4 <= self.scalars.count {
                    let digits = String(String.UnicodeScalarView(self.scalars[self.index..<(self.index + 4)]))
                    guard digits.allSatisfy({ $0.isASCII && $0.isHexDigit }) else { return nil }
                    guard let unit = UInt16(digits, radix: 16) else { return nil }
                    units.append(unit)
                    self.index += 4
                } else {
                    return nil
                }
            default:
                guard next.value >= 0x20 else { return nil }
                units.append(contentsOf: String(Character(next)).utf16)
            }
        }
        return nil
    }

    private mutating func number() -> JSONValue? {
        let start = self.index
        while let next, "+-.eE0123456789".unicodeScalars.contains(next) { self.index += 1 }
        let text = String(String.UnicodeScalarView(self.scalars[start..<self.index]))
        guard text.wholeMatch(of: /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/) != nil else { return nil }
        return JSONNumber(text: text).map(JSONValue.number)
    }
}
