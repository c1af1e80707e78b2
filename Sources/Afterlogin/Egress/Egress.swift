package import HTTPClient

/// One request of a rule on its way out.
package struct EgressCall: Sendable {
    package var rule: String
    package var request: HTTPRequest
    /// The rule's deadline: the call and its retries end by then.
    package var deadline: ContinuousClock.Instant

    package init(rule: String, request: HTTPRequest, deadline: ContinuousClock.Instant) {
        self.rule = rule
        self.request = request
        self.deadline = deadline
    }
}

package enum EgressReply: Sendable {
    case response(HTTPResponse, CallOutcome)
    case failed(HTTPFailure, CallOutcome)
    /// The token endpoint is away: the evaluation is to be cancelled, discarded and run again.
    case outage(any Outage)
}

/// What the retry policy of rules needs to know of a finished call.
package struct CallOutcome: Sendable {
    /// The call failed (no response, 429, 5xx) in a way that another attempt may mend.
    package var failedRetryably = false
    package var retryAfter: Duration?
    package var attempts = 1
    /// Method, host, and what happened; redacted; for `rules[].warnings`.
    package var summary = ""

    package init(
        failedRetryably: Bool = false,
        retryAfter: Duration? = nil,
        attempts: Int = 1,
        summary: String = ""
    ) {
        self.failedRetryably = failedRetryably
        self.retryAfter = retryAfter
        self.attempts = attempts
        self.summary = summary
    }
}

/// The one way out of the worker for rules.
package protocol Egress: Sendable {
    func send(_ call: EgressCall) async -> EgressReply
    /// The same with a bearer token of `tokens` in the configuration.
    func send(_ call: EgressCall, token name: String) async -> EgressReply
    /// The Management API token for `auth0.accessToken`, or an outage.
    func managementToken(deadline: ContinuousClock.Instant) async -> ManagementTokenReply
}

package enum ManagementTokenReply: Sendable {
    case token(String)
    case outage(any Outage)
    case refused(String)
}
