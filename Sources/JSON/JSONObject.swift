/// Members with unique names, in the order in which the names first came.
///
/// A few are searched one by one; more get an index, so that a hostile object with a million members costs no more than its size.
/// Names are compared by code point: `é` in one and in two code points are two names, as in JavaScript.
struct UniqueMembers<Value> {
    private struct Key: Hashable {
        let name: String

        static func == (left: Key, right: Key) -> Bool { left.name.hasSameBytes(as: right.name) }

        func hash(into hasher: inout Hasher) {
            for byte in self.name.utf8 { hasher.combine(byte) }
        }
    }

    /// From how many members on there is an index.
    private static var threshold: Int { 16 }

    private(set) var entries: [(name: String, value: Value)] = []
    private var index: [Key: Int] = [:]

    func position(of name: String) -> Int? {
        guard self.entries.count <= Self.threshold else { return self.index[Key(name: name)] }
        return self.entries.firstIndex { $0.name.hasSameBytes(as: name) }
    }

    mutating func set(_ name: String, _ value: Value) {
        if let position = self.position(of: name) {
            self.entries[position].value = value
            return
        }
        self.entries.append((name, value))
        if self.entries.count == Self.threshold + 1 {
            self.reindex()
        } else if self.entries.count > Self.threshold {
            self.index[Key(name: name)] = self.entries.count - 1
        }
    }

    mutating func remove(_ name: String) {
        guard let position = self.position(of: name) else { return }
        self.entries.remove(at: position)
        self.reindex()
    }

    private mutating func reindex() {
        self.index.removeAll()
        guard self.entries.count > Self.threshold else { return }
        for (position, entry) in self.entries.enumerated() { self.index[Key(name: entry.name)] = position }
    }

    /// Changes a value where it is, so that a large one is not copied.
    mutating func modify<Result>(at position: Int, _ body: (inout Value) -> Result) -> Result {
        body(&self.entries[position].value)
    }
}

extension UniqueMembers: Sendable where Value: Sendable {}

/// The members of a JSON object, in order; equality ignores the order.
///
/// A small one that was parsed stays text until it is changed: most of what a rule is given it only looks at, or hands on.
public struct JSONObject: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    private enum Storage: Sendable {
        case text(JSONText)
        case members(UniqueMembers<JSONValue>)
    }

    /// Each look at a longer text would cost more than its members do at once.
    private static let maxTextBytes = 2_048

    private var storage: Storage

    /// An object without members.
    public init() { self.storage = .members(UniqueMembers()) }

    /// These members in this order; of equal names the last value, at the place of the first.
    public init(_ members: [(name: String, value: JSONValue)]) {
        var storage = UniqueMembers<JSONValue>()
        for member in members { storage.set(member.name, member.value) }
        self.storage = .members(storage)
    }

    /// `["plan": "gold", "logins": 3]`.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self.init(elements.map { (name: $0, value: $1) })
    }

    /// The members of validated text that is an object.
    init(_ text: JSONText) {
        self.storage = text.range.count <= Self.maxTextBytes ? .text(text) : .members(text.mapMembers(\.value))
    }

    /// The text, where it is one still.
    var text: JSONText? {
        guard case .text(let text) = self.storage else { return nil }
        return text
    }

    private var uniqueMembers: UniqueMembers<JSONValue> {
        switch self.storage {
        case .text(let text): text.mapMembers(\.value)
        case .members(let members): members
        }
    }

    /// Changes the members where they are, so that they are not copied as a whole.
    private mutating func withMembers<Result>(_ body: (inout UniqueMembers<JSONValue>) -> Result) -> Result {
        var members = self.uniqueMembers
        self.storage = .text(.emptyObject)
        defer { self.storage = .members(members) }
        return body(&members)
    }

    /// The members in order.
    public var members: [(name: String, value: JSONValue)] { self.uniqueMembers.entries }

    /// How many members there are.
    public var count: Int { self.uniqueMembers.entries.count }

    /// Whether there are none.
    public var isEmpty: Bool {
        switch self.storage {
        case .text(let text): text.isEmptyObject
        case .members(let members): members.entries.isEmpty
        }
    }

    /// The value of a member, nil where there is none; assigning nil removes the member, `.null` stores a null.
    public subscript(_ name: String) -> JSONValue? {
        get {
            switch self.storage {
            case .text(let text): text[name]?.value
            case .members(let members): members.position(of: name).map { members.entries[$0].value }
            }
        }
        set {
            self.withMembers { members in
                if let newValue { members.set(name, newValue) } else { members.remove(name) }
            }
        }
        _modify {
            // Taken out while it is changed: it would be copied as a whole otherwise.
            var value: JSONValue? = self.withMembers { members in
                guard let position = members.position(of: name) else { return nil }
                return members.modify(at: position) { stored in
                    let taken = stored
                    stored = .null
                    return taken
                }
            }
            defer { self[name] = value }
            yield &value
        }
    }

    /// Whether both have the same names with equal values, in any order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        if let left = left.text, let right = right.text, left.hasSameBytes(as: right) { return true }
        let (left, right) = (left.uniqueMembers, right.uniqueMembers)
        return left.entries.count == right.entries.count
            && left.entries.allSatisfy { entry in
                right.position(of: entry.name).map { right.entries[$0].value == entry.value } ?? false
            }
    }

    /// Hashes names and values, in any order the same.
    public func hash(into hasher: inout Hasher) {
        var sum = 0
        for (name, value) in self.members {
            var part = Hasher()
            JSONValue.string(name).hash(into: &part)
            value.hash(into: &part)
            sum &+= part.finalize()
        }
        hasher.combine(sum)
    }
}
