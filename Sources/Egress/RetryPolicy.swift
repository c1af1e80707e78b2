import AfterloginHTTPMessages
import AfterloginWaiting

/// Whether a call is made again inside of the call: what may be repeated, and what says that it may help.
///
/// Pace (429, 503 with `Retry-After`) is not its business: what was told to come later was not done, and is sent again in any case.
struct RetryPolicy: Sendable {
    enum Decision: Equatable {
        case giveUp
        case retry(after: Duration)
    }

    var attempts: Int
    var backoff: Backoff

    /// RFC 9110, 9.2.1: the client asks for no change by these.
    static func isSafe(_ method: String) -> Bool { ["GET", "HEAD", "OPTIONS", "TRACE"].contains(method.uppercased()) }

    func decide(
        _ result: Result<HTTPResponse, HTTPFailure>,
        _ ending: CallEnding,
        method: String,
        attempt: Int,
        remaining: Duration,
        fraction: @autoclosure () -> Double
    ) -> Decision {
        guard attempt < self.attempts, self.mayRepeat(result, ending, method: method) else { return .giveUp }
        let pause = self.backoff.delay(failures: attempt, fraction: fraction())
        // A wait that the deadline cuts off would only make the failure later.
        return pause < remaining ? .retry(after: pause) : .giveUp
    }

    private func mayRepeat(
        _ result: Result<HTTPResponse, HTTPFailure>,
        _ ending: CallEnding,
        method: String
    ) -> Bool {
        switch (ending.failure, result) {
        case (.application, _), (nil, _): false
        case (.answer, .success), (.connection, .success): Self.isSafe(method)
        case (.answer, .failure(let failure)), (.connection, .failure(let failure)):
            failure.kind != .certificate && failure.kind != .addressRefused
                && (Self.isSafe(method) || !failure.sentBytes)
        }
    }
}
