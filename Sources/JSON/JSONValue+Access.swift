extension JSONValue {
    /// The member of that name; nil where there is none, or where this is no object.
    ///
    /// Assigning nil removes the member, `.null` stores a null. Assigning to a member of `.null` makes an object of it; on anything else that is no
    /// object it does nothing, as JavaScript would have it: a login whose `app_metadata` is a string does not end the worker.
    public subscript(_ name: String) -> JSONValue? {
        get {
            guard case .object(let object) = self else { return nil }
            return object[name]
        }
        _modify {
            var object: JSONObject
            switch self {
            case .object(let existing):
                object = existing
                // Held once only, so that the change is made in place.
                self = .null
            case .null:
                object = JSONObject()
            case .bool, .number, .string, .array:
                var ignored: JSONValue?
                yield &ignored
                return
            }
            defer { self = .object(object) }
            yield &object[name]
        }
    }

    /// The element at that index; nil where there is none, or where this is no array.
    public subscript(_ index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// Whether this is `null`.
    public var isNull: Bool { self == .null }

    /// The string, or nil where this is none.
    public var string: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    /// The truth value, or nil where this is none.
    public var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// The number, or nil where this is none.
    public var number: JSONNumber? {
        guard case .number(let value) = self else { return nil }
        return value
    }

    /// The number, where it is a whole one within the range of `Int`.
    public var int: Int? { self.number?.int }

    /// The number as the nearest `Double`, or nil where this is none.
    public var double: Double? { self.number?.double }

    /// The elements, or nil where this is not an array.
    public var array: [JSONValue]? {
        guard case .array(let value) = self else { return nil }
        return value
    }

    /// The object, or nil where this is none.
    public var object: JSONObject? {
        guard case .object(let value) = self else { return nil }
        return value
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
    /// `"gold"`.
    public init(stringLiteral value: String) { self = .string(value) }
}

extension JSONValue: ExpressibleByIntegerLiteral {
    /// `3`.
    public init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
}

extension JSONValue: ExpressibleByFloatLiteral {
    /// `0.5`.
    public init(floatLiteral value: Double) { self.init(value) }
}

extension JSONValue: ExpressibleByBooleanLiteral {
    /// `true`.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension JSONValue: ExpressibleByArrayLiteral {
    /// `[1, "two"]`.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
}

extension JSONValue: ExpressibleByDictionaryLiteral {
    /// `["plan": "gold"]`.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements.map { (name: $0, value: $1) }))
    }
}

extension JSONValue {
    /// A string.
    public init(_ value: String) { self = .string(value) }

    /// A truth value.
    public init(_ value: Bool) { self = .bool(value) }

    /// A whole number.
    public init(_ value: some BinaryInteger) { self = .number(JSONNumber(value)) }

    /// A number; `null` for infinity and NaN, as `JSON.stringify` has it.
    public init(_ value: Double) { self = JSONNumber(value).map(JSONValue.number) ?? .null }

    /// Members in order.
    public init(_ members: [(name: String, value: JSONValue)]) { self = .object(JSONObject(members)) }
}
