package import AfterloginJSON
import AfterloginSystem

/// One evaluation of a run of neighbouring rules.
package struct Evaluation: Sendable {
    /// Of what was loaded.
    package var rules: Range<Int>
    /// For each rule.
    package var timeout: Duration
    /// `auth0.accessToken`, where a rule reads it.
    package var accessToken: String?
    /// The login's own, where `user` says another: an earlier rule has changed it.
    package var userID: String?
    package var user: JSONText
    package var context: JSONText
    /// The worker's own backstop for the whole run.
    package var deadline: Duration

    package init(
        rules: Range<Int>,
        timeout: Duration,
        accessToken: String? = nil,
        userID: String? = nil,
        user: JSONText,
        context: JSONText,
        deadline: Duration
    ) {
        self.rules = rules
        self.timeout = timeout
        self.accessToken = accessToken
        self.userID = userID
        self.user = user
        self.context = context
        self.deadline = deadline
    }

    func append(to writer: inout FrameWriter, alone: Bool, number: UInt32, secret: EvaluationSecret) {
        var head = JSONWriter()
        head.beginObject()
        head.member("from", self.rules.lowerBound)
        head.member("to", self.rules.upperBound)
        head.member("timeout", self.timeout.wholeMilliseconds)
        if let accessToken = self.accessToken {
            head.member("accessToken", accessToken)
        }
        if let userID = self.userID {
            head.member("userId", userID)
        }
        head.endObject()
        writer.append(
            alone ? .evaluateAlone : .evaluate,
            number,
            .secret(secret),
            .part(head.bytes[...]),
            .part(self.user.bytes),
            .bytes(self.context.bytes)
        )
    }
}
