import AfterloginWaiting

extension SimulatedWorker {
    func begin(_ login: SimulatedLogin) {
        var attempts = login.attempts ?? LoginAttempts(firstAttempt: self.instant)
        attempts.runBegan()
        login.attempts = attempts
        login.run += 1
        login.deadline = self.now + Int64(self.scene.ruleTimeout * 1e9)
        self.logins[login.id] = login
        self.slots.began(login.id, now: self.instant)
        self.evaluations += 1
        guard let route = self.scene.route(login.user) else {
            self.finished(login, hasData: true)
            return
        }
        self.numbers += 1
        login.call = WaitingCall(
            id: self.numbers,
            login: login.id,
            user: login.waitingUser,
            arrival: login.id,
            deadline: self.start + .nanoseconds(login.deadline),
            route: route
        )
        guard self.scene.needsToken, !self.hasToken else {
            self.ask(login)
            return
        }
        switch self.destinations.availability(
            of: .grant("api"),
            deadline: self.start + .nanoseconds(login.deadline),
            now: self.instant
        ) {
        case .open:
            login.isWaitingForToken = true
            self.at(login.deadline, .deadline(login, run: login.run))
            self.waitingForToken.append(login)
            if !self.isFetching { self.fetchToken() }
        case .away(let destination, _): self.ended(login, for: destination)
        case .tellNow(let destination, _): self.callFailed(login, at: destination, .answer, isForgiven: true)
        }
    }

    func ask(_ login: SimulatedLogin) {
        guard let call = login.call else { return }
        self.told(self.destinations.ask(call, now: self.instant), login)
    }

    /// What a call is told when it asks, or when it has waited.
    func told(_ answer: CallAnswer, _ login: SimulatedLogin) {
        switch answer {
        case .send(let ticket): self.send(ticket, login)
        case .wait: self.at(login.deadline, .deadline(login, run: login.run))
        case .away(let destination, _): self.ended(login, for: destination)
        case .tellNow(let destination, _): self.callFailed(login, at: destination, .answer, isForgiven: true)
        }
    }

    private func send(_ ticket: CallTicket, _ login: SimulatedLogin) {
        self.slots.frameMoved(login.id, now: self.instant)
        self.report.calls += 1
        self.report.callTimes.append(self.seconds)
        if ticket.isProbe { self.report.probes += 1 }
        let reply = self.scene.answer(login.user, self.seconds, &self.random)
        let ruleEnd = Double(login.deadline - self.now) / 1e9
        let patience = min(ruleEnd, self.scene.libraryTimeout)
        let run = login.run
        // A run that was sent again has an old timer, which must not end it.
        login.run += 1
        if reply.seconds <= patience {
            self.after(reply.seconds, .answered(ticket, reply.ending, login, run: run + 1))
        } else {
            let ending = CallEnding.givenUpUnanswered(after: .seconds(patience))
            self.after(patience, .answered(ticket, ending, login, run: run + 1))
        }
    }

    func answered(_ ticket: CallTicket, _ ending: CallEnding, _ login: SimulatedLogin?, run: Int) {
        let attempts = login?.attempts
        let end = self.destinations.ended(
            ticket,
            ending,
            error: "it failed",
            isFirstFailure: { attempts?.isFirstFailure(at: $0) ?? true },
            now: self.instant,
            fraction: self.fraction()
        )
        for case .wentAway in end.changes { self.report.timesAway += 1 }
        guard let login else {
            self.tokenAnswered(end)
            return
        }
        guard login.run == run else { return }
        self.slots.frameMoved(login.id, now: self.instant)
        if let failed = end.failed {
            self.callFailed(login, at: failed.destination, failed.failure, isForgiven: end.isForgiven)
            return
        }
        switch end.verdict.consequence {
        case .stands, .judged: self.finished(login, hasData: ending == .gotThrough)
        case .sentAgain: self.ask(login)
        case .dropped, .waits: self.ended(login, for: ticket.call.route.answers)
        }
    }

    /// The evaluation is ended, and its login waits.
    func ended(_ login: SimulatedLogin, for destination: Destination) {
        self.endEvaluation(login)
        self.destinations.wait(login.waiting, for: destination, now: self.instant)
        self.report.mostWaiting = max(self.report.mostWaiting, self.destinations.waitingLogins(for: destination))
    }

    func endEvaluation(_ login: SimulatedLogin) {
        login.call = nil
        login.isWaitingForToken = false
        login.run += 1
        self.slots.ended(login.id)
        self.evaluations -= 1
        self.destinations.loginEnded(login.id, now: self.instant, fraction: self.fraction())
    }

    // MARK: Verdicts

    func callFailed(
        _ login: SimulatedLogin,
        at destination: Destination,
        _ failure: CallEnding.Failure,
        isForgiven: Bool
    ) {
        login.attempts?.callFailed(at: destination, failure, isForgiven: isForgiven, now: self.instant)
        if self.scene.rule == .swallows, login.attempts?.hasFailedCalls != true {
            self.finished(login, hasData: false)
            return
        }
        self.endEvaluation(login)
        let fraction = self.fraction()
        let wait = login.attempts?.runFailed(fraction: fraction, self.scene.settings) ?? .zero
        self.at(self.now + Self.nanoseconds(wait), .backOff(login))
    }

    func backOffEnded(_ login: SimulatedLogin) {
        guard var attempts = login.attempts else { return }
        defer { login.attempts = attempts }
        let judgement: LoginAttempts.Judgement
        switch self.scene.rule {
        case .callsBackWithTheError:
            judgement = attempts.backOffEnded(user: login.waitingUser, self.destinations, now: self.instant)
        case .swallows:
            switch KeptVerdict(user: login.waitingUser)
                .backOffEnded(&attempts, self.destinations, now: self.instant)
            {
            case .stands:
                self.published(login, hasData: false)
                return
            case .keeps: return
            case .discarded(let next): judgement = next
            }
        }
        switch judgement {
        case .again: self.ready.insert(login)
        case .waits(let destination, _):
            self.destinations.wait(login.waiting, for: destination, wasTold: attempts.wasTold, now: self.instant)
        case .exhausted, .tooOld:
            self.report.failed.append((login.user, attempts.counted))
            self.leaveLane(login)
        }
    }

    func finished(_ login: SimulatedLogin, hasData: Bool) {
        self.endEvaluation(login)
        self.published(login, hasData: hasData)
    }

    private func published(_ login: SimulatedLogin, hasData: Bool) {
        self.report.published.append(
            SceneReport.Published(
                user: login.user,
                arrived: Double(login.arrived) / 1e9,
                at: self.seconds,
                hasData: hasData
            )
        )
        self.leaveLane(login)
    }

    private func leaveLane(_ login: SimulatedLogin) {
        self.logins[login.id] = nil
        self.admitted -= 1
        self.lanes[login.user]?.removeFirst()
        if let next = self.lanes[login.user]?.first {
            self.ready.insert(next)
        } else {
            self.lanes[login.user] = nil
        }
    }

    // MARK: Tokens

    func fetchToken() {
        guard !self.isFetching, !self.hasToken else { return }
        self.isFetching = true
        self.numbers += 1
        let call = WaitingCall(
            id: self.numbers,
            login: 0,
            user: nil,
            arrival: 0,
            deadline: self.instant + .seconds(3_600),
            route: .grant("api")
        )
        self.tokenCall = call
        self.tokenAsked(self.destinations.ask(call, now: self.instant))
    }

    func tokenAsked(_ answer: CallAnswer) {
        switch answer {
        case .send(let ticket):
            self.report.calls += 1
            if ticket.isProbe { self.report.probes += 1 }
            let reply = self.scene.token(self.seconds)
            self.after(reply.seconds, .answered(ticket, reply.ending, nil, run: 0))
        case .wait: break
        case .away(let destination, _):
            self.isFetching = false
            self.tokenFailed { self.ended($0, for: destination) }
        case .tellNow(let destination, _):
            self.isFetching = false
            self.tokenFailed { self.callFailed($0, at: destination, .answer, isForgiven: true) }
        }
    }

    private func tokenAnswered(_ end: CallEnd) {
        if let failed = end.failed {
            self.isFetching = false
            self.tokenFailed {
                self.callFailed($0, at: failed.destination, failed.failure, isForgiven: end.isForgiven)
            }
            return
        }
        switch end.verdict.consequence {
        case .stands, .judged:
            self.isFetching = false
            self.hasToken = true
            self.tokenFailed { self.ask($0) }
        case .sentAgain:
            guard let call = self.tokenCall else { return }
            self.tellTokenWaiters()
            self.tokenAsked(self.destinations.ask(call, now: self.instant))
        case .dropped, .waits:
            self.isFetching = false
            self.tokenFailed { self.ended($0, for: .grant("api")) }
        }
    }

    /// A pause began: who has less time left than it lasts waits without an evaluation.
    private func tellTokenWaiters() {
        for login in self.waitingForToken {
            let deadline = self.start + .nanoseconds(login.deadline)
            let availability = self.destinations.availability(of: .grant("api"), deadline: deadline, now: self.instant)
            if case .away(let destination, _) = availability { self.ended(login, for: destination) }
        }
        self.waitingForToken.removeAll { $0.call == nil }
    }

    /// All that wait for the token go on, one way or the other.
    private func tokenFailed(_ goesOn: (SimulatedLogin) -> Void) {
        let waiting = self.waitingForToken
        self.waitingForToken.removeAll()
        for login in waiting {
            login.isWaitingForToken = false
            goesOn(login)
        }
    }
}
