package import AfterloginEgress
package import AfterloginJSON
package import AfterloginWaiting

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

    package init(user: JSONText, context: JSONText) {
        self.user = user
        self.context = context
    }
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
    /// A rule swallowed a call that failed so: the verdict is kept back, and the chain does not go on.
    case keptBack(KeptBack)
    /// What a rule needs is away: nothing more of this run counts; the state is where the login goes on when it is back.
    case away(Destination)
    /// The rule host had met a failure that this login never called for: run again on another host, without a verdict.
    ///
    /// The destinations are those whose absence the host keeps, as far as the login may wait for one of them.
    case unjudged(taintedBy: [String])
    /// The worker is stopping; the login was not finished.
    case stopped
}

/// A verdict that stands when somebody else's call gets through, or is dropped.
package struct KeptBack: Sendable {
    package enum Verdict: Sendable {
        case completed
        case denied(rule: String, message: String)
        case failed(RuleFailure)
    }

    /// What the rules of this run came to.
    package var verdict: Verdict
    /// The chain after them.
    package var after: ChainState
    /// The chain before the first rule that met a call that failed so: where a dropped verdict goes on.
    package var before: ChainState
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
    /// A call failed so inside, and the rule says that it failed for it: it may be run again.
    package var isRetryable: Bool
    /// `FILE:LINE:COLUMN` of the rule, where it is known.
    package var place: String?

    package init(rule: String, reason: Reason, message: String, isRetryable: Bool, place: String? = nil) {
        self.rule = rule
        self.reason = reason
        self.message = message
        self.isRetryable = isRetryable
        self.place = place
    }
}

/// What the pipeline asks of a chain.
package protocol ChainEvaluator: Sendable {
    /// Runs the rules from `state.next` on.
    ///
    /// On failure the state returned is the one before the failed rule (late writes of earlier rules included), with the
    /// failed rule's report at its end; whoever retries takes that report off and counts `attempt` up.
    func evaluate(_ state: ChainState, for login: EvaluatedLogin) async -> (ChainState, ChainVerdict)
}

/// One login as the chain knows it, beside its state.
package struct EvaluatedLogin: Sendable {
    /// The event's id.
    package var id: String
    /// When it happened, RFC 3339.
    package var time: String
    /// The user's, as the event has it: whatever rules write into `user.user_id`.
    package var userID: String
    /// Whose calls its rules make, and whether anybody still counts them.
    package var scope: CallScope
    /// What it waited for: it begins on a rule host that has not met its failures, where there is one.
    package var waitedFor: Destination?
    /// Something that another login left behind stood in its way: it begins where nothing is kept.
    package var avoidsTaint: Bool
    /// Told of every sign of life, so that a login that merely waits keeps no slot.
    package var activity: LoginActivity

    package init(
        id: String,
        time: String,
        userID: String,
        scope: CallScope,
        waitedFor: Destination? = nil,
        avoidsTaint: Bool = false,
        activity: LoginActivity = LoginActivity()
    ) {
        self.id = id
        self.time = time
        self.userID = userID
        self.scope = scope
        self.waitedFor = waitedFor
        self.avoidsTaint = avoidsTaint
        self.activity = activity
    }
}
