/// Whether the verdict of a rule that swallowed a failure stands.
///
/// It is kept back without a slot, and the chain does not go on. It stands once it is the user's fault and not the
/// world's: a run that began after others got through failed again while others get through. The first run says too
/// little: what fails in the last moment of an outage sees others get through a moment later.
package struct KeptVerdict: Sendable {
    /// What becomes of it.
    package enum Decision: Sendable, Hashable {
        /// It is kept back further.
        case keeps
        /// It is published, with the call in its list and a warning.
        case stands
        /// It is dropped; the login runs again.
        case discarded(LoginAttempts.Judgement)
    }

    /// Whose.
    package let user: LoginUser

    package init(user: LoginUser) { self.user = user }

    /// What somebody else's call that got through brings, before the back-off ends.
    package func somebodyGotThrough(
        _ attempts: LoginAttempts,
        _ destinations: Destinations,
        now: ContinuousClock.Instant
    ) -> Decision {
        guard attempts.counted >= destinations.settings.swallowedAttempts - 1 else { return .keeps }
        for place in attempts.failedCalls {
            let evidence = destinations.evidence(at: place, user: self.user, now: now)
            guard evidence.isForgiven || (evidence.somebodyElseSinceLast && !evidence.isAway) else { return .keeps }
        }
        return .stands
    }

    /// What the end of the back-off brings.
    package func backOffEnded(
        _ attempts: inout LoginAttempts,
        _ destinations: Destinations,
        now: ContinuousClock.Instant
    ) -> Decision {
        if self.somebodyGotThrough(attempts, destinations, now: now) == .stands { return .stands }
        switch attempts.backOffEnded(user: self.user, destinations, now: now) {
        case .exhausted, .tooOld: return .stands
        case .again(let isCounted):
            let isEnough = isCounted && attempts.counted >= destinations.settings.swallowedAttempts
            return isEnough ? .stands : .discarded(.again(counted: isCounted))
        case .waits(let destination, let isCounted):
            return .discarded(.waits(destination, counted: isCounted))
        }
    }
}
