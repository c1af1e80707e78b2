import Glibc

/// The time of the worker: `ContinuousClock` when it runs, a clock turned by hand in tests.
///
/// Its instants are those of `ContinuousClock`, so that deadlines can be handed around as plain values.
package protocol WorkerClock: Clock where Instant == ContinuousClock.Instant, Duration == Swift.Duration {
    /// Seconds since 1970, for what other machines read (claims of a JWT) or write (`Retry-After` as a date).
    var wallClock: Double { get }
}

extension ContinuousClock: WorkerClock {
    package var wallClock: Double { Double(time(nil)) }
}
