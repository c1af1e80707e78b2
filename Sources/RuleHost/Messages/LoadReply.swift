import AfterloginJSON

/// A host has the rules.
package struct LoadReply: Sendable {
    /// Longer names of versions are cut: they go into logs and `/status`.
    private static let maxVersionLength = 16

    /// `v20.20.2`.
    package let nodeVersion: String
    /// What is worth knowing about the rules.
    package let notes: [RuleRemark]
    /// Files of packages that may be after `auth0.accessToken`, and the rules that load them.
    package let tokenFiles: [TokenFile]

    /// A file that rules load.
    package struct TokenFile: Sendable, Hashable {
        package let file: String
        package let source: String
        package let rules: [String]
    }

    init(_ payload: ArraySlice<UInt8>) throws(ProtocolViolation) {
        let parts = try JSONText.message(payload, "what was loaded").members(["node", "notes", "tokenFiles"])
        self.nodeVersion = String(try parts[0].string("the version of Node").prefix(Self.maxVersionLength))
        self.notes = try RuleRemark.list(parts[1], "text")
        guard parts[2] != nil else {
            self.tokenFiles = []
            return
        }
        self.tokenFiles = try parts[2].array("the files").map { item throws(ProtocolViolation) in
            let parts = item.members(["file", "source", "rules"])
            return TokenFile(
                file: try parts[0].string("the name of a file"),
                source: try parts[1].string("a source"),
                rules: try parts[2].strings("the rules")
            )
        }
    }
}

/// What a host says of one place in a rule while it loads it.
package struct RuleRemark: Sendable {
    /// The rule's name.
    package let rule: String?
    package let file: String?
    /// From 1; 0 where it is not known.
    package let line: Int
    package let column: Int
    package let text: String

    /// Reads a list whose members have their words under `key`.
    static func list(_ list: JSONText?, _ key: String) throws(ProtocolViolation) -> [RuleRemark] {
        try list.array("the list of remarks").map { item throws(ProtocolViolation) in
            let parts = item.members(["rule", "file", "line", "column", key])
            return RuleRemark(
                rule: parts[0]?.string,
                file: parts[1]?.string,
                line: parts[2]?.int ?? 0,
                column: parts[3]?.int ?? 0,
                text: try parts[4].string("a remark")
            )
        }
    }
}

/// A problem that makes the hosts refuse the chain: nothing is started.
package struct RuleHostRefusal: Error, Sendable {
    /// From the host; empty where it said nothing.
    package let problems: [RuleRemark]
    package let notes: [RuleRemark]
    package let message: String
    /// Somebody killed the hosts while they started: neither rules nor configuration are the reason.
    package let isDeath: Bool

    init(_ message: String, isDeath: Bool = false) {
        (self.problems, self.notes) = ([], [])
        self.message = message
        self.isDeath = isDeath
    }

    init(_ payload: ArraySlice<UInt8>) throws(ProtocolViolation) {
        let message = try JSONText.message(payload, "the refusal")
        self.problems = try RuleRemark.list(message["problems"], "reason")
        self.notes = try RuleRemark.list(message["notes"], "text")
        self.message = "the rules were refused"
        self.isDeath = false
    }
}
