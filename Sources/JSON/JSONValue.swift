/// A JSON value as a tree, for native rules and small documents.
///
/// ```swift
/// let plan = login.user["app_metadata"]?["plan"]?.string
/// login.user["app_metadata"]?["seen"] = true
/// ```
///
/// Strings are compared by code point, as in JavaScript, not by Unicode equivalence; numbers by value; objects without regard to the
/// order of their members. A tree that was parsed is at most `JSONText.deepestLimit` deep; one that code builds should be, too.
public enum JSONValue: Sendable, Hashable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number of any size, as its text.
    case number(JSONNumber)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object.
    case object(JSONObject)

    /// Parses one JSON value.
    ///
    /// - Parameters:
    ///   - bytes: UTF-8 without a byte order mark.
    ///   - maxDepth: How many objects and arrays may stand inside one another.
    /// - Throws: `JSONError` with the byte offset of the problem.
    public init(parsing bytes: [UInt8], maxDepth: Int = 512) throws(JSONError) {
        self = try JSONText(validating: bytes, maxDepth: maxDepth).value
    }

    /// The value as compact JSON, members in their order: equal input gives equal bytes.
    public func serialized() -> [UInt8] {
        var writer = JSONWriter()
        writer.append(self)
        return writer.bytes
    }

    /// The value as validated text.
    public var text: JSONText { JSONText(self) }

    /// Whether both are the same value.
    public static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left), .number(let right)): left == right
        case (.string(let left), .string(let right)): left.hasSameBytes(as: right)
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        case (.null, _), (.bool, _), (.number, _), (.string, _), (.array, _), (.object, _): false
        }
    }

    /// Hashes the value; equal values hash the same.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .number(let value): hasher.combine(value)
        case .string(let value): for byte in value.utf8 { hasher.combine(byte) }
        case .array(let value): hasher.combine(value)
        case .object(let value): hasher.combine(value)
        }
    }
}
