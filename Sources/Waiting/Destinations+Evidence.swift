extension Destinations {
    /// What speaks for and against a login that failed at a destination.
    package struct Evidence: Sendable, Hashable {
        /// Nothing is sent there but probes.
        package var isAway = false
        /// Optional, or past patience.
        package var isForgiven = false
        /// Somebody else got through since the login's first failure there.
        package var somebodyElse = false
        /// The same since its last.
        package var somebodyElseSinceLast = false
    }

    /// What a login that failed there is judged by; none where the destination is no longer remembered.
    package func evidence(at place: FailedCall, user: LoginUser?, now: ContinuousClock.Instant) -> Evidence {
        guard let slot = self.places[place.destination] else { return Evidence() }
        let state = self.slots[slot].state
        return Evidence(
            isAway: state.away != nil,
            isForgiven: self.isForgiven(slot, now: now),
            somebodyElse: state.successes.somebodyElse(gotThroughSince: place.first, user: user),
            somebodyElseSinceLast: state.successes.somebodyElse(gotThroughSince: place.last, user: user)
        )
    }

    /// What a destination is for those who wait for something of it without a call of their own: a token, a name.
    package enum Availability: Sendable, Hashable {
        case open
        case away(Destination, until: ContinuousClock.Instant?)
        case tellNow(Destination, lastError: String)
    }

    /// Whether a grant's tokens can be waited for within a rule's time, or a destination be asked.
    package func availability(
        of destination: Destination,
        deadline: ContinuousClock.Instant,
        now: ContinuousClock.Instant
    ) -> Availability {
        guard let slot = self.places[destination] else { return .open }
        let state = self.slots[slot].state
        let isForgiven = self.isForgiven(slot, now: now)
        let until = state.limit.pauseEnd(now: now)
        guard state.away != nil || until.map({ $0 > deadline }) == true else { return .open }
        if isForgiven { return .tellNow(destination, lastError: state.lastError) }
        return .away(destination, until: state.away == nil ? until : nil)
    }
}
