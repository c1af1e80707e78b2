/// Why a call got no answer.
package enum CallFailure: Sendable, Hashable, CaseIterable {
    /// The host's name does not exist, or nobody could be asked.
    case nameNotFound
    case connectionRefused
    /// No connection within its time: a black hole.
    case connectTimeout
    /// Connecting failed otherwise: no route, no descriptor, an address that is not allowed behind an allowed name.
    case connectFailed
    /// The handshake failed.
    case tls
    /// The server's certificate is not trusted, or has expired.
    case certificate
    /// No answer within the time of one attempt.
    case timeout
    case connectionReset
    /// The answer ended before its end.
    case truncated
    /// What came is not HTTP.
    case badResponse
    /// An answer came that is larger than what is taken.
    case responseTooLarge
    /// Nothing left the worker: an address or a method that cannot be sent.
    case invalidRequest
    case other
}
