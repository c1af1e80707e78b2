extension Destinations {
    /// Whether a call may be sent, waits, or is told; a call that waits is named by `releases` later.
    package mutating func ask(_ call: WaitingCall, now: ContinuousClock.Instant) -> CallAnswer {
        let (answers, connection) = self.slots(of: call.route)
        self.arrived(call.login)
        let isHolder = self.slots[answers].holders[call.login] != nil
        if !isHolder, self.slots[answers].holders.count >= max(1, self.settings.evaluations / 2) {
            return .away(call.route.answers, until: nil)
        }
        let answer = self.answer(call, answers, connection, now: now)
        switch answer {
        case .send: self.slots[answers].holders[call.login, default: 0] += 1
        case .wait:
            self.slots[answers].holders[call.login, default: 0] += 1
            self.slots[answers].calls.insert(call, id: call.id, arrival: call.arrival)
            self.active.insert(answers)
        case .away, .tellNow: break
        }
        return answer
    }

    /// A call that waited is given up, by its rule or with its evaluation; what it waited for.
    ///
    /// Where its rule gave it up, its login's verdict is dropped, and it waits for that destination.
    @discardableResult
    package mutating func withdrawn(_ call: WaitingCall) -> Destination {
        if let slot = self.places[call.route.answers], self.slots[slot].calls.remove(call.id) != nil {
            self.letGo(call.login, slot)
            self.settle(slot)
        }
        return call.route.answers
    }

    /// A call that was sent has ended.
    ///
    /// `error` is for people and may hold no secret. `isFirstFailure` says whether its login has not failed at that
    /// destination before. `fraction` is random, even in `0..<1`, and asked for only where a probe is scheduled.
    package mutating func ended(
        _ ticket: CallTicket,
        _ ending: CallEnding,
        error: @autoclosure () -> String,
        isFirstFailure: (Destination) -> Bool,
        now: ContinuousClock.Instant,
        fraction: @autoclosure () -> Double
    ) -> CallEnd {
        let route = ticket.call.route
        var ending = ending
        if case .givenUpUnanswered = ending, ending.failure == nil, ticket.hasWaited {
            // It waited here until its rule had less than a second left: nothing was learned, and nobody is to blame.
            ending = .givenUpUnsent
        }
        let failedAt = route.destination(failing: ending)
        let failing = failedAt == route.connection ? ticket.connection?.slot : ticket.answers.slot
        let isForgiven = self.isForgiven(failing ?? ticket.answers.slot, now: now)
        let isFirst = failedAt.map(isFirstFailure) ?? true
        var changes: [DestinationState.Change] = []
        for share in [ticket.connection, ticket.answers] {
            guard let share else { continue }
            let call = DestinationState.EndedCall(
                user: ticket.call.user,
                begun: ticket.begun,
                generation: share.generation,
                isProbe: share.isProbe,
                isFirstFailure: isFirst
            )
            changes += self.slots[share.slot].state.ended(
                ending,
                call,
                error: error(),
                now: now,
                fraction: fraction(),
                self.settings
            )
        }
        self.letGo(ticket.call.login, ticket.answers.slot)
        for change in changes {
            if case .paused = change { self.slots[ticket.answers.slot].hasNewPause = true }
        }
        if ending == .gotThrough, let host = route.connection?.host, !Self.isNumeric(host) {
            self.namesGotThrough = now
        }
        let failed = ending.failure.flatMap { failure in failedAt.map { ($0, failure) } }
        return CallEnd(
            verdict: CallVerdict(of: ending, isForgiven: isForgiven),
            failed: failed,
            isForgiven: isForgiven,
            changes: changes
        )
    }

    // MARK: Both destinations at once

    /// What a call may do at both of its destinations; where it is sent, it is counted at both.
    mutating func answer(
        _ call: WaitingCall,
        _ answers: Int,
        _ connection: Int?,
        now: ContinuousClock.Instant
    ) -> CallAnswer {
        var isWaiting = false
        var told: CallAnswer?
        var refused: CallAnswer?
        var isProbe = false
        for slot in [connection, answers] {
            guard let slot else { continue }
            switch self.permission(slot, call, now: now) {
            case .send: break
            case .probe: isProbe = true
            case .wait: isWaiting = true
            case .away(let until):
                if refused == nil { refused = .away(self.slots[slot].state.destination, until: until) }
            case .tellNow(let error):
                if told == nil { told = .tellNow(self.slots[slot].state.destination, lastError: error) }
            }
        }
        // A probe of one is a probe of the other, too, which may merely not be due: else each would wait for both.
        if isProbe, self.mayProbeBoth(answers, connection, now: now) {
            return self.send(call, answers, connection, now)
        }
        if let refused { return refused }
        if let told { return told }
        return isWaiting ? .wait : self.send(call, answers, connection, now)
    }

    private func permission(
        _ slot: Int,
        _ call: WaitingCall,
        now: ContinuousClock.Instant
    ) -> DestinationState.Permission {
        self.slots[slot].state.permission(
            now: now,
            deadline: call.deadline,
            cap: self.cap(slot),
            isForgiven: self.isForgiven(slot, now: now),
            self.settings
        )
    }

    private func mayProbeBoth(_ answers: Int, _ connection: Int?, now: ContinuousClock.Instant) -> Bool {
        for slot in [answers, connection] {
            guard let slot else { continue }
            if let away = self.slots[slot].state.away {
                if away.probes.isOut(now: now, self.settings) { return false }
            } else if self.slots[slot].state.limit.pauseEnd(now: now) != nil {
                return false
            }
        }
        return true
    }

    private mutating func send(
        _ call: WaitingCall,
        _ answers: Int,
        _ connection: Int?,
        _ now: ContinuousClock.Instant
    ) -> CallAnswer {
        let answersShare = self.began(call, answers, now)
        let connectionShare = connection.map { self.began(call, $0, now) }
        let ticket = CallTicket(
            call: call,
            begun: now,
            hasWaited: self.slots[answers].calls.contains(call.id),
            answers: answersShare,
            connection: connectionShare
        )
        return .send(ticket)
    }

    private mutating func began(_ call: WaitingCall, _ slot: Int, _ now: ContinuousClock.Instant) -> CallTicket.Share {
        let isProbe = self.slots[slot].state.away != nil
        let generation = self.slots[slot].state.began(user: call.user, now: now)
        return CallTicket.Share(slot: slot, generation: generation, isProbe: isProbe)
    }

    private mutating func letGo(_ login: UInt64, _ slot: Int) {
        guard let calls = self.slots[slot].holders[login] else { return }
        self.slots[slot].holders[login] = calls > 1 ? calls - 1 : nil
    }

    /// A slot is active while somebody waits there.
    mutating func settle(_ slot: Int) {
        if self.slots[slot].hasWaiting { self.active.insert(slot) } else { self.active.remove(slot) }
    }

    /// Whether a host is an address, which gets through without any name.
    private static func isNumeric(_ host: String) -> Bool {
        host.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2E } || host.contains(":")
    }
}
