/// What is wrong with an endpoint.
///
/// Shares are of all requests, in 0 ... 1. Errors, hangs and resets do not do what was asked for.
package struct Fault: Sendable, Hashable {
    /// Every request waits that long before its answer.
    package var delay: Delay?
    package var errorShare = 0.0
    package var errorStatus = 503
    /// Seconds, with every error.
    package var retryAfter: Int?
    /// Requests that never get an answer.
    package var hangShare = 0.0
    /// Connections that are reset without an answer.
    package var resetShare = 0.0
    /// Every connection is reset. (`SandboxServer.refuse` closes the whole port.)
    package var isOutage = false

    package init() {}

    /// An endpoint that only takes its time.
    package static func slow(_ delay: Delay) -> Fault {
        var fault = Fault()
        fault.delay = delay
        return fault
    }

    /// An endpoint that answers with an error, always or sometimes.
    package static func failing(_ status: Int, share: Double = 1, retryAfter: Int? = nil) -> Fault {
        var fault = Fault()
        fault.errorShare = share
        fault.errorStatus = status
        fault.retryAfter = retryAfter
        return fault
    }

    /// An endpoint that cannot be reached.
    package static var outage: Fault {
        var fault = Fault()
        fault.isOutage = true
        return fault
    }
}
