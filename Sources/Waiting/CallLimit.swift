/// How many calls may be in flight to one destination, and until when none is sent.
///
/// As TCP's congestion control: at the return from an outage 1, and 1 more with each success; a pause (429) halves it
/// once, and from there it grows by 1 for each full round of successes. Where nothing gets through between two pauses
/// the second makes it 1, or each end of a pause would send the whole half again.
package struct CallLimit: Sendable {
    /// Calls that may be in flight.
    package private(set) var limit: Int
    /// Calls in flight that count: those of before the return don't.
    package private(set) var inFlight = 0
    /// All of them.
    package private(set) var total = 0
    /// Nothing is sent before.
    package private(set) var pausedUntil: ContinuousClock.Instant?
    /// Counts returns.
    package private(set) var generation = 0

    /// Above it a full round of successes is needed for 1 more.
    private var threshold: Int
    private var roundSuccesses = 0
    private var pauses = 0
    private var latestPause: ContinuousClock.Instant?

    package init(_ settings: WaitingSettings) {
        self.limit = settings.perHost
        self.threshold = settings.perHost
    }

    /// Whether one more call may be sent as far as calls in flight say.
    ///
    /// `cap` is what is allowed at most, where others share the host.
    package func hasRoom(cap: Int) -> Bool { self.inFlight < min(self.limit, cap) && self.total < cap }

    /// Whether something got through since the last pause, or there was none.
    package var isProven: Bool { self.pauses == 0 }

    /// The end of the pause; nil where there is none.
    package func pauseEnd(now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        guard let end = self.pausedUntil, end > now else { return nil }
        return end
    }

    /// A call was sent; the generation it belongs to.
    package mutating func began() -> Int {
        self.inFlight += 1
        self.total += 1
        return self.generation
    }

    /// A call that was sent has ended, however.
    package mutating func ended(generation: Int) {
        self.total -= 1
        if generation == self.generation { self.inFlight -= 1 }
    }

    /// A call got through; whether the limit is another.
    package mutating func gotThrough(_ settings: WaitingSettings) -> Bool {
        self.pauses = 0
        guard self.limit < settings.perHost else { return false }
        self.roundSuccesses += 1
        guard self.limit < self.threshold || self.roundSuccesses >= self.limit else { return false }
        self.limit += 1
        self.roundSuccesses = 0
        return true
    }

    /// The destination is back: 1 call, of those sent from now on.
    package mutating func returned(_ settings: WaitingSettings) {
        self.generation += 1
        self.inFlight = 0
        self.limit = 1
        self.threshold = settings.perHost
        self.roundSuccesses = 0
        self.pauses = 0
        self.pausedUntil = nil
    }

    /// A call was answered with 429; the end of the pause where that is new.
    ///
    /// Answers to calls that were sent before the pause lengthen it at most: they all say the same.
    ///
    /// `begun` is when the call was sent, `cap` the longest `Retry-After` that is kept; `fraction` is random, even in
    /// `0..<1`, and spreads what several workers do: a pause without `Retry-After` is between half and all of 1 s,
    /// 2 s, 4 s, 8 s.
    package mutating func paced(
        begun: ContinuousClock.Instant,
        now: ContinuousClock.Instant,
        retryAfter: Duration?,
        cap: Duration,
        fraction: @autoclosure () -> Double,
        _ settings: WaitingSettings
    ) -> ContinuousClock.Instant? {
        let wait: Duration
        if let latest = self.latestPause, begun <= latest {
            guard let retryAfter else { return nil }
            wait = min(retryAfter, cap)
        } else {
            self.limit = self.pauses == 0 ? max(1, self.limit / 2) : 1
            if self.pauses == 0 { self.threshold = self.limit }
            self.roundSuccesses = 0
            wait =
                retryAfter.map { min($0, cap) }
                ?? min(settings.pauseCap, settings.pauseBase * (1 << min(self.pauses, 9)))
                * (0.5 + min(max(fraction(), 0), 1) / 2)
            self.pauses += 1
            self.latestPause = now
        }
        let end = now + wait
        if let until = self.pausedUntil, until >= end { return nil }
        self.pausedUntil = end
        return end
    }
}
