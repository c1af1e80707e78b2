import HTTPClient

/// Whether a call is made again inside of the call: what may be repeated, and what says that it may help.
struct RetryPolicy: Sendable {
    enum Decision: Equatable {
        case giveUp
        case retry(after: Duration)
    }

    var attempts: Int
    var backoff: Backoff
    /// A server may ask for hours; a call waits less, and the login carries the rest.
    static let longestRetryAfter = Duration.seconds(60)

    /// RFC 9110, 9.2.1: the client asks for no change by these.
    static func isSafe(_ method: String) -> Bool { ["GET", "HEAD", "OPTIONS", "TRACE"].contains(method.uppercased()) }

    /// Another attempt may mend it, of this call or of the rule.
    static func isRetryable(_ failure: HTTPFailure) -> Bool {
        switch failure.kind {
        case .nameNotFound, .connectionRefused, .connectTimeout, .timeout, .connectionReset, .badResponse, .tls, .other:
            true
        case .invalidRequest, .addressRefused, .certificate, .responseTooLarge, .headersTooLarge, .cancelled: false
        }
    }

    static func isRetryable(status: Int) -> Bool { status == 429 || status == 408 || (status >= 500 && status != 501) }

    func decide(
        _ result: Result<HTTPResponse, HTTPFailure>,
        method: String,
        attempt: Int,
        retryAfter: Duration?,
        remaining: Duration,
        fraction: Double
    ) -> Decision {
        guard attempt < self.attempts, self.mayRepeat(result, method: method, retryAfter: retryAfter) else {
            return .giveUp
        }
        let pause = max(self.backoff.delay(failures: attempt, fraction: fraction), retryAfter ?? .zero)
        // A wait that the deadline cuts off would only make the failure later.
        guard pause <= Self.longestRetryAfter, pause < remaining else { return .giveUp }
        return .retry(after: pause)
    }

    private func mayRepeat(_ result: Result<HTTPResponse, HTTPFailure>, method: String, retryAfter: Duration?) -> Bool {
        switch result {
        case .success(let response):
            switch response.status {
            case 429: true
            case 503: Self.isSafe(method) || retryAfter != nil
            case 502, 504: Self.isSafe(method)
            default: false
            }
        case .failure(let failure): Self.isRetryable(failure) && (Self.isSafe(method) || !failure.sentBytes)
        }
    }
}
