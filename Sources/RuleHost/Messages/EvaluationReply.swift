package import AfterloginJSON

/// What a host made of an evaluation.
package struct EvaluationReply: Sendable {
    package enum Outcome: String, Sendable {
        case completed
        case denied
        case error
        case timeout
        case limit
        /// `EvaluationToken` was ended: everything is as before the first incomplete rule.
        case ended
    }

    /// What one rule took.
    package struct RuleTimes: Sendable {
        /// Of what was loaded.
        package let rule: Int
        package let milliseconds: Double
        package let calls: Int
        /// What happened after its callback that it did not see.
        package let late: [String]
    }

    /// What a rule threw, or what the host says in its place.
    package struct RuleError: Sendable {
        package let name: String
        package let message: String
        package let code: String?
        package let stack: String?
    }

    /// Late notes kept per rule.
    private static let maxLate = 10

    package let outcome: Outcome
    /// The rule that ended the run, or the first incomplete one of an ended run; nil when all completed.
    package let rule: Int?
    package let error: RuleError?
    package let rules: [RuleTimes]
    package let writes: RuleWrites
    /// nil: as it was given.
    package let user: JSONText?
    package let context: JSONText?
    /// Where a reply that failed so was told to a rule, or where one failed after calls or writes: before the first of these.
    package let before: Before?

    /// Takes the rest of a frame, behind the secret.
    init(_ frame: inout Frame, rules: Range<Int>) throws(ProtocolViolation) {
        let head = try JSONText.message(try frame.takePart(), "the result").members([
            "outcome", "rule", "error", "rules", "userMetadata", "appMetadata", "unsupported", "before",
        ])
        self.user = try Self.state(try frame.takePart(), "the user")
        self.context = try Self.state(try frame.takePart(), "the context")
        guard let outcome = Outcome(rawValue: try head[0].string("the outcome")) else {
            throw ProtocolViolation("the outcome is unknown")
        }
        self.outcome = outcome
        self.rule = outcome == .completed ? nil : try head[1].rule(of: rules)
        self.error = Self.error(head[2])
        self.rules = try Self.times(head[3], rules)
        self.writes = try RuleWrites(user: head[4], app: head[5], unsupported: head[6])
        let beforeUser = try Self.state(try frame.takePart(), "the user before")
        let beforeContext = try Self.state(frame.payload, "the context before")
        if let before = head[7] {
            self.before = try Before(before, user: beforeUser, context: beforeContext, rules: rules)
        } else {
            self.before = nil
        }
    }

    /// User or context, which become part of a result.
    private static func state(_ bytes: ArraySlice<UInt8>, _ what: String) throws(ProtocolViolation) -> JSONText? {
        bytes.isEmpty ? nil : try JSONText.message(bytes, what)
    }

    private static func error(_ error: JSONText?) -> RuleError? {
        guard let parts = error?.members(["name", "message", "code", "stack"]) else { return nil }
        return RuleError(
            name: parts[0]?.string ?? "Error",
            message: parts[1]?.string ?? "",
            code: parts[2]?.string,
            stack: parts[3]?.string
        )
    }

    private static func times(_ entries: JSONText?, _ rules: Range<Int>) throws(ProtocolViolation) -> [RuleTimes] {
        try entries.array("the rules' times").map { entry throws(ProtocolViolation) in
            let parts = entry.members(["rule", "ms", "calls", "late"])
            guard let milliseconds = parts[1]?.number?.double else { throw ProtocolViolation("a time is not a number") }
            return RuleTimes(
                rule: try parts[0].rule(of: rules),
                milliseconds: milliseconds,
                calls: try parts[2].integer("the number of calls"),
                late: Array(try parts[3].strings("the late notes").prefix(Self.maxLate))
            )
        }
    }
}

/// What rules wrote besides user and context.
package struct RuleWrites: Sendable {
    /// `{"set": {…}, "removed": […]}`; nil where nothing was written.
    package let userMetadata: JSONText?
    package let appMetadata: JSONText?
    /// Login-time effects that can no longer happen: `redirect`, `multifactor`, and changes of what only a login in progress has a use for.
    package let unsupported: [String]

    private static let loginEffects: Set = [
        "redirect", "multifactor", "samlConfiguration", "addonConfiguration", "primaryUser",
    ]

    init(user: JSONText?, app: JSONText?, unsupported: JSONText?) throws(ProtocolViolation) {
        self.userMetadata = try Self.changes(user)
        self.appMetadata = try Self.changes(app)
        self.unsupported = try unsupported.strings("the unsupported effects")
        guard self.unsupported.allSatisfy({ Self.loginEffects.contains($0) }) else {
            throw ProtocolViolation("an unsupported effect is unknown")
        }
    }

    private static func changes(_ changes: JSONText?) throws(ProtocolViolation) -> JSONText? {
        guard let changes else { throw ProtocolViolation("the metadata is missing") }
        let parts = changes.members(["set", "removed"])
        guard let set = parts[0], set.kind == .object else {
            throw ProtocolViolation("the metadata that is set is not an object")
        }
        let removed = try parts[1].strings("the metadata that is removed")
        return set.isEmptyObject && removed.isEmpty ? nil : changes
    }
}

extension EvaluationReply {
    /// What was before the first rule that was told of a failure, its own or one that another login keeps, or else before the one that failed;
    /// who discards what came of it goes on from here.
    package struct Before: Sendable {
        /// Of what was loaded: the rule to go on with.
        package let rule: Int
        /// nil: as it was given.
        package let user: JSONText?
        package let context: JSONText?
        /// Of the rules before it.
        package let writes: RuleWrites
        /// Whether the rule waited for a promise of another login that was rejected after a call of that one was lost.
        package let isBorrowed: Bool

        fileprivate init(
            _ head: JSONText,
            user: JSONText?,
            context: JSONText?,
            rules: Range<Int>
        ) throws(ProtocolViolation) {
            let parts = head.members(["rule", "userMetadata", "appMetadata", "unsupported", "borrowed"])
            self.isBorrowed = parts[4]?.bool == true
            self.rule = try parts[0].rule(of: rules)
            self.writes = try RuleWrites(user: parts[1], app: parts[2], unsupported: parts[3])
            self.user = user
            self.context = context
        }
    }
}
