/// What the end of a call means: for its rule, for its destination, for its login.
///
/// The table of "Waiting for the world", a row for each `CallEnding`.
package struct CallVerdict: Sendable, Hashable {
    /// What the rule hears.
    package enum Telling: Sendable, Hashable {
        /// The answer or the error, as it came.
        case told
        /// Nothing; the call goes on.
        case notTold
        /// Nobody listens any more.
        case nobodyListens
    }

    /// What it is for the destination.
    package enum Effect: Sendable, Hashable {
        /// It got through: not away, patience begins anew.
        case ends
        /// One of a row of failed connections.
        case towardsConnectionRow
        /// One of a row of failed answers, where it is a login's first failure there.
        case towardsAnswerRow
        /// Away at once.
        case away
        /// Nothing is sent there for a while.
        case pauses
        case nothing
    }

    /// What it is for the login.
    package enum Consequence: Sendable, Hashable {
        /// What its rule makes of it stands.
        case stands
        /// The run failed so: judged by who else got through.
        case judged
        /// The call waits and is sent again, any method: nothing was done.
        case sentAgain
        /// Its verdict is dropped; it runs again, uncounted, when the limit allows.
        case dropped
        /// It waits until the destination is back.
        case waits
    }

    package var telling: Telling
    package var effect: Effect
    package var consequence: Consequence

    /// The row of the table.
    ///
    /// `isForgiven`: the host is optional or past patience, so that failures are told and the verdict stands; a rule
    /// that fails for one is judged all the same, and waits.
    package init(of ending: CallEnding, isForgiven: Bool = false) {
        switch ending {
        case .gotThrough: self.init(.told, .ends, .stands)
        case .failedToConnect: self.init(.told, .towardsConnectionRow, isForgiven ? .stands : .judged)
        case .failedToAnswer: self.init(.told, .towardsAnswerRow, isForgiven ? .stands : .judged)
        case .serverError: self.init(.told, .nothing, isForgiven ? .stands : .judged)
        case .givenUpUnanswered:
            if ending.failure == nil {
                self.init(.nobodyListens, .nothing, .stands)
            } else {
                self.init(.nobodyListens, .towardsAnswerRow, isForgiven ? .stands : .judged)
            }
        case .pace: self.init(isForgiven ? .told : .notTold, .pauses, isForgiven ? .stands : .sentAgain)
        case .givenUpUnsent: self.init(.nobodyListens, .nothing, .dropped)
        case .tokenRefused: self.init(isForgiven ? .told : .notTold, .away, isForgiven ? .stands : .waits)
        case .undecided: self.init(.told, .nothing, .stands)
        }
    }

    private init(_ telling: Telling, _ effect: Effect, _ consequence: Consequence) {
        self.telling = telling
        self.effect = effect
        self.consequence = consequence
    }
}
