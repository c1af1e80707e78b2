/// One grant's token, and when it is fetched.
///
/// Pure: the time is given, and every event is a method.
struct TokenEntry: Sendable {
    enum Decision: Equatable {
        case use(String, expires: ContinuousClock.Instant)
        /// The same, and one caller is to fetch a new one in the background.
        case useAndRefresh(String, expires: ContinuousClock.Instant)
        /// Start the fetch that all callers wait for.
        case fetch
        /// Wait for the fetch that is under way.
        case join
        /// The endpoint is away.
        case wait(until: ContinuousClock.Instant, reason: String)
    }

    /// Nobody gets a token with less than this left: it would end on its way.
    ///
    /// Of a token with a short life, a quarter.
    static let skew = Duration.seconds(60)
    /// A new one is fetched in the background after this share of the life, and up to a tenth of it later.
    static let refreshShare = 0.75
    /// Attempts while the endpoint is away; the waits of logins end with them.
    static let backoff = Backoff(base: .milliseconds(200), cap: .seconds(5))
    /// Between attempts after a refusal: someone has to change something first.
    static let refusalBackoff = Backoff(base: .seconds(30), cap: .seconds(300))
    static let longestRetryAfter = Duration.seconds(3_600)
    /// Between renewals that a 401 forces: an API that refuses whatever token it is shown must not cost one for each call.
    static let renewalBackoff = Backoff(base: .seconds(5), cap: .seconds(600))

    private var token: String?
    private var expires = ContinuousClock.now
    private var refreshes = ContinuousClock.now
    private var usableUntil = ContinuousClock.now
    private(set) var isFetching = false
    private(set) var fetches = 0
    private(set) var failures = 0
    private(set) var lastError: String?
    private(set) var awaySince: ContinuousClock.Instant?
    private(set) var isRefused = false
    private var nextAttempt: ContinuousClock.Instant?
    /// Renewals that a 401 forced, since a token last came in the ordinary way.
    private var renewals = 0
    private var nextRenewal: ContinuousClock.Instant?

    mutating func asked(_ now: ContinuousClock.Instant) -> Decision {
        if let token = self.token, now < self.usableUntil {
            guard now >= self.refreshes, !self.isFetching, now >= self.nextAttempt ?? now else {
                return .use(token, expires: self.expires)
            }
            self.isFetching = true
            return .useAndRefresh(token, expires: self.expires)
        }
        if self.isFetching { return .join }
        if let next = self.nextAttempt, now < next { return .wait(until: next, reason: self.lastError ?? "") }
        self.isFetching = true
        return .fetch
    }

    mutating func fetched(_ token: String, life: Duration, now: ContinuousClock.Instant, fraction: Double) {
        // One that was not taken away by a 401 lived to its refresh.
        if self.token != nil { self.renewals = 0 }
        self.token = token
        self.expires = now + life
        self.usableUntil = now + life - min(Self.skew, life / 4)
        self.refreshes = now + life * (Self.refreshShare + 0.1 * fraction)
        self.isFetching = false
        self.fetches += 1
        (self.failures, self.lastError, self.awaySince, self.isRefused, self.nextAttempt) = (0, nil, nil, false, nil)
    }

    /// The endpoint could not be reached, or answered 429 or 5xx.
    mutating func failed(_ reason: String, retryAfter: Duration?, now: ContinuousClock.Instant, fraction: Double) {
        self.isFetching = false
        self.failures += 1
        self.lastError = reason
        self.awaySince = self.awaySince ?? now
        let pause = max(.milliseconds(50), Self.backoff.delay(failures: self.failures, fraction: fraction))
        self.nextAttempt = now + max(pause, min(retryAfter ?? .zero, Self.longestRetryAfter))
    }

    /// The endpoint said no: a configuration error, here or there.
    ///
    /// True when this is news.
    mutating func refused(_ reason: String, waits: Bool, now: ContinuousClock.Instant, fraction: Double) -> Bool {
        defer { self.isRefused = true }
        self.isFetching = false
        self.failures += 1
        self.lastError = reason
        if waits {
            self.awaySince = self.awaySince ?? now
            self.nextAttempt = now + Self.refusalBackoff.ceiling(failures: self.failures) * (0.5 + fraction / 2)
        }
        return !self.isRefused
    }

    /// An API answered 401 to this token.
    ///
    /// False when it is another one by now, or when new ones have been refused as well.
    mutating func rejected(_ token: String, now: ContinuousClock.Instant) -> Bool {
        guard self.token == token, now >= self.nextRenewal ?? now else { return false }
        self.token = nil
        self.renewals += 1
        self.nextRenewal = now + Self.renewalBackoff.ceiling(failures: self.renewals)
        return true
    }

    var holdsToken: Bool { self.token != nil }
    func remaining(_ now: ContinuousClock.Instant) -> Duration? {
        self.token == nil ? nil : max(.zero, self.expires - now)
    }
}
