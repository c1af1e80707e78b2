/// A number, kept as its text so that nothing is lost on the way through.
///
/// Compared by value, exactly and at any size: `1`, `1.0` and `10e-1` are equal, and `9007199254740993` is not `9007199254740992`.
public struct JSONNumber: Sendable, Hashable, CustomStringConvertible {
    /// As it stood in the document.
    public let text: String

    /// The number that `text` writes in JSON, or nil where it writes none.
    public init?(text: String) {
        guard JSONGrammar.isNumber(text.utf8.span) else { return nil }
        self.text = text
    }

    /// A whole number.
    public init(_ value: some BinaryInteger) { self.text = String(value) }

    /// A number, or nil for what JSON cannot write: infinity and NaN.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        let isWhole = value.magnitude < 0x1p53 && Double(Int(value)) == value
        self.text = isWhole ? String(Int(value)) : value.description
    }

    /// Text that the grammar has accepted.
    init(validated text: String) { self.text = text }

    /// As it stood in the document.
    public var description: String { self.text }

    /// The value, where it is a whole one within the range of `Int` (`1e3` and `5.0` are).
    public var int: Int? {
        if let value = Int(self.text) { return value }
        let decimal = Decimal(self.text)
        // 19 digits are the most that an `Int` has.
        guard let exponent = decimal.exponent, exponent >= 0, exponent + decimal.digits.count <= 19 else { return nil }
        let digits = String(decoding: decimal.digits, as: UTF8.self) + String(repeating: "0", count: exponent)
        return Int((decimal.isNegative ? "-" : "") + (digits.isEmpty ? "0" : digits))
    }

    /// The nearest `Double`; infinite beyond its range, as in JavaScript.
    public var double: Double { Double(self.text) ?? .nan }

    /// Whether both are the same number.
    public static func == (left: JSONNumber, right: JSONNumber) -> Bool {
        left.text == right.text || Decimal(left.text) == Decimal(right.text)
    }

    /// Hashes the value, not its spelling.
    public func hash(into hasher: inout Hasher) { hasher.combine(Decimal(self.text)) }

    /// A number in its one canonical form: `digits` without zeros at either end, times ten to `exponent`.
    private struct Decimal: Hashable {
        var isNegative: Bool
        var digits: [UInt8]
        /// nil where the exponent is beyond 64 bits: then `digits` is the whole text, and only equal texts are equal.
        var exponent: Int?

        init(_ text: String) {
            var digits: [UInt8] = []
            var exponent = 0
            let parts = text.utf8.split { $0 | 0x20 == UInt8(ascii: "e") }
            var isFraction = false
            for byte in parts[0] {
                if byte == UInt8(ascii: ".") {
                    isFraction = true
                } else if byte != UInt8(ascii: "-") {
                    if !(digits.isEmpty && byte == UInt8(ascii: "0")) { digits.append(byte) }
                    if isFraction { exponent -= 1 }
                }
            }
            while digits.last == UInt8(ascii: "0") {
                digits.removeLast()
                exponent += 1
            }
            self.isNegative = text.utf8.first == UInt8(ascii: "-") && !digits.isEmpty
            self.digits = digits
            guard parts.count > 1, !digits.isEmpty else {
                self.exponent = digits.isEmpty ? 0 : exponent
                return
            }
            let (sum, overflow) = (Int(String(Substring(parts[1]))) ?? .max).addingReportingOverflow(exponent)
            if overflow || Int(String(Substring(parts[1]))) == nil {
                self.digits = Array(text.utf8)
                self.exponent = nil
            } else {
                self.exponent = sum
            }
        }
    }
}

extension JSONNumber: ExpressibleByIntegerLiteral {
    /// `3`.
    public init(integerLiteral value: Int) { self.init(value) }
}
