/// What one call came to: a case for each row of the table in "Waiting for the world".
///
/// The repeats inside one call are no calls of their own.
package enum CallEnding: Sendable, Hashable {
    /// Any answer that is not named below, other 4xx too.
    case gotThrough
    /// (a): no name, no connection, TLS, certificate.
    case failedToConnect(CallFailure)
    /// (b): reset, truncated, time-out, 408, 502, 503, 504, 520 to 530; of a token endpoint any 5xx.
    ///
    /// Nil where a status says so: then an answer came, and the connection is well.
    case failedToAnswer(CallFailure?)
    /// (c): 500, which an application says of one user's data as of its own outage.
    case serverError
    /// 429, or 503 with `Retry-After`: nothing was done.
    case pace(retryAfter: Duration?)
    /// A token endpoint answered without a token.
    case tokenRefused
    /// Its rule gave it up, this long after it was sent, unanswered.
    case givenUpUnanswered(after: Duration)
    /// Given up, by whomever, while it waited for pace, limit or bytes.
    case givenUpUnsent
    /// The worker ended its evaluation for reasons of its own, or it never left: nothing was learned.
    case undecided

    /// What this answer's status says.
    ///
    /// `retryAfter` is what the answer asks for, nil where it says nothing; `hasToken` says of a token endpoint's answer
    /// whether it brought one, and is nil of any other call.
    package static func of(status: Int, retryAfter: Duration?, hasToken: Bool? = nil) -> CallEnding {
        switch status {
        case 429: .pace(retryAfter: retryAfter)
        case 503 where retryAfter != nil: .pace(retryAfter: retryAfter)
        case 408, 502, 503, 504, 520...530: .failedToAnswer(nil)
        case 500...599 where hasToken != nil: .failedToAnswer(nil)
        case 500: .serverError
        case _ where hasToken == false: .tokenRefused
        case _: .gotThrough
        }
    }

    /// What a call without an answer came to.
    package static func of(_ failure: CallFailure) -> CallEnding {
        switch failure {
        case .nameNotFound, .connectionRefused, .connectTimeout, .connectFailed, .tls, .certificate:
            .failedToConnect(failure)
        case .timeout, .connectionReset, .truncated, .badResponse, .other: .failedToAnswer(failure)
        case .responseTooLarge: .gotThrough
        case .invalidRequest: .undecided
        }
    }

    /// How a call failed, by the letters of the table.
    package enum Failure: Sendable, Hashable {
        /// (a)
        case connection
        /// (b)
        case answer
        /// (c)
        case application
    }

    /// How this call failed so; nil where it did not.
    package var failure: Failure? {
        switch self {
        case .failedToConnect: .connection
        case .failedToAnswer: .answer
        case .givenUpUnanswered(let time): time >= .seconds(1) ? .answer : nil
        case .serverError: .application
        case .gotThrough, .pace, .tokenRefused, .givenUpUnsent, .undecided: nil
        }
    }

    /// Whether an answer came, whatever it says: then it is not the connection that is away.
    package var reachedServer: Bool {
        switch self {
        case .gotThrough, .serverError, .pace, .tokenRefused: true
        case .failedToAnswer(let failure): failure == nil
        case .failedToConnect, .givenUpUnanswered, .givenUpUnsent, .undecided: false
        }
    }
}
