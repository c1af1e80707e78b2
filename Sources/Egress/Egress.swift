package import AfterloginHTTPMessages
package import AfterloginWaiting

/// One request of a rule on its way out.
package struct EgressCall: Sendable {
    package var rule: String
    package var request: HTTPRequest
    /// The rule's deadline: the call and its retries end by then.
    package var deadline: ContinuousClock.Instant
    /// Whose run it belongs to; nil where nobody judges it (`doctor`).
    package var scope: CallScope?

    package init(
        rule: String,
        request: HTTPRequest,
        deadline: ContinuousClock.Instant,
        scope: CallScope? = nil
    ) {
        self.rule = rule
        self.request = request
        self.deadline = deadline
        self.scope = scope
    }
}

package enum EgressReply: Sendable {
    case response(HTTPResponse, CallOutcome)
    case failed(HTTPFailure, CallOutcome)
    /// What it needs is away: the evaluation is to be ended, and its login waits for that.
    case away(Destination)
}

extension EgressReply {
    /// Of one that was answered.
    package var route: Route? {
        switch self {
        case .response(_, let outcome), .failed(_, let outcome): outcome.route
        case .away: nil
        }
    }
}

/// What reports and verdicts need to know of a call that was answered.
package struct CallOutcome: Sendable {
    /// It failed in a way that another run may mend, and was told: the login is judged by who else gets through.
    package var failedSo = false
    /// Where it failed, also where that is forgiven.
    package var failedAt: Destination?
    /// What it went to; nil where it went nowhere.
    package var route: Route?
    package var attempts = 1
    /// Method, host, and what happened; redacted; for `rules[].warnings`.
    package var summary = ""

    package init(
        failedSo: Bool = false,
        failedAt: Destination? = nil,
        route: Route? = nil,
        attempts: Int = 1,
        summary: String = ""
    ) {
        self.failedSo = failedSo
        self.route = route
        self.failedAt = failedAt
        self.attempts = attempts
        self.summary = summary
    }
}

/// The one way out of the worker for rules.
package protocol Egress: Sendable {
    func send(_ call: EgressCall) async -> EgressReply
    /// The same with a bearer token of `tokens` in the configuration.
    func send(_ call: EgressCall, token name: String) async -> EgressReply
    /// The reply where it is known already: a token that is cached; nil where the call has to be sent.
    ///
    /// Waits for nobody.
    func reply(to call: EgressCall) -> EgressReply?
    /// What answers that call; nil where it does not leave.
    func place(of call: EgressCall) -> Destination?
    /// The Management API token for `auth0.accessToken`, or why there is none.
    func managementToken() async -> ManagementTokenReply
    /// Where rules may connect to, as `LoadMessage.reach`.
    var reach: [String]? { get }
}

extension Egress {
    /// Of one that knows no reply before it has sent.
    package func reply(to call: EgressCall) -> EgressReply? { nil }
    /// Of one that sends nothing.
    package func place(of call: EgressCall) -> Destination? { nil }
    /// Of one that judges each call by itself.
    package var reach: [String]? { nil }
}

package enum ManagementTokenReply: Sendable {
    case token(String)
    case away(Destination)
    case refused(String)
}
