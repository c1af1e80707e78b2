extension HostLoop {
    func handleFrames(_ host: Host) {
        do throws(ProtocolViolation) {
            while let frame = try host.decoder.next() {
                host.lastHeard = self.now
                host.pingIsOpen = false
                try self.handle(frame, host)
                if host.phase == .dead || self.isOver { return }
            }
        } catch {
            host.verdict = "broke the protocol of its socket: \(error)"
            self.died(host)
        }
    }

    private func handle(_ frame: Frame, _ host: Host) throws(ProtocolViolation) {
        var frame = frame
        switch frame.kind {
        case .loaded, .refused:
            guard host.phase == .loading else { throw ProtocolViolation("the answer to the rules came twice") }
            try self.loaded(frame, host)
        case .done:
            guard let job = try Self.job(&frame, host) else { return }
            let reply = try EvaluationReply(&frame, rules: job.evaluation.rules)
            guard reply.outcome != .ended || job.ending != nil else {
                throw ProtocolViolation("an evaluation ended that was not to end")
            }
            self.done(job, reply, host)
        case .request:
            guard let job = try Self.job(&frame, host) else { return }
            let (mailbox, number, evaluation) = (self.mailbox, host.number, frame.evaluation)
            job.hasAsked = true
            job.client.requestMade(
                try HostRequest(&frame, rules: job.evaluation.rules) { request, reply in
                    mailbox.send(.reply(host: number, evaluation: evaluation, request: request, reply.encoded()))
                }
            )
        case .cancelRequest:
            let number = try frame.takeNumber()
            guard let job = host.jobs[frame.evaluation], let destination = job.client.requestCancelled(number) else {
                return
            }
            // At once: those who wait for its promise fail with it, and say so in the next frames.
            self.mailbox.oneMayBeTainted()
            self.told(job.token, of: destination)
        case .console: host.jobs[frame.evaluation]?.client.consolePrinted(try ConsoleLine(frame.payload))
        case .warning:
            let warning = try HostWarning(frame.payload)
            if let job = host.jobs[frame.evaluation] {
                job.client.warned(warning)
            } else if host.orphanedWarnings.take(at: self.now) {
                self.delegate.hostWarned(warning)
            }
        case .waits:
            guard let job = try Self.job(&frame, host) else { return }
            _ = try WaitsMessage(frame, rules: job.evaluation.rules)
            guard self.taints.hasEnded(host.number) || job.ending != nil else {
                throw ProtocolViolation("an evaluation waits where none was ended")
            }
            job.client.waits(for: self.taints.endedFor(on: host.number))
        case .pong: break
        case .load, .evaluate, .response, .failed, .cancel, .ping, .retire, .evaluateAlone, .end:
            throw ProtocolViolation("a frame of the worker's kind")
        }
    }

    /// The evaluation in flight that a frame speaks for; nil where it is over.
    private static func job(_ frame: inout Frame, _ host: Host) throws(ProtocolViolation) -> HostJob? {
        let secret = try frame.takeSecret()
        guard let job = host.jobs[frame.evaluation] else { return nil }
        guard secret == job.secret else {
            throw ProtocolViolation("somebody spoke for evaluation \(frame.evaluation) without its secret")
        }
        return job
    }

    private func loaded(_ frame: Frame, _ host: Host) throws(ProtocolViolation) {
        guard frame.kind == .loaded else {
            let refusal = try RuleHostRefusal(frame.payload)
            if let starter = self.starter.take() {
                starter.resume(returning: .failure(refusal))
                self.isOver = true
            } else {
                host.verdict = "refuses the rules that it took before"
                self.died(host)
            }
            return
        }
        let reply = try LoadReply(frame.payload)
        host.phase = .ready
        host.nodeVersion = reply.nodeVersion
        host.measure()
        host.loadedBytes = host.residentBytes
        self.nextLook = self.now
        self.delegate.hostStarted(self.status(of: host))
        if case .successor(let index) = host.role { self.succeed(host, in: index) }
        self.starter.take()?.resume(returning: .success(reply))
    }
}
