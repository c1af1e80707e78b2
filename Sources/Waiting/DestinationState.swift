/// What is known of one destination: is it away, how many calls may be in flight, until when none is sent, and since
/// when it fails.
///
/// Pure: no lock, no clock, randomness is given.
package struct DestinationState: Sendable {
    /// A destination to which nothing is sent but probes.
    package struct Away: Sendable {
        package let since: ContinuousClock.Instant
        package var probes: ProbeSchedule
    }

    /// What a call may do, as far as this destination is concerned.
    package enum Permission: Sendable, Hashable {
        case send
        /// Sent although the destination is away: it finds out whether it is back.
        case probe
        /// For the limit, or for a pause.
        case wait
        /// Its evaluation is ended; nil where the end is not known.
        case away(until: ContinuousClock.Instant?)
        /// The rule hears the last error.
        case tellNow(lastError: String)
    }

    /// What became other for people and for those who wait.
    package enum Change: Sendable, Hashable {
        case wentAway(Destination, lastError: String)
        case cameBack(Destination, after: Duration)
        case paused(Destination, until: ContinuousClock.Instant)
        case limitChanged(Destination, to: Int)
    }

    package let destination: Destination
    package internal(set) var away: Away?
    package internal(set) var limit: CallLimit
    package internal(set) var lastError = ""
    /// Since when it has failed without getting through; patience is counted from here.
    package internal(set) var failingSince: ContinuousClock.Instant?
    /// When something got through for the last time.
    package internal(set) var lastSuccess: ContinuousClock.Instant?
    /// Its name never existed since the start.
    package internal(set) var isUnknownName = false
    package internal(set) var successes = SuccessMemory()
    var row = FailureRow()

    package init(_ destination: Destination, _ settings: WaitingSettings) {
        self.destination = destination
        self.limit = CallLimit(settings)
    }

    /// Whether its outages are told to rules instead of being waited for.
    package func isOptional(_ settings: WaitingSettings) -> Bool {
        guard !settings.optionalHosts.isEmpty, let host = self.destination.host else { return false }
        return settings.optionalHosts.contains(host)
    }

    /// When patience ends; nil while it does not fail.
    ///
    /// `othersGotThrough` is when the latest call to a name, any name, got through.
    package func patienceEnd(
        othersGotThrough: ContinuousClock.Instant?,
        _ settings: WaitingSettings
    ) -> ContinuousClock.Instant? {
        guard let failingSince else { return nil }
        if self.isUnknownName, let othersGotThrough, othersGotThrough > failingSince {
            return failingSince + min(settings.namePatience, settings.patience)
        }
        return failingSince + settings.patience
    }

    /// What a call may do now.
    ///
    /// `deadline` is of the rule that calls: a pause that is longer is *away until then*. `cap` bounds calls in flight
    /// where others share the host. `isForgiven`: optional, or past patience.
    package func permission(
        now: ContinuousClock.Instant,
        deadline: ContinuousClock.Instant,
        cap: Int,
        isForgiven: Bool,
        _ settings: WaitingSettings
    ) -> Permission {
        if let away {
            if away.probes.mayCall(now: now, settings) { return .probe }
            return isForgiven ? .tellNow(lastError: self.lastError) : .away(until: nil)
        }
        if let end = self.limit.pauseEnd(now: now) {
            if end <= deadline { return .wait }
            return isForgiven ? .tellNow(lastError: self.lastError) : .away(until: end)
        }
        return self.limit.hasRoom(cap: cap) ? .send : .wait
    }

    /// Whether a waiting login is to be begun, or a token asked for, to have a probe.
    package func probeIsDue(now: ContinuousClock.Instant, _ settings: WaitingSettings) -> Bool {
        self.away?.probes.isDue(now: now, settings) ?? false
    }

    /// A call was sent; its generation.
    package mutating func began(user: LoginUser?, now: ContinuousClock.Instant) -> Int {
        self.away?.probes.called(user: user, now: now)
        return self.limit.began()
    }
}
