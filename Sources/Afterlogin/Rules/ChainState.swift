package import JSON

/// The chain as far as one login has come; a retry starts here.
package struct ChainState: Sendable {
    /// Index of the next rule.
    package var next = 0
    /// The number of the coming attempt of that rule, from 1.
    package var attempt = 1
    package var user: JSONText
    package var context: JSONText
    package var metadata = MetadataChanges()
    /// Of the rules that are complete, in order; on a denial or failure the last one is the rule that ended the chain.
    package var reports: [RuleReport] = []
    /// Login-time effects that can no longer happen: `redirect`, `multifactor`.
    package var unsupported: [String] = []
    /// The destination that this login waited for: it begins where nothing is kept of its absence.
    package var waitingFor: String?
    /// Something that another login left behind stood in its way: it begins where nothing is kept.
    package var avoidsTaint = false
    /// Where a rule was told of a call that failed: who discards what came of it goes on from here.
    package var before: ChainStateBefore?

    package init(user: JSONText, context: JSONText) {
        self.user = user
        self.context = context
    }
}

/// The chain before the first rule that was told of a call that failed in a way that more luck may mend.
package struct ChainStateBefore: Sendable {
    /// Index of that rule.
    package var next: Int
    /// The number of its attempt, from 1.
    package var attempt: Int
    package var user: JSONText
    package var context: JSONText
    /// Of the rules before it.
    package var metadata: MetadataChanges
    package var reports: [RuleReport]
    package var unsupported: [String]
}

/// What one rule did for one login.
package struct RuleReport: Sendable {
    package enum Outcome: String, Sendable, CaseIterable { case completed, denied, failed }
    package var name: String
    package var outcome: Outcome
    package var milliseconds: Double
    /// HTTP calls that it made, in this attempt.
    package var calls: Int
    package var attempts: Int
    /// Calls that failed after the callback and the like; redacted.
    package var warnings: [String] = []
}

/// How a run of the chain over one login ended.
package enum ChainVerdict: Sendable {
    case completed
    case denied(rule: String, message: String)
    case failed(RuleFailure)
    /// The token endpoint or an API was away: nothing of this run counts; run again when it is back.
    case outage(any Outage)
    /// The worker is stopping; the login was not finished.
    case stopped
}

package struct RuleFailure: Sendable {
    /// The header `afterlogin-reason`.
    package enum Reason: String, Sendable {
        case ruleError = "rule-error"
        case ruleTimeout = "rule-timeout"
        case limit
        case crashed
    }
    package var rule: String
    package var reason: Reason
    /// Bounded and redacted.
    package var message: String
    /// A retryable call failed inside: the rule may be run again.
    package var isRetryable: Bool
    /// From `Retry-After` of the call that failed, where it had one.
    package var retryAfter: Duration?
}

/// Something that work waits for without burning attempts.
package protocol Outage: Sendable {
    /// For logs and `/status`: "token endpoint https://… answers 503".
    var reason: String { get }
    /// Returns when it is over (or at cancellation).
    func waitUntilOver() async
}

/// What the pipeline asks of a chain.
package protocol ChainEvaluator: Sendable {
    /// Runs the rules from `state.next` on.
    ///
    /// On failure the state returned is the one before the failed rule (late writes of earlier rules included), with the
    /// failed rule's report at its end; whoever retries takes that report off and counts `attempt` up.
    func evaluate(_ state: ChainState, id: String, time: String) async -> (ChainState, ChainVerdict)
}
