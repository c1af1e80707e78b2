/// What happens again and again, in few lines: the first of a kind at once, then once a minute how many there were since.
///
/// Pure: the time is given.
struct RecurringNotices: Sendable {
    static let interval = Duration.seconds(60)
    /// Kinds are made of reasons and names of rules, which are few.
    private static let maxKinds = 1_000

    private struct Kind: Sendable {
        var saidAt: ContinuousClock.Instant
        var count = 0
        var latest = ""
    }

    private var kinds: [String: Kind] = [:]

    /// Whether to say this one.
    ///
    /// `latest` is what stands in the line of the next minute.
    mutating func happened(_ kind: String, latest: @autoclosure () -> String, now: ContinuousClock.Instant) -> Bool {
        guard self.kinds[kind] != nil else {
            guard self.kinds.count < Self.maxKinds else { return false }
            self.kinds[kind] = Kind(saidAt: now)
            return true
        }
        self.kinds[kind]?.count += 1
        self.kinds[kind]?.latest = latest()
        return false
    }

    /// What is to be said now of those that recurred; kinds that did not for a minute are forgotten, and news when they come again.
    mutating func due(now: ContinuousClock.Instant) -> [(kind: String, count: Int, latest: String)] {
        var due: [(kind: String, count: Int, latest: String)] = []
        for (name, kind) in self.kinds where now - kind.saidAt >= Self.interval {
            self.kinds[name] = kind.count > 0 ? Kind(saidAt: now) : nil
            if kind.count > 0 { due.append((name, kind.count, kind.latest)) }
        }
        return due.sorted { $0.kind < $1.kind }
    }
}
