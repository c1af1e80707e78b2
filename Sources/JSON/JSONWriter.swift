/// Appends JSON to bytes, without a tree.
///
/// Commas are written where they belong.
///
/// ```swift
/// var writer = JSONWriter()
/// writer.beginObject()
/// writer.member("name", "enrich")
/// writer.name("calls")
/// writer.append(2)
/// writer.endObject()
/// ```
public struct JSONWriter: Sendable {
    /// What was written so far.
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// An empty writer.
    public init() {}

    /// Continues behind `bytes`, which it neither reads nor changes: the prefix of a frame, or lines before.
    public init(after bytes: [UInt8]) { self.bytes = bytes }

    /// Makes room for that many bytes.
    public mutating func reserveCapacity(_ count: Int) { self.bytes.reserveCapacity(count) }

    /// Opens an object.
    public mutating func beginObject() { self.begin(UInt8(ascii: "{")) }

    /// Closes an object.
    public mutating func endObject() { self.end(UInt8(ascii: "}")) }

    /// Opens an array.
    public mutating func beginArray() { self.begin(UInt8(ascii: "[")) }

    /// Closes an array.
    public mutating func endArray() { self.end(UInt8(ascii: "]")) }

    /// Ends a line: what follows is a new value (NDJSON).
    public mutating func endLine() {
        self.bytes.append(UInt8(ascii: "\n"))
        self.needsComma = false
    }

    /// The name of the member whose value follows.
    public mutating func name(_ name: String) {
        self.append(name)
        self.bytes.append(UInt8(ascii: ":"))
        self.needsComma = false
    }

    /// A string.
    public mutating func append(_ string: String) {
        self.separate()
        self.bytes.append(UInt8(ascii: "\""))
        if Self.needsEscape(string.utf8.span) {
            self.appendEscaped(string)
        } else {
            self.bytes.append(contentsOf: string.utf8)
        }
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// Validated text, as it is.
    public mutating func append(_ text: JSONText) {
        self.separate()
        self.bytes.append(contentsOf: text.bytes)
    }

    /// A tree, compact.
    public mutating func append(_ value: JSONValue) {
        switch value {
        case .null: self.appendNull()
        case .bool(let value): self.append(value)
        case .number(let value):
            self.separate()
            self.bytes.append(contentsOf: value.text.utf8)
        case .string(let value): self.append(value)
        case .array(let elements):
            self.beginArray()
            for element in elements { self.append(element) }
            self.endArray()
        case .object(let object):
            if let text = object.text { return self.appendCompact(text) }
            self.beginObject()
            for (name, value) in object.members { self.member(name, value) }
            self.endObject()
        }
    }

    /// Validated text without the white space between its tokens.
    private mutating func appendCompact(_ text: JSONText) {
        self.separate()
        let bytes = text.storage.span
        var copied = text.range.lowerBound
        var index = copied
        while index < text.range.upperBound {
            switch bytes[index] {
            case UInt8(ascii: "\""): index = JSONSkimmer.endOfString(bytes, index)
            case 0x20, 0x0A, 0x0D, 0x09:
                self.bytes.append(contentsOf: text.storage[copied..<index])
                index = JSONGrammar.skipWhitespace(bytes, index)
                copied = index
            default: index += 1
            }
        }
        self.bytes.append(contentsOf: text.storage[copied..<index])
    }

    /// A whole number.
    public mutating func append(_ integer: some FixedWidthInteger) {
        self.separate()
        self.bytes.append(contentsOf: String(integer).utf8)
    }

    /// A number; `null` for infinity and NaN, as `JSON.stringify` has it.
    public mutating func append(_ double: Double) {
        self.separate()
        self.bytes.append(contentsOf: (JSONNumber(double)?.text ?? "null").utf8)
    }

    /// `true` or `false`.
    public mutating func append(_ bool: Bool) {
        self.separate()
        self.bytes.append(contentsOf: (bool ? "true" : "false").utf8)
    }

    /// `null`.
    public mutating func appendNull() {
        self.separate()
        self.bytes.append(contentsOf: "null".utf8)
    }

    /// A member with a string.
    public mutating func member(_ name: String, _ value: String) {
        self.name(name)
        self.append(value)
    }

    /// A member with a string, or `null`.
    public mutating func member(_ name: String, _ value: String?) {
        self.name(name)
        if let value { self.append(value) } else { self.appendNull() }
    }

    /// A member with validated text.
    public mutating func member(_ name: String, _ value: JSONText) {
        self.name(name)
        self.append(value)
    }

    /// A member with a tree.
    public mutating func member(_ name: String, _ value: JSONValue) {
        self.name(name)
        self.append(value)
    }

    /// A member with a whole number.
    public mutating func member(_ name: String, _ value: some FixedWidthInteger) {
        self.name(name)
        self.append(value)
    }

    /// A member with a number.
    public mutating func member(_ name: String, _ value: Double) {
        self.name(name)
        self.append(value)
    }

    /// A member with a truth value.
    public mutating func member(_ name: String, _ value: Bool) {
        self.name(name)
        self.append(value)
    }

    /// A member with an array of strings.
    public mutating func member(_ name: String, _ values: [String]) {
        self.name(name)
        self.beginArray()
        for value in values { self.append(value) }
        self.endArray()
    }

    private mutating func begin(_ byte: UInt8) {
        if self.needsComma { self.bytes.append(UInt8(ascii: ",")) }
        self.bytes.append(byte)
        self.needsComma = false
    }

    private mutating func end(_ byte: UInt8) {
        self.bytes.append(byte)
        self.needsComma = true
    }

    /// Before a value: the comma behind the one before it.
    private mutating func separate() {
        if self.needsComma { self.bytes.append(UInt8(ascii: ",")) }
        self.needsComma = true
    }

    private static func needsEscape(_ bytes: Span<UInt8>) -> Bool {
        var index = 0
        // Eight at a time; a word that holds something beyond ASCII is looked at byte by byte as well.
        while index + 8 <= bytes.count, JSONBytes.special(in: JSONBytes.load(bytes, index)) == 0 { index += 8 }
        while index < bytes.count {
            let byte = bytes[index]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return true }
            index += 1
        }
        return false
    }

    /// Escapes what `JSON.stringify` escapes, in the same way.
    private mutating func appendEscaped(_ string: String) {
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                self.bytes.append(UInt8(ascii: "\\"))
                self.bytes.append(byte)
            case 0x08: self.bytes.append(contentsOf: #"\b"#.utf8)
            case 0x09: self.bytes.append(contentsOf: #"\t"#.utf8)
            case 0x0A: self.bytes.append(contentsOf: #"\n"#.utf8)
            case 0x0C: self.bytes.append(contentsOf: #"\f"#.utf8)
            case 0x0D: self.bytes.append(contentsOf: #"\r"#.utf8)
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                self.bytes.append(contentsOf: #"\u00"#.utf8)
                self.bytes.append(contentsOf: (digits.utf8.count == 1 ? "0" + digits : digits).utf8)
            default: self.bytes.append(byte)
            }
        }
    }
}
