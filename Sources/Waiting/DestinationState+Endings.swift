extension DestinationState {
    /// A call that was sent and has ended.
    package struct EndedCall: Sendable {
        /// Whose; nil of the worker's own.
        package var user: LoginUser?
        package var begun: ContinuousClock.Instant
        /// Of the limit when it was sent.
        package var generation: Int
        /// Whether it was sent as a probe.
        package var isProbe: Bool
        /// Whether its login has not failed here before.
        package var isFirstFailure: Bool

        package init(
            user: LoginUser?,
            begun: ContinuousClock.Instant,
            generation: Int,
            isProbe: Bool = false,
            isFirstFailure: Bool = true
        ) {
            self.user = user
            self.begun = begun
            self.generation = generation
            self.isProbe = isProbe
            self.isFirstFailure = isFirstFailure
        }
    }

    /// A call ended; what became other.
    ///
    /// `error` is for people. `fraction` is random, even in `0..<1`, and asked for only where a probe is scheduled.
    package mutating func ended(
        _ ending: CallEnding,
        _ call: EndedCall,
        error: @autoclosure () -> String,
        now: ContinuousClock.Instant,
        fraction: @autoclosure () -> Double,
        _ settings: WaitingSettings
    ) -> [Change] {
        self.limit.ended(generation: call.generation)
        if case .connection = self.destination {
            return self.connectionEnded(ending, call, error: error(), now: now, fraction: fraction(), settings)
        }
        switch ending {
        case .gotThrough: return self.gotThrough(call, now: now, settings)
        case .failedToConnect:
            // Where the connection has a state of its own, that decides; nothing was heard from here.
            guard case .grant = self.destination else {
                return self.noSuccess(call, isAway: false, now: now, fraction: fraction(), settings)
            }
            self.failed(error(), now: now)
            let isAway = self.row.connectionFailed(settings)
            return self.noSuccess(call, isAway: isAway, now: now, fraction: fraction(), settings)
        case .failedToAnswer, .givenUpUnanswered:
            guard ending.failure != nil else {
                return self.noSuccess(call, isAway: false, now: now, fraction: fraction(), settings)
            }
            self.failed(error(), now: now)
            let isAway = call.isFirstFailure && self.row.answerFailed(user: call.user, now: now, settings)
            return self.noSuccess(call, isAway: isAway, now: now, fraction: fraction(), settings)
        case .serverError:
            self.failed(error(), now: now)
            return self.noSuccess(call, isAway: false, now: now, fraction: fraction(), settings)
        case .tokenRefused:
            self.failed(error(), now: now)
            return self.noSuccess(call, isAway: true, now: now, fraction: fraction(), settings)
        case .pace(let retryAfter):
            self.failed(error(), now: now)
            return self.paced(call, retryAfter, now: now, fraction: fraction(), settings)
        case .givenUpUnsent, .undecided:
            return self.noSuccess(call, isAway: false, now: now, fraction: fraction(), settings)
        }
    }

    /// The same where this is the connection: any answer says that it is well.
    private mutating func connectionEnded(
        _ ending: CallEnding,
        _ call: EndedCall,
        error: @autoclosure () -> String,
        now: ContinuousClock.Instant,
        fraction: @autoclosure () -> Double,
        _ settings: WaitingSettings
    ) -> [Change] {
        if ending.reachedServer {
            return self.gotThrough(call, isWhole: ending == .gotThrough, now: now, settings)
        }
        guard case .failedToConnect(let failure) = ending else {
            return self.noSuccess(call, isAway: false, now: now, fraction: fraction(), settings)
        }
        let neverWas = self.failingSince == nil ? self.lastSuccess == nil : self.isUnknownName
        self.isUnknownName = neverWas && failure == .nameNotFound
        self.failed(error(), now: now)
        let isAway = self.row.connectionFailed(settings)
        return self.noSuccess(call, isAway: isAway, now: now, fraction: fraction(), settings)
    }

    private mutating func failed(_ error: String, now: ContinuousClock.Instant) {
        self.lastError = error
        if self.failingSince == nil { self.failingSince = now }
    }

    /// A call got through.
    ///
    /// `isWhole` is false of an answer that failed otherwise: the connection is well, but nobody got through.
    private mutating func gotThrough(
        _ call: EndedCall,
        isWhole: Bool = true,
        now: ContinuousClock.Instant,
        _ settings: WaitingSettings
    ) -> [Change] {
        if isWhole { self.successes.callGotThrough(user: call.user, begun: call.begun) }
        self.lastSuccess = now
        self.failingSince = nil
        self.isUnknownName = false
        self.row.gotThrough(now: now)
        var changes: [Change] = []
        if let away {
            self.away = nil
            self.limit.returned(settings)
            changes.append(.cameBack(self.destination, after: now - away.since))
        }
        if self.limit.gotThrough(settings) { changes.append(.limitChanged(self.destination, to: self.limit.limit)) }
        return changes
    }

    /// A call did not get through: the destination goes away, or stays so until the next probe.
    private mutating func noSuccess(
        _ call: EndedCall,
        isAway: Bool,
        retryAfter: Duration? = nil,
        now: ContinuousClock.Instant,
        fraction: @autoclosure () -> Double,
        _ settings: WaitingSettings
    ) -> [Change] {
        if self.away != nil {
            if call.isProbe {
                self.away?.probes.probeFailed(now: now, retryAfter: retryAfter, fraction: fraction(), settings)
            }
            return []
        }
        guard isAway else { return [] }
        let probes = ProbeSchedule(now: now, fraction: fraction(), retryAfter: retryAfter, settings)
        self.away = Away(since: now, probes: probes)
        return [.wentAway(self.destination, lastError: self.lastError)]
    }

    private mutating func paced(
        _ call: EndedCall,
        _ retryAfter: Duration?,
        now: ContinuousClock.Instant,
        fraction: @autoclosure () -> Double,
        _ settings: WaitingSettings
    ) -> [Change] {
        let isGrant = if case .grant = self.destination { true } else { false }
        let cap = isGrant ? settings.grantRetryAfterCap : settings.retryAfterCap
        if self.away != nil {
            let wait = retryAfter.map { min($0, cap) }
            return self.noSuccess(call, isAway: true, retryAfter: wait, now: now, fraction: fraction(), settings)
        }
        let end = self.limit.paced(
            begun: call.begun,
            now: now,
            retryAfter: retryAfter,
            cap: cap,
            fraction: fraction(),
            settings
        )
        return end.map { [.paused(self.destination, until: $0)] } ?? []
    }
}
