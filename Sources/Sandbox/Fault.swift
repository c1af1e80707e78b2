/// What is wrong with an endpoint.
///
/// Shares are of all requests, in 0 ... 1. Errors, hangs and resets do not do what was asked for; a truncated answer has.
package struct Fault: Sendable, Hashable {
    /// What becomes of connections, before there is any request: of a port as a whole.
    package enum Connection: String, Sendable, CaseIterable {
        /// Nobody listens, and all connections end.
        case refused
        /// No connection is ever made, and what is asked on those that are there is never answered.
        case blackhole
        /// The certificate has expired.
        case expired
    }

    /// So many requests a second.
    package struct Bucket: Sendable, Hashable {
        /// What an empty bucket says in `Retry-After`.
        package enum Hint: Sendable, Hashable {
            /// Whole seconds until the next request is allowed.
            case untilRefilled
            case seconds(Int)
            case none
        }

        package var capacity: Int
        package var rate: Double
        package var status = 429
        package var hint = Hint.untilRefilled

        package init(capacity: Int, rate: Double) {
            self.capacity = capacity
            self.rate = rate
        }
    }

    /// Every request waits that long before its answer.
    package var delay: Delay?
    package var errorShare = 0.0
    package var errorStatus = 503
    /// Seconds, with every error.
    package var retryAfter: Int?
    /// Requests that are read and never get an answer.
    package var hangShare = 0.0
    /// Connections that are reset without an answer.
    package var resetShare = 0.0
    /// Answers that announce their length and end after half of it.
    package var truncateShare = 0.0
    /// Every connection is reset at its request. (`.refused` closes the whole port.)
    package var isOutage = false
    package var bucket: Bucket?
    /// Answers have so many bytes at least, the rest in blanks.
    package var size = 0
    package var connection: Connection?

    package init() {}

    /// Whether there is anything that a request meets.
    package var concernsRequests: Bool {
        var other = Fault()
        other.connection = self.connection
        return self != other
    }

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
