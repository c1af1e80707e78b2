/// A call that asks whether it may be sent.
package struct WaitingCall: Sendable {
    /// Unique among calls.
    package let id: UInt64
    /// The login whose evaluation makes it; unique among logins.
    package let login: UInt64
    /// Nil of the worker's own call for a token.
    package let user: LoginUser?
    /// The login's: the earliest goes first.
    package let arrival: UInt64
    /// When its rule's time is over.
    package let deadline: ContinuousClock.Instant
    package let route: Route

    package init(
        id: UInt64,
        login: UInt64,
        user: LoginUser?,
        arrival: UInt64,
        deadline: ContinuousClock.Instant,
        route: Route
    ) {
        self.id = id
        self.login = login
        self.user = user
        self.arrival = arrival
        self.deadline = deadline
        self.route = route
    }
}

/// What a call is told when it asks.
package enum CallAnswer: Sendable {
    /// Send it, and hand the ticket back when it has ended.
    case send(CallTicket)
    /// It waits; `Destinations.releases` names it when it is its turn.
    case wait
    /// Its evaluation is ended, and its login waits for this destination.
    case away(Destination, until: ContinuousClock.Instant?)
    /// Its rule hears this error at once.
    case tellNow(Destination, lastError: String)
}

/// A call that was sent.
package struct CallTicket: Sendable {
    package let call: WaitingCall
    package let begun: ContinuousClock.Instant
    /// Whether it finds out if an away destination is back.
    package var isProbe: Bool { self.answers.isProbe || self.connection?.isProbe == true }

    /// One of the destinations it was counted at.
    struct Share: Sendable {
        var slot: Int
        var generation: Int
        var isProbe: Bool
    }

    /// Whether it waited for limit or pause before it was sent, and so had less than its rule's time.
    package let hasWaited: Bool

    let answers: Share
    let connection: Share?
}

/// What the end of a call came to.
package struct CallEnd: Sendable {
    package let verdict: CallVerdict
    /// Where it failed so, and how; nil where it did not.
    package let failed: (destination: Destination, failure: CallEnding.Failure)?
    /// Whether failures there are told and verdicts stand: optional, or past patience.
    package let isForgiven: Bool
    /// For log, metrics and status.
    package let changes: [DestinationState.Change]
}
