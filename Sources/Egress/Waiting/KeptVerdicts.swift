import AfterloginWaiting

/// The verdicts that are kept back, by the destinations whose next success may let them stand.
struct KeptVerdicts {
    private struct Entry {
        var login: LoginCalls
        var destinations: [Destination]
        var begin: @Sendable () -> Void
    }

    private var entries: [UInt64: Entry] = [:]
    private var places: [Destination: Set<UInt64>] = [:]

    /// Whether it stands at once; else it is kept.
    mutating func insert(
        _ login: LoginCalls,
        begin: @escaping @Sendable () -> Void,
        _ destinations: Destinations,
        now: ContinuousClock.Instant
    ) -> Bool {
        if Self.stands(login, destinations, now) { return true }
        let places = login.attempts.failedCalls.map(\.destination)
        self.entries[login.number] = Entry(login: login, destinations: places, begin: begin)
        for place in places { self.places[place, default: []].insert(login.number) }
        return false
    }

    mutating func remove(_ login: LoginCalls) {
        guard let entry = self.entries.removeValue(forKey: login.number) else { return }
        for place in entry.destinations {
            self.places[place]?.remove(login.number)
            if self.places[place]?.isEmpty == true { self.places[place] = nil }
        }
    }

    /// Somebody's call got through; what lets those verdicts go on that stand now.
    mutating func gotThrough(
        _ route: Route,
        _ destinations: Destinations,
        now: ContinuousClock.Instant
    ) -> [@Sendable () -> Void] {
        guard !self.entries.isEmpty else { return [] }
        var standing: [Entry] = []
        for place in [route.answers, route.connection] {
            guard let place, let numbers = self.places[place] else { continue }
            for number in numbers {
                guard let entry = self.entries[number], Self.stands(entry.login, destinations, now) else { continue }
                standing.append(entry)
                self.remove(entry.login)
            }
        }
        return standing.map(\.begin)
    }

    private static func stands(
        _ login: LoginCalls,
        _ destinations: Destinations,
        _ now: ContinuousClock.Instant
    ) -> Bool {
        KeptVerdict(user: login.user).somebodyGotThrough(login.attempts, destinations, now: now) == .stands
    }
}
