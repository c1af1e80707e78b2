import AfterloginJSON

/// A line that a rule printed: bounded by the host, not yet redacted.
package struct ConsoleLine: Sendable, Equatable {
    /// The method of `console`.
    package enum Level: String, Sendable { case log, info, debug, warn, error }

    /// Of what was loaded; nil where no rule is known.
    package let rule: Int?
    package let level: Level
    package let text: String

    init(_ payload: ArraySlice<UInt8>) throws(ProtocolViolation) {
        let parts = try JSONText.message(payload, "a line").members(["rule", "level", "text"])
        self.rule = try parts[0].ruleIfKnown()
        guard let level = Level(rawValue: try parts[1].string("the level")) else {
            throw ProtocolViolation("the level of a line is unknown")
        }
        self.level = level
        self.text = try parts[2].string("the text of a line")
    }
}
