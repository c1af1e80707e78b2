/// The numbers of the model of waiting, by the keys of the configuration where they have one.
package struct WaitingSettings: Sendable {
    /// `egress.per_host`: calls in flight to one destination.
    package var perHost = 256
    /// `egress.patience`: how long a destination may fail before its failures are told to rules.
    package var patience: Duration = .seconds(15 * 60)
    /// Patience with a name that does not exist and never did, while others get through.
    package var namePatience: Duration = .seconds(60)
    /// `egress.optional`: hosts whose outages are told to rules.
    package var optionalHosts: Set<String> = []
    /// `evaluations`: in the rule hosts, those that wait for an answer included.
    package var evaluations = 2_000
    /// `rules.attempts`: counted attempts of a login.
    package var attempts = 8
    /// Counted runs after which a verdict whose rule swallowed its failures stands.
    ///
    /// One would publish poorer updates at the end of every outage: what fails in its last moment sees others get
    /// through a moment later. Only a run that began while others got through tells the two apart.
    package var swallowedAttempts = 2
    /// `rules.backoff`: 2 s, 4 s, 8 s, then the cap; each wait is between half and all of it.
    package var backoffBase: Duration = .seconds(2)
    /// `rules.backoff.cap`.
    package var backoffCap: Duration = .seconds(15)
    /// `rules.max_age`: since a login's first attempt.
    package var maxAge: Duration = .seconds(86_400)
    /// Destinations that are remembered; the oldest without waiting logins and calls goes.
    package var destinations = 1_000

    /// Failed connections in a row that make a destination away.
    package var connectionRow = 3
    /// Failed answers in a row that make a destination away.
    package var answerRow = 20
    /// Failures that make a destination away where nothing got through within `window`.
    package var windowRow = 3
    /// How far back "all of the last 15 s" looks.
    package var window: Duration = .seconds(15)

    /// Full jitter of the first probe; doubles up to `probeCap`.
    package var probeBase: Duration = .milliseconds(200)
    /// The longest time between two probes, without `Retry-After`.
    package var probeCap: Duration = .seconds(5)
    /// A probe that is unanswered for this long no longer holds back the next.
    package var probePatience: Duration = .seconds(5)
    /// Logins that are begun for one probe and end without calling, before the next waits for its turn.
    package var probeCandidates = 16

    /// The first pause without `Retry-After`; doubles up to `pauseCap` while nothing gets through.
    package var pauseBase: Duration = .seconds(1)
    /// The longest pause without `Retry-After`; more would let logins wait for longer than 10 s after its end.
    package var pauseCap: Duration = .seconds(8)
    /// The longest `Retry-After` that is kept.
    package var retryAfterCap: Duration = .seconds(5 * 60)
    /// The same of a token endpoint: Auth0's can be hours.
    package var grantRetryAfterCap: Duration = .seconds(3_600)
    /// An evaluation without a frame either way for this long gives its slot back.
    package var slotIdle: Duration = .seconds(1)

    /// The defaults.
    package init() {}
}
