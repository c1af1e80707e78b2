/// Whether nearly all logins fail, since when, and of what.
///
/// Pure: the time is given. It counts logins, not time, so that a quiet topic is judged as a busy one; a few denials or updates among many
/// failures don't end it.
struct FailureShare: Sendable {
    /// A time in which nearly all logins fail.
    struct Spell: Sendable, Hashable {
        /// When the first failure of those looked at ended.
        var since: ContinuousClock.Instant
        /// Of the last `window` logins.
        var failures: Int
        /// What most of them ended in.
        var reason: String
    }

    /// So many of the latest logins are looked at.
    static let window = 20
    /// A spell begins with so many failures among them, and ends with so few.
    static let (begin, end) = (18, 10)

    private struct Ending: Sendable {
        /// nil: no failure.
        var reason: String?
        var at: ContinuousClock.Instant
    }

    private var endings: [Ending] = []
    /// Where the next goes, once there are `window`.
    private var next = 0
    private var failures = 0
    private var since: ContinuousClock.Instant?

    /// A login ended: as a failure for a reason, or otherwise.
    mutating func ended(_ reason: String?, now: ContinuousClock.Instant) {
        if reason != nil { self.failures += 1 }
        if self.endings.count < Self.window {
            self.endings.append(Ending(reason: reason, at: now))
        } else {
            if self.endings[self.next].reason != nil { self.failures -= 1 }
            self.endings[self.next] = Ending(reason: reason, at: now)
            self.next = (self.next + 1) % Self.window
        }
        if self.since == nil, self.failures >= Self.begin {
            self.since = self.endings.lazy.filter { $0.reason != nil }.map(\.at).min()
        } else if self.since != nil, self.failures <= Self.end {
            self.since = nil
        }
    }

    /// nil while logins are done.
    var spell: Spell? {
        guard let since = self.since else { return nil }
        let counts = self.endings.reduce(into: [String: Int]()) { counts, ending in
            if let reason = ending.reason { counts[reason, default: 0] += 1 }
        }
        let most = counts.max { ($0.value, $1.key) < ($1.value, $0.key) }
        return Spell(since: since, failures: self.failures, reason: most?.key ?? "")
    }
}
