package enum EvaluationOutcome: Sendable {
    case done(EvaluationReply, HostCondition)
    /// By `end`; the reply has what was before the first incomplete rule. nil: nothing of it counts, since it had not begun, or its host died.
    case ended(EvaluationReply?)
    /// This evaluation was the culprit of its host's death, or missed the backstop.
    case killed(Kill)
    case cancelled
    /// The pool is shutting down; the login is to be run again elsewhere.
    case stopped

    package struct Kill: Sendable, Hashable {
        package enum Reason: String, Sendable { case limit, crashed, timeout }
        package var reason: Reason
        package var message: String
        /// Index of the rule in the loaded chain where it is known.
        package var rule: Int?

        package init(reason: Reason, message: String, rule: Int? = nil) {
            self.reason = reason
            self.message = message
            self.rule = rule
        }
    }
}

/// The host on which an evaluation was done: a failure without a call of its own may be somebody else's, kept there.
package struct HostCondition: Sendable, Equatable {
    /// A destination had tainted it at some time of the evaluation.
    package var isTainted: Bool
    /// By which destinations it is tainted now.
    package var taintedBy: [String]
}
