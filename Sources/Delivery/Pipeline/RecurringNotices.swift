/// What happens again and again, in few lines: the first of a kind at once, then once a minute how many there were since.
///
/// Pure. Minutes are given, and are those of the line of what was done: the numbers of both agree.
struct RecurringNotices: Sendable {
    /// Kinds are made of reasons and names of rules, which are few.
    private static let maxKinds = 1_000

    private struct Kind: Sendable {
        /// Since the last minute, without one that was said then.
        var count = 0
        var latest = ""
    }

    private var kinds: [String: Kind] = [:]

    /// Whether to say this one.
    ///
    /// `latest` is what stands in the line of the next minute.
    mutating func happened(_ kind: String, latest: @autoclosure () -> String) -> Bool {
        guard self.kinds[kind] != nil else {
            guard self.kinds.count < Self.maxKinds else { return false }
            self.kinds[kind] = Kind()
            return true
        }
        self.kinds[kind]?.count += 1
        self.kinds[kind]?.latest = latest()
        return false
    }

    /// A minute is over: what is to be said of those that recurred in it; kinds that did not are forgotten, and news when they come again.
    mutating func minuteEnded() -> [(kind: String, count: Int, latest: String)] {
        var due: [(kind: String, count: Int, latest: String)] = []
        for (name, kind) in self.kinds {
            self.kinds[name] = kind.count > 0 ? Kind() : nil
            if kind.count > 0 { due.append((name, kind.count, kind.latest)) }
        }
        return due.sorted { $0.kind < $1.kind }
    }
}
