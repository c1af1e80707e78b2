/// Which hosts may keep something of a destination that was away: a promise that never comes, or one that failed.
///
/// Pure. Rules keep promises in `global` (`global.token ||= fetch(…)`): a login that waits for a destination tells nothing on a host that keeps its
/// old answer. So it begins where nothing is kept, and hosts that keep something are replaced once the destination is back.
struct HostTaints {
    /// What waits for a destination begins elsewhere, and a host that keeps what it should not is replaced: but starting hosts costs more than
    /// logins, and an outage must not become a storm of starts.
    static let interval: Duration = .seconds(15)
    /// A failure that was told is often overtaken by the next call from the same host; before that it is not a reason for a fresh one.
    static let settled: Duration = .seconds(5)

    enum Taint: Equatable {
        /// An evaluation was ended there: until the host is gone.
        case ended
        /// A failure was told there: until a call from that host gets through.
        ///
        /// Out of date: one from another host has got through, and this host is yet to be replaced.
        case told(since: ContinuousClock.Instant, isOutdated: Bool = false)
    }

    /// By host, then by destination.
    private var taints: [Int: [String: Taint]] = [:]
    private var nextReplacement: ContinuousClock.Instant?
    private var nextSpare: ContinuousClock.Instant?

    var isEmpty: Bool { self.taints.isEmpty }

    /// An evaluation was ended there for that destination.
    mutating func ended(on host: Int, for destination: String) { self.taints[host, default: [:]][destination] = .ended }

    /// A failure of that destination was told there to a rule.
    mutating func told(on host: Int, of destination: String, at now: ContinuousClock.Instant) {
        guard self.taints[host]?[destination] == nil else { return }
        self.taints[host, default: [:]][destination] = .told(since: now)
    }

    /// A call from that host got through.
    ///
    /// - Returns: Other hosts to replace: what they keep of the destination is out of date.
    mutating func gotThrough(
        from host: Int,
        to destination: String,
        at now: ContinuousClock.Instant
    ) -> [Int] {
        if case .told = self.taints[host]?[destination] {
            self.taints[host]?[destination] = nil
            if self.taints[host]?.isEmpty == true { self.taints[host] = nil }
        }
        var outdated: [Int] = []
        for other in self.taints.keys.sorted() where other != host {
            switch self.taints[other]?[destination] {
            case .ended: outdated.append(other)
            case .told(let since, _):
                let isReplaced = self.mayReplace(since, now)
                self.taints[other]?[destination] = .told(since: since, isOutdated: !isReplaced)
                if isReplaced { outdated.append(other) }
            case nil: break
            }
        }
        return outdated
    }

    /// A host that is out of date, and whose replacement had to wait: nobody may call that destination again.
    mutating func overdue(at now: ContinuousClock.Instant) -> (host: Int, destination: String)? {
        for host in self.taints.keys.sorted() {
            for (destination, taint) in self.taints[host] ?? [:] {
                guard case .told(let since, isOutdated: true) = taint, self.mayReplace(since, now) else { continue }
                self.taints[host]?[destination] = .told(since: since)
                return (host, destination)
            }
        }
        return nil
    }

    private mutating func mayReplace(_ since: ContinuousClock.Instant, _ now: ContinuousClock.Instant) -> Bool {
        now - since >= Self.settled && Self.take(&self.nextReplacement, now)
    }

    /// An evaluation that waited for that destination ended there without calling it.
    ///
    /// - Returns: Whether the host is to be replaced: what it keeps stands between the login and the destination.
    mutating func finishedWithoutCalling(
        on host: Int,
        _ destination: String,
        at now: ContinuousClock.Instant
    ) -> Bool {
        self.isTainted(host, by: destination) && Self.take(&self.nextReplacement, now)
    }

    /// An evaluation that was to begin where nothing is kept failed there without calling anybody.
    ///
    /// - Returns: As above.
    mutating func failedWithoutCalling(on host: Int, at now: ContinuousClock.Instant) -> Bool {
        self.isTainted(host) && Self.take(&self.nextReplacement, now)
    }

    /// Whether a host beyond the usual number may be started now, since all that live are tainted.
    mutating func takeSpare(at now: ContinuousClock.Instant) -> Bool { Self.take(&self.nextSpare, now) }

    mutating func hostGone(_ host: Int) { self.taints[host] = nil }

    func isTainted(_ host: Int) -> Bool { self.taints[host] != nil }
    func isTainted(_ host: Int, by destination: String) -> Bool { self.taints[host]?[destination] != nil }

    /// Whether it keeps something that is out of date, and is yet to be replaced for that.
    func isOutdated(_ host: Int) -> Bool {
        self.taints[host]?.values.contains { taint in
            if case .told(_, isOutdated: true) = taint { true } else { false }
        } == true
    }

    /// Whether evaluations were ended there: others may wait for their promises.
    func hasEnded(_ host: Int) -> Bool { self.taints[host]?.values.contains(.ended) == true }

    /// For what evaluations were ended there.
    func endedFor(on host: Int) -> [String] {
        (self.taints[host] ?? [:]).filter { $0.value == .ended }.keys.sorted()
    }

    func destinations(of host: Int) -> [String] { (self.taints[host] ?? [:]).keys.sorted() }

    /// Once in `interval`.
    private static func take(_ next: inout ContinuousClock.Instant?, _ now: ContinuousClock.Instant) -> Bool {
        if let next, now < next { return false }
        next = now + Self.interval
        return true
    }
}
