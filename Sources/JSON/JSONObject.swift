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
public struct JSONObject: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    private var storage = UniqueMembers<JSONValue>()

    /// An object without members.
    public init() {}

    /// These members in this order; of equal names the last value, at the place of the first.
    public init(_ members: [(name: String, value: JSONValue)]) {
        for member in members { self.storage.set(member.name, member.value) }
    }

    /// `["plan": "gold", "logins": 3]`.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        for (name, value) in elements { self.storage.set(name, value) }
    }

    /// The members of validated text that is an object.
    init(_ text: JSONText) {
        self.storage = text.mapMembers(\.value)
    }

    /// The members in order.
    public var members: [(name: String, value: JSONValue)] { self.storage.entries }

    /// How many members there are.
    public var count: Int { self.storage.entries.count }

    /// Whether there are none.
    public var isEmpty: Bool { self.storage.entries.isEmpty }

    /// The value of a member, nil where there is none; assigning nil removes the member, `.null` stores a null.
    public subscript(_ name: String) -> JSONValue? {
        get { self.storage.position(of: name).map { self.storage.entries[$0].value } }
        set {
            if let newValue {
                self.storage.set(name, newValue)
            } else {
                self.storage.remove(name)
            }
        }
        _modify {
            guard let position = self.storage.position(of: name) else {
                var value: JSONValue?
                yield &value
                if let value { self.storage.set(name, value) }
                return
            }
            // Taken out while it is changed: it would be copied as a whole otherwise.
            var value: JSONValue? = self.storage.modify(at: position) { stored in
                let taken = stored
                stored = .null
                return taken
            }
            defer {
                if let value {
                    self.storage.modify(at: position) { $0 = value }
                } else {
                    self.storage.remove(name)
                }
            }
            yield &value
        }
    }

    /// Whether both have the same names with equal values, in any order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.name] == $0.value }
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
