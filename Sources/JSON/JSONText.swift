/// Validated JSON text: a slice of bytes that is known to be one well-formed JSON value in UTF-8.
///
/// User and context pass through the worker in this form: validated once, sliced, and never built into a tree unless
/// a native rule looks. Accepts what `JSON.parse` accepts (big numbers and lone surrogate escapes included), up to a nesting
/// limit. Slices share the bytes of their document, and keep them alive.
public struct JSONText: Sendable, CustomStringConvertible {
    /// What a value is.
    public enum Kind: Sendable {
        /// `null`.
        case null
        /// `true` or `false`.
        case bool
        /// A number of any size.
        case number
        /// A string.
        case string
        /// An array.
        case array
        /// An object.
        case object
    }

    /// No limit is deeper than this.
    ///
    /// Trees are walked, compared and released with recursion, which overflows a stack of 8 MB somewhere between 7,000 and 50,000 levels.
    public static let deepestLimit = 1_024

    /// The text `null`.
    public static let null = JSONText(storage: Array("null".utf8), range: 0..<4)

    /// The text `{}`.
    public static let emptyObject = JSONText(storage: Array("{}".utf8), range: 0..<2)

    /// The whole buffer this text is a part of; slices of one document share it.
    package let storage: [UInt8]
    /// From the first byte of the value to its last, white space around it left out.
    package let range: Range<Int>

    private init(storage: [UInt8], range: Range<Int>) {
        self.storage = storage
        self.range = range
    }

    /// Validates the whole of `bytes` as one JSON value.
    ///
    /// - Parameters:
    ///   - bytes: UTF-8 without a byte order mark; white space around the value is allowed.
    ///   - maxDepth: How many objects and arrays may stand inside one another (`[[]]` is 2); no more than `deepestLimit`.
    ///   - refusesInfinity: Whether a number beyond a `Double` is a problem: `JSON.parse` makes it infinite, and writes it as `null`.
    /// - Throws: `JSONError` with the byte offset of the problem.
    public init(validating bytes: [UInt8], maxDepth: Int = 512, refusesInfinity: Bool = false) throws(JSONError) {
        self.range = try JSONGrammar.validate(
            bytes.span,
            maxDepth: min(maxDepth, Self.deepestLimit),
            refusesInfinity: refusesInfinity
        )
        self.storage = bytes
    }

    /// The text of a tree: compact, members in their order.
    public init(_ value: JSONValue) {
        let bytes = value.serialized()
        self.init(storage: bytes, range: 0..<bytes.count)
    }

    /// The bytes as they were given.
    public var bytes: ArraySlice<UInt8> { self.storage[self.range] }

    /// The text as it was given.
    public var description: String { String(decoding: self.bytes, as: UTF8.self) }

    /// What the value is, by its first byte.
    public var kind: Kind {
        switch self.storage[self.range.lowerBound] {
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .array
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
        case UInt8(ascii: "n"): .null
        default: .number
        }
    }

    /// The last member of that name, as `JSON.parse` would have it, or nil (also where this is not an object).
    public subscript(_ name: String) -> JSONText? {
        guard self.kind == .object else { return nil }
        var found: Range<Int>?
        let wanted = name.utf8.span
        let bytes = self.storage.span
        JSONSkimmer.forEachMember(bytes, self.range) { name, value in
            if JSONSkimmer.string(bytes, name, is: wanted) { found = value }
        }
        return found.map { JSONText(storage: self.storage, range: $0) }
    }

    /// The last members of these names, in one walk; nil for those that there are not (and where this is not an object).
    public func members(_ names: [String]) -> [JSONText?] {
        var found = [JSONText?](repeating: nil, count: names.count)
        guard self.kind == .object else { return found }
        let bytes = self.storage.span
        JSONSkimmer.forEachMember(bytes, self.range) { name, value in
            for index in names.indices where JSONSkimmer.string(bytes, name, is: names[index].utf8.span) {
                found[index] = JSONText(storage: self.storage, range: value)
            }
        }
        return found
    }

    /// The element at that index, or nil (also where this is no array).
    public subscript(_ index: Int) -> JSONText? {
        let elements = self.elements
        return elements.indices.contains(index) ? elements[index] : nil
    }

    /// The members of an object in order, names unescaped; of equal names the last value, at the place of the first.
    ///
    /// Empty where this is not an object. Names are compared by their code points, not by Unicode equivalence.
    public var members: [(name: String, value: JSONText)] { self.mapMembers { $0 }.entries }

    /// The members as they stand, those of equal names too; empty where this is not an object.
    package var everyMember: [(name: String, value: JSONText)] {
        var members: [(name: String, value: JSONText)] = []
        guard self.kind == .object else { return members }
        let bytes = self.storage.span
        JSONSkimmer.forEachMember(bytes, self.range) { name, value in
            members.append((JSONSkimmer.string(bytes, name), JSONText(storage: self.storage, range: value)))
        }
        return members
    }

    /// Whether a string has half a pair of surrogates in it, which no text can hold: `string` reads U+FFFD then.
    package var hasLoneSurrogate: Bool {
        guard let text = self.string, text.unicodeScalars.contains("\u{FFFD}") else { return false }
        return JSONSkimmer.hasLoneSurrogate(self.storage.span, self.range)
    }

    /// The members with their values transformed.
    func mapMembers<Value>(_ transform: (JSONText) -> Value) -> UniqueMembers<Value> {
        var members = UniqueMembers<Value>()
        guard self.kind == .object else { return members }
        let bytes = self.storage.span
        JSONSkimmer.forEachMember(bytes, self.range) { name, value in
            members.set(
                JSONSkimmer.string(bytes, name),
                transform(JSONText(storage: self.storage, range: value))
            )
        }
        return members
    }

    /// The elements of an array; empty where this is none.
    public var elements: [JSONText] {
        guard self.kind == .array else { return [] }
        var elements: [JSONText] = []
        JSONSkimmer.forEachElement(self.storage.span, self.range) { value in
            elements.append(JSONText(storage: self.storage, range: value))
        }
        return elements
    }

    /// Whether this is an object without members.
    public var isEmptyObject: Bool {
        guard self.kind == .object else { return false }
        let bytes = self.storage.span
        return bytes[JSONGrammar.skipWhitespace(bytes, self.range.lowerBound + 1)] == UInt8(ascii: "}")
    }

    /// The string, unescaped, or nil where this is not a string.
    ///
    /// A lone surrogate reads as U+FFFD.
    public var string: String? {
        guard self.kind == .string else { return nil }
        return JSONSkimmer.string(self.storage.span, self.range)
    }

    /// The number, or nil where this is none.
    public var number: JSONNumber? {
        guard self.kind == .number else { return nil }
        return JSONNumber(validated: self.description)
    }

    /// The number, where it is a whole one within the range of `Int`.
    public var int: Int? { self.number?.int }

    /// The truth value, or nil where this is none.
    public var bool: Bool? {
        guard self.kind == .bool else { return nil }
        return self.storage[self.range.lowerBound] == UInt8(ascii: "t")
    }

    /// The whole as a tree.
    public var value: JSONValue {
        switch self.kind {
        case .null: .null
        case .bool: .bool(self.storage[self.range.lowerBound] == UInt8(ascii: "t"))
        case .number: .number(JSONNumber(validated: self.description))
        case .string: .string(JSONSkimmer.string(self.storage.span, self.range))
        case .array: .array(self.elements.map(\.value))
        case .object: .object(JSONObject(self))
        }
    }

    /// Whether both say the same: order of members and white space do not count, numbers are compared by value.
    public func isEquivalent(to other: JSONText) -> Bool {
        self.hasSameBytes(as: other) || self.kind == other.kind && self.value == other.value
    }

    /// Whether both are the same text, to the byte.
    public func hasSameBytes(as other: JSONText) -> Bool {
        JSONBytes.areEqual(
            self.storage.span.extracting(self.range),
            other.storage.span.extracting(other.range)
        )
    }
}

/// Why bytes are not JSON.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, in a few words; never a part of the text itself longer than a character.
    public let reason: String
    /// In bytes from the beginning.
    public let offset: Int
    /// The reason where `refusesInfinity` was asked for.
    package static let infinity = "a number beyond what JavaScript can hold"
    /// Both in one line.
    public var description: String { "\(self.reason) at byte \(self.offset)" }
}
