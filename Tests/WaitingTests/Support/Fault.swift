import AfterloginWaiting

/// What can be wrong with an API, as the far end of a `SimulatedWorker` shows it.
enum Fault: String, Sendable, CaseIterable {
    case refused
    case noName
    case certificate
    case reset
    case truncated
    case blackHole
    case hang
    case slow
    case slowForTheLibrary
    case error500
    case error503
    case error503RetryAfter
    case error429
    case error429RetryAfter

    /// `egress.timeout` in seconds.
    static let timeout = 10.0
    /// What `Retry-After` says, in seconds.
    static let retryAfter = 3.0

    /// What a call that is made meanwhile comes to.
    var reply: SimulatedWorker.Reply {
        switch self {
        case .refused: .init(ending: .of(.connectionRefused), seconds: 0.001)
        case .noName: .init(ending: .of(.nameNotFound), seconds: 0.005)
        case .certificate: .init(ending: .of(.certificate), seconds: 0.01)
        case .reset: .init(ending: .of(.connectionReset), seconds: 0.005)
        case .truncated: .init(ending: .of(.truncated), seconds: 0.01)
        case .blackHole: .init(ending: .of(.connectTimeout), seconds: Self.timeout)
        case .hang: .init(ending: .of(.timeout), seconds: Self.timeout)
        case .slow, .slowForTheLibrary: .init(ending: .gotThrough, seconds: 8)
        case .error500: .init(ending: .of(status: 500, retryAfter: nil), seconds: 0.01)
        case .error503: .init(ending: .of(status: 503, retryAfter: nil), seconds: 0.01)
        case .error503RetryAfter: .init(ending: .of(status: 503, retryAfter: .seconds(Self.retryAfter)), seconds: 0.01)
        case .error429: .init(ending: .of(status: 429, retryAfter: nil), seconds: 0.01)
        case .error429RetryAfter: .init(ending: .of(status: 429, retryAfter: .seconds(Self.retryAfter)), seconds: 0.01)
        }
    }

    /// The same at the token endpoint.
    var tokenReply: SimulatedWorker.Reply {
        guard self == .error500 else { return self.reply }
        return .init(ending: .of(status: 500, retryAfter: nil, hasToken: false), seconds: 0.01)
    }

    /// How long a library waits for an answer.
    var libraryTimeout: Double { self == .slowForTheLibrary ? 5 : .infinity }

    /// When the first result is due after the end, in seconds.
    var firstResult: Double {
        switch self {
        case .blackHole, .hang: 10 + Self.timeout
        case .error503RetryAfter, .error429RetryAfter: 10 + Self.retryAfter
        case .refused, .noName, .certificate, .reset, .truncated, .slow, .slowForTheLibrary, .error500, .error503,
            .error429:
            10
        }
    }
}
