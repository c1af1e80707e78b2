/// Whose login: one lane of the dispatcher, that is partition and user id.
///
/// No two logins of it run at once. Kept as a hash of 64 bits, so that a thousand destinations hold no user ids; two
/// users that share one cost a single uncounted attempt at worst.
package struct LoginUser: Sendable, Hashable {
    /// The hash, or any number that is unique for the lane.
    package let key: UInt64

    /// A user whose lane has a number already.
    package init(key: UInt64) { self.key = key }
}
