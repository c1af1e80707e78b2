/// A login that waits for a destination, without slot and without attempt.
package struct WaitingLogin: Sendable, Hashable {
    /// Unique among logins.
    package let id: UInt64
    package let user: LoginUser
    /// The earliest goes first.
    package let arrival: UInt64

    package init(id: UInt64, user: LoginUser, arrival: UInt64) {
        self.id = id
        self.user = user
        self.arrival = arrival
    }
}
