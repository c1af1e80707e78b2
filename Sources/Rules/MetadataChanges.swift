package import AfterloginJSON
import AfterloginRuleHost

/// What rules wrote with `updateUserMetadata` and `updateAppMetadata`: first-level keys, later writes over earlier ones.
package struct MetadataChanges: Sendable {
    package struct Part: Sendable {
        package private(set) var set: [(name: String, value: JSONText)] = []
        package private(set) var removed: [String] = []

        package init() {}

        package var isEmpty: Bool { self.set.isEmpty && self.removed.isEmpty }

        /// One write: `null` deletes (Auth0: "To delete a key, set it to null").
        package mutating func write(_ name: String, _ value: JSONText) {
            self.set.removeAll { $0.name == name }
            self.removed.removeAll { $0 == name }
            if value.kind == .null { self.removed.append(name) } else { self.set.append((name, value)) }
        }

        package mutating func merge(_ changes: JSONObject) {
            for (name, value) in changes.members { self.write(name, JSONText(value)) }
        }

        /// Merges `{"set": {…}, "removed": […]}`, as a rule host reports it.
        package mutating func merge(reported: JSONText) {
            for name in reported["removed"]?.elements ?? [] {
                guard let name = name.string else { continue }
                self.set.removeAll { $0.name == name }
                self.removed.removeAll { $0 == name }
                self.removed.append(name)
            }
            for (name, value) in reported["set"]?.members ?? [] { self.write(name, value) }
        }
    }

    package var user = Part()
    package var app = Part()

    package init() {}

    /// Merges what a rule host reports.
    mutating func merge(_ writes: RuleWrites) {
        if let changes = writes.userMetadata { self.user.merge(reported: changes) }
        if let changes = writes.appMetadata { self.app.merge(reported: changes) }
    }

    package var isEmpty: Bool { self.user.isEmpty && self.app.isEmpty }
}
