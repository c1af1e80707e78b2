extension HostLoop {
    func handleFrames(_ host: Host, _ index: Int) {
        do throws(FrameDecoder.Nonsense) {
            while let frame = try host.decoder.next() {
                host.lastHeard = self.now
                host.pingIsOpen = false
                try self.handle(frame, host, index)
                if host.phase == .dead || self.isOver { return }
            }
        } catch {
            host.verdict = "wrote nonsense to its socket: \(error.description)"
            self.died(index)
        }
    }

    private func handle(_ frame: Frame, _ host: Host, _ index: Int) throws(FrameDecoder.Nonsense) {
        var frame = frame
        switch frame.kind {
        case .loaded, .refused:
            guard host.phase == .loading else { throw .init(description: "the answer to the rules came twice") }
            self.loaded(frame, host, index)
        case .done:
            guard let head = frame.takePart(), let user = frame.takePart() else {
                throw .init(description: "a part is too long")
            }
            guard let job = host.jobs.removeValue(forKey: frame.evaluation) else { return }
            self.slots[index].failures = 0
            job.finish(.done(head: Array(head), user: Array(user), context: Array(frame.payload)))
        case .request:
            guard let part = frame.takePart() else { throw .init(description: "a part is too long") }
            var inner = Frame(kind: frame.kind, evaluation: frame.evaluation, payload: part)
            guard let number = inner.takeNumber() else { throw .init(description: "a request has no number") }
            self.requested(frame, number, Array(inner.payload), host)
        case .cancelRequest:
            guard let number = frame.takeNumber() else { throw .init(description: "a request has no number") }
            host.jobs[frame.evaluation]?.client.requestCancelled(number)
        case .console: host.jobs[frame.evaluation]?.client.consolePrinted(Array(frame.payload))
        case .warning: self.warned(frame, host)
        case .pong: break
        case .load, .evaluate, .response, .failed, .cancel, .ping, .retire, .evaluateAlone:
            throw .init(description: "a frame of the worker's kind")
        }
    }

    private func warned(_ frame: Frame, _ host: Host) {
        if let job = host.jobs[frame.evaluation] {
            job.client.warned(Array(frame.payload))
        } else if host.orphanedWarnings.take(at: self.now) {
            self.delegate.hostWarned(Array(frame.payload))
        }
    }

    private func loaded(_ frame: Frame, _ host: Host, _ index: Int) {
        let payload = Array(frame.payload)
        guard frame.kind == .loaded else {
            if let starter = self.starter.take() {
                starter.resume(
                    returning: .failure(RuleHostRefusal(problems: payload, message: "the rules were refused"))
                )
                self.isOver = true
            } else {
                host.verdict = "refuses the rules that it took before"
                self.died(index)
            }
            return
        }
        host.phase = .ready
        host.nodeVersion = Self.nodeVersion(payload)
        self.delegate.hostStarted(self.status(of: host, self.slots[index]))
        self.starter.take()?.resume(returning: .success(payload))
    }

    /// `"node":"v20.1.0"` of the payload; a host is not trusted with more than a short text.
    private static func nodeVersion(_ payload: [UInt8]) -> String {
        let text = String(decoding: payload.prefix(64), as: UTF8.self)
        guard let value = text.split(separator: "\"node\":\"").last, let end = value.firstIndex(of: "\"") else {
            return ""
        }
        return String(value[..<end].prefix(16))
    }

    private func requested(_ frame: Frame, _ number: UInt32, _ head: [UInt8], _ host: Host) {
        // An evaluation that was cancelled meanwhile gets no answers.
        guard let job = host.jobs[frame.evaluation] else { return }
        let (mailbox, hostNumber, evaluation) = (self.mailbox, host.number, frame.evaluation)
        let request = HostRequest(head: head, body: Array(frame.payload), number: number) { reply in
            mailbox.send(.reply(host: hostNumber, evaluation: evaluation, number: number, reply))
        }
        job.client.requestMade(request)
    }
}
