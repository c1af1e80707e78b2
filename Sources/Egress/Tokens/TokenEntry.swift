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
    }

    /// Nobody gets a token with less than this left: it would end on its way.
    ///
    /// Of a token with a short life, a quarter.
    static let skew = Duration.seconds(60)
    /// A new one is fetched in the background after this share of the life, and up to a tenth of it later.
    static let refreshShare = 0.75
    /// Between attempts to refresh a token that is still good.
    static let refreshBackoff = Backoff(base: .seconds(1), cap: .seconds(30))
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
    /// The next attempt to refresh a token that is still good.
    private var nextRefresh: ContinuousClock.Instant?
    /// Renewals that a 401 forced, since a token last came in the ordinary way.
    private var renewals = 0
    private var nextRenewal: ContinuousClock.Instant?

    mutating func asked(_ now: ContinuousClock.Instant) -> Decision {
        if let token = self.token, now < self.usableUntil {
            guard now >= self.refreshes, !self.isFetching, now >= self.nextRefresh ?? now else {
                return .use(token, expires: self.expires)
            }
            self.isFetching = true
            return .useAndRefresh(token, expires: self.expires)
        }
        if self.isFetching { return .join }
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
        (self.failures, self.lastError, self.nextRefresh) = (0, nil, nil)
    }

    /// The endpoint gave no token, for whatever reason.
    mutating func failed(_ reason: String, now: ContinuousClock.Instant, fraction: Double) {
        self.isFetching = false
        self.failures += 1
        self.lastError = reason
        let pause = max(.milliseconds(50), Self.refreshBackoff.delay(failures: self.failures, fraction: fraction))
        self.nextRefresh = now + pause
    }

    /// The endpoint is not to be asked now.
    mutating func postponed() { self.isFetching = false }

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

    /// The token, where it may still be used.
    func stillGood(_ now: ContinuousClock.Instant) -> (token: String, expires: ContinuousClock.Instant)? {
        self.token.flatMap { now < self.usableUntil ? ($0, self.expires) : nil }
    }

    /// The token, where it may be used and nobody need fetch another.
    func fresh(_ now: ContinuousClock.Instant) -> (token: String, expires: ContinuousClock.Instant)? {
        now < self.refreshes ? self.stillGood(now) : nil
    }

    func remaining(_ now: ContinuousClock.Instant) -> Duration? {
        self.token == nil ? nil : max(.zero, self.expires - now)
    }
}
