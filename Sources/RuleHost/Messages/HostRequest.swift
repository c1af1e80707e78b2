import AfterloginJSON

/// A header field of a request or a response, as it was written.
package typealias HostHeader = (name: String, value: String)

/// A request that a rule made.
package struct HostRequest: Sendable {
    /// Unique within the evaluation's present run on its host.
    package let number: UInt32
    /// Of what was loaded; one of the evaluation's.
    package let rule: Int
    package let method: String
    package let url: String
    package let headers: [HostHeader]
    /// Until the rule's own deadline: nobody waits for an answer that comes later.
    package var remaining: Duration
    package let body: [UInt8]
    /// Answers it; to be called once; does nothing when the host is gone, or the evaluation was cancelled or has started again.
    package let reply: @Sendable (HostReply) -> Void

    package init(
        number: UInt32,
        rule: Int,
        method: String,
        url: String,
        headers: [HostHeader],
        remaining: Duration,
        body: [UInt8],
        reply: @escaping @Sendable (HostReply) -> Void
    ) {
        self.number = number
        self.rule = rule
        self.method = method
        self.url = url
        self.headers = headers
        self.remaining = remaining
        self.body = body
        self.reply = reply
    }

    /// Takes the rest of a frame, behind the secret.
    init(
        _ frame: inout Frame,
        rules: Range<Int>,
        reply: @escaping @Sendable (UInt32, HostReply) -> Void
    ) throws(ProtocolViolation) {
        let (number, head) = try frame.takeNumberedPart()
        let parts = try JSONText.message(head, "a request").members(["rule", "method", "url", "headers", "remaining"])
        self.rule = try parts[0].rule(of: rules)
        self.method = try parts[1].string("the method")
        self.url = try parts[2].string("the address")
        self.headers = try parts[3].array("the headers").map { pair throws(ProtocolViolation) in
            let field = pair.elements
            guard field.count == 2 else { throw ProtocolViolation("a header is not a pair") }
            return (name: try field[0].string("a header's name"), value: try field[1].string("a header's value"))
        }
        let remaining = try parts[4].integer("the time that remains")
        // A century is as good as any time beyond: sums with it must not overflow.
        guard (0...3_155_760_000_000).contains(remaining) else {
            throw ProtocolViolation("the time that remains is out of range")
        }
        self.remaining = .milliseconds(remaining)
        self.number = number
        self.body = Array(frame.payload)
        self.reply = { reply(number, $0) }
    }
}

extension JSONText {
    fileprivate func string(_ what: String) throws(ProtocolViolation) -> String {
        try JSONText?.some(self).string(what)
    }
}
