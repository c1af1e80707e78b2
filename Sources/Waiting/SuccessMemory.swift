/// When the latest calls began that got through, of the last two users: enough to ask for somebody else's.
package struct SuccessMemory: Sendable {
    private struct Success: Sendable {
        /// Nil of the worker's own call, which is everybody else's.
        var user: LoginUser?
        var begun: ContinuousClock.Instant
    }

    private var latest: Success?
    private var other: Success?

    package init() {}

    /// A call of this user, begun then, got through; nil of the worker's own.
    package mutating func callGotThrough(user: LoginUser?, begun: ContinuousClock.Instant) {
        if let latest = self.latest, latest.user == user {
            self.latest = Success(user: user, begun: max(latest.begun, begun))
            return
        }
        var begun = begun
        if let other = self.other, other.user == user { begun = max(begun, other.begun) }
        self.other = self.latest
        self.latest = Success(user: user, begun: begun)
    }

    /// Whether a call of another user than this one, begun after that instant, got through.
    package func somebodyElse(gotThroughSince instant: ContinuousClock.Instant, user: LoginUser?) -> Bool {
        self.isElse(self.latest, instant, user) || self.isElse(self.other, instant, user)
    }

    private func isElse(_ success: Success?, _ instant: ContinuousClock.Instant, _ user: LoginUser?) -> Bool {
        guard let success, success.begun > instant else { return false }
        return success.user == nil || success.user != user
    }
}
