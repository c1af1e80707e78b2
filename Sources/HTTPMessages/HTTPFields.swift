/// One header field, the name as it was given.
public struct HTTPField: Sendable, Hashable {
    /// A token (RFC 9110); its case does not count.
    public var name: String
    /// Text without line breaks.
    public var value: String

    /// A field of that name and value.
    @inlinable public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// Whether it has that name (ASCII case does not count).
    public func isNamed(_ name: String) -> Bool {
        // The lengths settle it most often.
        guard self.name.utf8.count == name.utf8.count else { return false }
        return zip(self.name.utf8, name.utf8).allSatisfy { $0 == $1 || ($0 | 0x20 == $1 | 0x20 && Self.isLetter($0)) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
}

/// The header fields of a message, in their order; a name may come more than once.
public struct HTTPFields: Sendable, Hashable {
    @usableFromInline var fields: [HTTPField]

    /// The value of the first field of that name, whatever its case.
    ///
    /// Assigning takes out all fields of the name, and adds one at the end unless the new value is nil.
    public subscript(name: String) -> String? {
        get { self.fields.first { $0.isNamed(name) }?.value }
        set {
            self.fields.removeAll { $0.isNamed(name) }
            if let newValue { self.fields.append(HTTPField(name, newValue)) }
        }
    }

    /// The values of all fields of that name.
    public func values(_ name: String) -> [String] { self.fields.filter { $0.isNamed(name) }.map(\.value) }
}

extension HTTPFields: RandomAccessCollection, RangeReplaceableCollection, MutableCollection {
    /// None.
    @inlinable public init() { self.fields = [] }

    /// Those fields, in that order.
    @inlinable public init(_ fields: some Sequence<HTTPField>) { self.fields = Array(fields) }

    /// Zero.
    @inlinable public var startIndex: Int { 0 }

    /// How many there are.
    @inlinable public var endIndex: Int { self.fields.count }

    /// The field in that place.
    @inlinable public subscript(index: Int) -> HTTPField {
        get { self.fields[index] }
        _modify { yield &self.fields[index] }
    }

    /// Puts others in the place of some.
    @inlinable public mutating func replaceSubrange(_ range: Range<Int>, with fields: some Collection<HTTPField>) {
        self.fields.replaceSubrange(range, with: fields)
    }

    /// Adds a field at the end.
    @inlinable public mutating func append(_ field: HTTPField) { self.fields.append(field) }

    /// Takes memory for so many fields.
    @inlinable public mutating func reserveCapacity(_ count: Int) { self.fields.reserveCapacity(count) }

    /// Takes out those fields.
    @inlinable public mutating func removeAll(where isWanted: (HTTPField) throws -> Bool) rethrows {
        try self.fields.removeAll(where: isWanted)
    }
}

extension HTTPFields: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    /// Those fields, in that order.
    public init(arrayLiteral fields: HTTPField...) { self.fields = fields }

    /// Fields of these names and values, in that order.
    public init(dictionaryLiteral fields: (String, String)...) {
        self.fields = fields.map { HTTPField($0.0, $0.1) }
    }
}
