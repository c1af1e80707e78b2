/// Where a login failed so, and since when.
package struct FailedCall: Sendable, Hashable {
    package let destination: Destination
    /// How it failed the last time.
    package internal(set) var failure: CallEnding.Failure
    /// The login's first failure there.
    package let first: ContinuousClock.Instant
    /// Its last.
    package internal(set) var last: ContinuousClock.Instant
}
