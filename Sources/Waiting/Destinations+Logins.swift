extension Destinations {
    /// Who may go on now.
    package struct Releases: Sendable {
        /// Calls that waited, each with what it is told now; never `.wait`.
        package var calls: [(call: WaitingCall, answer: CallAnswer)] = []
        /// Logins that waited and begin now.
        package var logins: [WaitingLogin] = []
        /// Tokens to ask for, to find out whether they can be had again: with user nil and login 0.
        package var tokens: [Destination] = []

        package var isEmpty: Bool { self.calls.isEmpty && self.logins.isEmpty && self.tokens.isEmpty }
    }

    /// A login waits for a destination from now on, without evaluation.
    ///
    /// It waits nowhere else. `wasTold`: its rule failed although patience was over, so that it waits for the return
    /// and not to be told again.
    package mutating func wait(
        _ login: WaitingLogin,
        for destination: Destination,
        wasTold: Bool = false,
        now: ContinuousClock.Instant
    ) {
        self.left(login.id)
        let slot = self.slot(of: destination)
        if !wasTold, self.slots[slot].state.away != nil, self.isForgiven(slot, now: now) {
            self.forgivenLogins.append(login)
            return
        }
        self.slots[slot].room.enter(login)
        self.waiting[login.id] = slot
        self.active.insert(slot)
    }

    /// A login that waits is dropped: revoked, too old, or stopped.
    package mutating func left(_ login: UInt64) {
        self.forgivenLogins.removeAll { $0.id == login }
        guard let slot = self.waiting.removeValue(forKey: login) else { return }
        self.slots[slot].room.leave(login)
        self.settle(slot)
    }

    /// A login's evaluation has ended, however; also of one that never waited.
    ///
    /// `fraction` is random, even in `0..<1`, and asked for only where a probe is scheduled.
    package mutating func loginEnded(
        _ login: UInt64,
        now: ContinuousClock.Instant,
        fraction: @autoclosure () -> Double
    ) {
        guard let begun = self.begun.removeValue(forKey: login) else { return }
        if begun.isProbe {
            let settings = self.settings
            self.slots[begun.slot].state.away?.probes.loginEnded(login, now: now, fraction: fraction(), settings)
        } else {
            self.slots[begun.slot].onTheWay -= 1
        }
    }

    /// A login that left the room has called.
    mutating func arrived(_ login: UInt64) {
        guard let begun = self.begun[login], !begun.isProbe else { return }
        self.begun[login] = nil
        self.slots[begun.slot].onTheWay -= 1
    }

    /// Who may go on now; its caller sends, tells, ends or begins them.
    ///
    /// `most` is how many logins can be begun.
    package mutating func releases(now: ContinuousClock.Instant, logins most: Int = .max) -> Releases {
        guard !self.active.isEmpty || !self.forgivenLogins.isEmpty else { return Releases() }
        var releases = Releases()
        // In the order of the slots, so that the same events lead to the same decisions.
        for slot in self.active.sorted() {
            self.releaseCalls(slot, &releases, now: now)
            self.releaseLogins(slot, &releases, most, now: now)
            self.settle(slot)
        }
        releases.logins += self.forgivenLogins
        self.forgivenLogins.removeAll()
        return releases
    }

    private mutating func releaseCalls(_ slot: Int, _ releases: inout Releases, now: ContinuousClock.Instant) {
        if self.slots[slot].hasNewPause {
            self.slots[slot].hasNewPause = false
            if let end = self.slots[slot].state.limit.pauseEnd(now: now) {
                for call in self.slots[slot].calls.all.filter({ $0.deadline < end }) {
                    self.slots[slot].calls.remove(call.id)
                    self.release(call, slot, &releases, now: now)
                }
            }
        }
        while let call = self.slots[slot].calls.first() {
            let answer = self.answer(call, slot, self.slots[slot].connection, now: now)
            if case .wait = answer { return }
            self.slots[slot].calls.remove(call.id)
            self.hand(over: call, answer, slot, &releases)
        }
    }

    private mutating func release(
        _ call: WaitingCall,
        _ slot: Int,
        _ releases: inout Releases,
        now: ContinuousClock.Instant
    ) {
        let answer = self.answer(call, slot, self.slots[slot].connection, now: now)
        if case .wait = answer {
            self.slots[slot].calls.insert(call, id: call.id, arrival: call.arrival)
            return
        }
        self.hand(over: call, answer, slot, &releases)
    }

    private mutating func hand(
        over call: WaitingCall,
        _ answer: CallAnswer,
        _ slot: Int,
        _ releases: inout Releases
    ) {
        switch answer {
        case .send, .wait: break
        case .away, .tellNow:
            let calls = self.slots[slot].holders[call.login] ?? 1
            self.slots[slot].holders[call.login] = calls > 1 ? calls - 1 : nil
        }
        releases.calls.append((call, answer))
    }

    private mutating func releaseLogins(
        _ slot: Int,
        _ releases: inout Releases,
        _ most: Int,
        now: ContinuousClock.Instant
    ) {
        guard !self.slots[slot].room.isEmpty else { return }
        if self.slots[slot].state.away != nil {
            self.forgive(slot, now: now)
            self.releaseProbe(slot, &releases, now: now)
            return
        }
        if case .grant = self.slots[slot].state.destination {
            self.releaseGrant(slot, &releases, most, now: now)
            return
        }
        while releases.logins.count < most, self.hasRoomForLogin(slot, now: now),
            let login = self.slots[slot].room.takeOldest()
        {
            self.waiting[login.id] = nil
            self.begun[login.id] = Begun(slot: slot, isProbe: false)
            self.slots[slot].onTheWay += 1
            releases.logins.append(login)
        }
    }

    /// A grant's pause has no limit behind it: the worker asks once, and those who wait begin when it has the token.
    private mutating func releaseGrant(
        _ slot: Int,
        _ releases: inout Releases,
        _ most: Int,
        now: ContinuousClock.Instant
    ) {
        let limit = self.slots[slot].state.limit
        guard limit.pauseEnd(now: now) == nil else { return }
        guard limit.isProven else {
            if let asked = self.slots[slot].tokenAsked, now < asked + self.settings.probePatience { return }
            self.slots[slot].tokenAsked = now
            releases.tokens.append(self.slots[slot].state.destination)
            return
        }
        self.slots[slot].tokenAsked = nil
        while releases.logins.count < most, let login = self.slots[slot].room.takeOldest() {
            self.waiting[login.id] = nil
            releases.logins.append(login)
        }
    }

    /// Where patience is over, all that wait begin, and are told.
    private mutating func forgive(_ slot: Int, now: ContinuousClock.Instant) {
        let since = self.slots[slot].state.failingSince
        guard self.slots[slot].forgiven != since, self.isForgiven(slot, now: now) else { return }
        self.slots[slot].forgiven = since
        // Of an optional host only those wait that were told and failed: there is nothing new to tell them.
        guard !self.slots[slot].state.isOptional(self.settings) else { return }
        for login in self.slots[slot].room.takeAll() {
            self.waiting[login.id] = nil
            self.forgivenLogins.append(login)
        }
    }

    private mutating func releaseProbe(_ slot: Int, _ releases: inout Releases, now: ContinuousClock.Instant) {
        guard self.slots[slot].state.probeIsDue(now: now, self.settings) else { return }
        if case .grant = self.slots[slot].state.destination {
            self.slots[slot].state.away?.probes.loginBegan(0, user: nil, now: now)
            releases.tokens.append(self.slots[slot].state.destination)
            return
        }
        let lastUser = self.slots[slot].state.away?.probes.lastUser
        guard let login = self.slots[slot].room.takeOldest(otherThan: lastUser) else { return }
        self.waiting[login.id] = nil
        self.begun[login.id] = Begun(slot: slot, isProbe: true)
        self.slots[slot].state.away?.probes.loginBegan(login.id, user: login.user, now: now)
        releases.logins.append(login)
    }

    /// Whether one more waiting login may begin: as many as calls may be sent.
    private func hasRoomForLogin(_ slot: Int, now: ContinuousClock.Instant) -> Bool {
        let onTheWay = self.slots[slot].onTheWay
        guard self.slots[slot].holders.count + onTheWay < max(1, self.settings.evaluations / 2) else { return false }
        for place in [slot, self.slots[slot].connection ?? slot] {
            let limit = self.slots[place].state.limit
            guard self.slots[place].state.away == nil, limit.pauseEnd(now: now) == nil else { return false }
            guard limit.inFlight + onTheWay < min(limit.limit, self.cap(place)) else { return false }
        }
        return true
    }

    /// When somebody who waits may go on without any event; nil where nobody waits for time.
    ///
    /// One timer serves all: at that instant `releases` is asked.
    package func nextWake(now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        if !self.forgivenLogins.isEmpty { return now }
        var next: ContinuousClock.Instant?
        for slot in self.active {
            for place in [slot, self.slots[slot].connection ?? slot] {
                guard let wake = self.wake(place, now: now) else { continue }
                next = min(next ?? wake, wake)
            }
        }
        return next
    }

    private func wake(_ slot: Int, now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        var wake =
            self.slots[slot].state.away?.probes.next(self.settings) ?? self.slots[slot].state.limit.pauseEnd(now: now)
        if let asked = self.slots[slot].tokenAsked, wake == nil { wake = asked + self.settings.probePatience }
        let patience = self.slots[slot].state.patienceEnd(othersGotThrough: self.namesGotThrough, self.settings)
        if let patience, patience > now { wake = min(wake ?? patience, patience) }
        return wake.map { max($0, now) }
    }
}
