/// An evaluation on its way; owned by the thread of the pool once it is sent.
final class HostJob: @unchecked Sendable {
    let evaluation: Evaluation
    let token: EvaluationToken
    let client: any EvaluationClient
    /// It begins on a host that nothing has tainted, where there is one.
    let avoidsTaint: Bool
    private let continuation: CheckedContinuation<EvaluationOutcome, Never>
    /// When the pool gives it up by itself; counted from its start on a host.
    var deadline = ContinuousClock.now
    /// Where it runs, and as what.
    private(set) var host: Host?
    private(set) var number: UInt32 = 0
    private(set) var secret = EvaluationSecret(bytes: (0, 0))
    /// The host names its rules before they run, so that a death has a rule.
    private(set) var isAlone = false
    /// Deaths of hosts after which it ran again as innocent.
    var pardons = 0
    /// It is to be ended: `end` was sent, the answer is on its way.
    private(set) var ending: Ending?
    /// Its host was tainted at some time while it ran.
    var sawTaint = false

    /// It has made a request on this host.
    var hasAsked = false

    struct Ending {
        /// nil where it waits for a promise that will never come.
        var destination: String?
    }

    init(
        _ evaluation: Evaluation,
        token: EvaluationToken,
        client: any EvaluationClient,
        avoidsTaint: Bool,
        continuation: CheckedContinuation<EvaluationOutcome, Never>
    ) {
        self.evaluation = evaluation
        self.token = token
        self.client = client
        self.avoidsTaint = avoidsTaint
        self.continuation = continuation
    }

    func began(on host: Host, as number: UInt32, alone: Bool, secret: EvaluationSecret) {
        self.host = host
        self.number = number
        self.isAlone = alone
        self.secret = secret
        self.sawTaint = false
        self.hasAsked = false
        self.token.job = self
        self.token.host = host.number
    }

    /// False where it was ended before.
    func end(for destination: String?) -> Bool {
        guard self.ending == nil else { return false }
        self.ending = Ending(destination: destination)
        return true
    }

    /// Its host is dead, and it runs again.
    func restart() {
        self.host = nil
        self.token.restarted()
        self.client.restarted()
    }

    /// To be called once.
    func finish(_ outcome: EvaluationOutcome) {
        self.token.job = nil
        self.host = nil
        self.continuation.resume(returning: outcome)
    }
}
