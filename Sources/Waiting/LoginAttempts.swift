/// The attempts of one login: which of them count, and when the next one is.
///
/// An attempt counts only if somebody else got through since this login's first failure there, so that an outage fails
/// nobody and one user's poison fails after `rules.attempts`.
package struct LoginAttempts: Sendable {
    /// What the end of a back-off brings.
    package enum Judgement: Sendable, Hashable {
        /// It runs again.
        case again(counted: Bool)
        /// It runs again when that destination is back.
        case waits(Destination, counted: Bool)
        /// It fails: all counted attempts are used up.
        case exhausted
        /// It fails: its first attempt is too long ago.
        case tooOld
    }

    /// Destinations that one login remembers to have failed at.
    private static let mostPlaces = 16

    /// When it began for the first time.
    package let firstAttempt: ContinuousClock.Instant
    /// Runs that failed; the back-off grows with each, counted or not.
    package private(set) var failures = 0
    /// Attempts that count.
    package private(set) var counted = 0
    /// Where it failed so, ever.
    package private(set) var places: [FailedCall] = []
    /// Where it failed so in this run, as indices into `places`; those that are forgiven apart.
    private var run: Set<Int> = []
    private var forgivenInRun: Set<Int> = []

    package init(firstAttempt: ContinuousClock.Instant) { self.firstAttempt = firstAttempt }

    /// Whether its rule, where it swallowed what failed in this run, is not done.
    package var hasFailedCalls: Bool { !self.run.isEmpty }

    /// Whether its rule failed although patience was over: then it waits for the return.
    package var wasTold: Bool { !self.forgivenInRun.isEmpty }

    /// Where its calls failed so in this run.
    package var failedCalls: [FailedCall] { self.run.union(self.forgivenInRun).sorted().map { self.places[$0] } }

    /// Whether it has not failed at that destination before.
    package func isFirstFailure(at destination: Destination) -> Bool {
        !self.places.contains { $0.destination == destination }
    }

    /// A call of this run failed so, as `Destinations.ended` says.
    package mutating func callFailed(
        at destination: Destination,
        _ failure: CallEnding.Failure,
        isForgiven: Bool,
        now: ContinuousClock.Instant
    ) {
        let index: Int
        if let known = self.places.firstIndex(where: { $0.destination == destination }) {
            index = known
            self.places[index].failure = failure
            self.places[index].last = now
        } else {
            guard self.places.count < Self.mostPlaces else { return }
            index = self.places.count
            self.places.append(FailedCall(destination: destination, failure: failure, first: now, last: now))
        }
        if isForgiven { self.forgivenInRun.insert(index) } else { self.run.insert(index) }
    }

    /// A run begins: what failed in earlier ones is no longer what this one is judged by.
    package mutating func runBegan() {
        self.run.removeAll()
        self.forgivenInRun.removeAll()
    }

    /// The run failed so, or its verdict is kept back; the time until it is judged.
    ///
    /// Between half and all of 2, 4, 8, then 15 s; `fraction` is random, even in `0..<1`.
    package mutating func runFailed(fraction: Double, _ settings: WaitingSettings) -> Duration {
        let longest = min(settings.backoffCap, settings.backoffBase * (1 << min(self.failures, 16)))
        self.failures += 1
        return longest * (0.5 + min(max(fraction, 0), 1) / 2)
    }

    /// The back-off of a failed run has ended.
    package mutating func backOffEnded(
        user: LoginUser,
        _ destinations: Destinations,
        now: ContinuousClock.Instant
    ) -> Judgement {
        let settings = destinations.settings
        guard now - self.firstAttempt < settings.maxAge else { return .tooOld }
        let (isCounted, away) = self.judge(user: user, destinations, now: now)
        if isCounted { self.counted += 1 }
        if self.counted >= settings.attempts { return .exhausted }
        return away.map { .waits($0, counted: isCounted) } ?? .again(counted: isCounted)
    }

    /// Whether this run counts, and what it must wait for.
    func judge(
        user: LoginUser,
        _ destinations: Destinations,
        now: ContinuousClock.Instant
    ) -> (isCounted: Bool, away: Destination?) {
        var isCounted = false
        var isOutage = false
        var away: Destination?
        for place in self.failedCalls {
            let evidence = destinations.evidence(at: place, user: user, now: now)
            if evidence.isAway {
                away = away ?? place.destination
                if !evidence.isForgiven { isOutage = true }
            } else if evidence.somebodyElse || (place.failure == .application && evidence.isForgiven) {
                isCounted = true
            }
        }
        return (isCounted && !isOutage, away)
    }
}
