/// Whether failures make a destination away: in a row, or all of the last 15 s.
///
/// One user alone never does by failed answers, since one user's data may fail them for ever. Failed connections say
/// nothing of a user: three in a row are enough, whoever makes them.
package struct FailureRow: Sendable {
    private struct Failure: Sendable {
        var at: ContinuousClock.Instant
        var user: LoginUser?
    }

    private var connections = 0
    private var answers = 0
    /// The latest failed answers, oldest first; as many as a row needs.
    private var latest: [Failure] = []
    private var lastSuccess: ContinuousClock.Instant?

    package init() {}

    /// Something got through: every row begins anew.
    package mutating func gotThrough(now: ContinuousClock.Instant) {
        self.lastSuccess = now
        guard self.connections != 0 || self.answers != 0 else { return }
        self.connections = 0
        self.answers = 0
        self.latest.removeAll(keepingCapacity: true)
    }

    /// A connection failed; whether the destination is away by that.
    package mutating func connectionFailed(_ settings: WaitingSettings) -> Bool {
        self.connections += 1
        return self.connections >= settings.connectionRow
    }

    /// An answer failed, a login's first there; whether the destination is away by that.
    ///
    /// `user` is nil of the worker's own call, which counts as more than one user.
    package mutating func answerFailed(
        user: LoginUser?,
        now: ContinuousClock.Instant,
        _ settings: WaitingSettings
    ) -> Bool {
        self.answers += 1
        self.latest.append(Failure(at: now, user: user))
        if self.latest.count > settings.answerRow { self.latest.removeFirst() }
        let recent = self.latest.drop { now - $0.at > settings.window }
        guard let first = recent.first, recent.contains(where: { $0.user == nil || $0.user != first.user }) else {
            return false
        }
        if self.answers >= settings.answerRow { return true }
        let hasSuccess = self.lastSuccess.map { now - $0 <= settings.window } ?? false
        return !hasSuccess && recent.count >= settings.windowRow
    }
}
