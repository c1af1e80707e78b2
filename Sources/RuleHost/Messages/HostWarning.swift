import AfterloginJSON

/// What a host finds odd about a rule: bounded by the host, not yet redacted.
package struct HostWarning: Sendable, Equatable {
    /// Of what was loaded; nil where no rule is known.
    package let rule: Int?
    /// `second-callback`.
    package let kind: String
    package let text: String

    init(_ payload: ArraySlice<UInt8>) throws(ProtocolViolation) {
        let parts = try JSONText.message(payload, "a warning").members(["rule", "kind", "text"])
        self.rule = try parts[0].ruleIfKnown()
        self.kind = try parts[1].string("the kind of a warning")
        self.text = try parts[2].string("the text of a warning")
    }
}
