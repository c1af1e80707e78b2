extension HostLoop {
    /// The process is gone, or must go: finds the culprit, and runs the others again.
    func died(_ index: Int) {
        guard let host = self.slots[index].host, host.phase != .dead else { return }
        let wasLoading = host.phase == .loading
        let complaint = self.lastLines(host)
        let ending = host.end()
        let cause = host.verdict.map { "\($0) (\(ending))" } ?? ending
        self.slots[index].host = nil
        self.slots[index].deaths += 1
        let verdict = DeathVerdict(
            inFlight: host.jobs.keys.sorted(),
            suspect: host.culprit,
            lastWords: host.lastWords,
            limits: .init(
                turn: "\(self.configuration.turn)",
                memory: "\(self.configuration.memoryBytes >> 20) MB"
            ),
            cause: cause
        )
        self.delegate.hostDied(
            self.status(of: host, self.slots[index]),
            reason: verdict.kill?.message ?? Self.reason(host, cause),
            culprit: verdict.kill
        )
        if let starter = self.starter.take() {
            let message = "a rule host did not start: \(complaint.isEmpty ? cause : complaint)"
            starter.resume(returning: .failure(RuleHostRefusal(problems: [], message: message)))
            self.isOver = true
        }
        self.runAgain(host, verdict, index)
        self.scheduleRestart(index, afterWork: !wasLoading && host.evaluations > 0)
    }

    private func runAgain(_ host: Host, _ verdict: DeathVerdict, _ index: Int) {
        let innocent = verdict.innocent.compactMap { host.jobs[$0] }
        let suspects = verdict.suspects.compactMap { host.jobs[$0] }
        // One that ran alone, but not first, runs first on the next host.
        let goesFirst = suspects.count == 1 && suspects[0].isSuspect
        for job in suspects { job.isSuspect = true }
        for job in innocent + suspects { job.client.restarted() }
        self.pending = innocent + self.pending
        self.suspects.insert(contentsOf: suspects, at: goesFirst ? 0 : self.suspects.endIndex)
        // The successor is fresh, and takes the suspects one at a time.
        self.slots[index].isReserved =
            !self.suspects.isEmpty && !self.slots.contains { $0.isReserved && $0.host != nil }
        if let culprit = verdict.culprit, let kill = verdict.kill { host.jobs[culprit]?.finish(.killed(kill)) }
        host.jobs = [:]
    }

    private static func reason(_ host: Host, _ cause: String) -> String {
        switch host.lastWords {
        case .memory: "used too much memory; those in flight run again, one at a time"
        case .pool: "all threads of its pool were taken for too long; those in flight run again, one at a time"
        case .turn: "one turn of the event loop took too long; those in flight run again, one at a time"
        case nil: "\(cause); \(host.jobs.count) evaluations in flight run again, one at a time"
        }
    }

    /// What it still had to say: the watchdog's line above all.
    private func lastLines(_ host: Host) -> String {
        guard let open = host.descriptors else { return "" }
        for chunk in Self.remaining(open.watchdog) {
            for line in host.watched.received(chunk) { host.watchdogSaid(line) }
        }
        for chunk in Self.remaining(open.errors) {
            for line in host.complained.received(chunk) { self.complained(host, line) }
        }
        if let line = host.complained.finished() { self.complained(host, line) }
        // Node prints the place first and the error below it.
        return host.complaints.first { $0.contains("Error") } ?? host.complaints.first ?? ""
    }

    /// A few chunks at most: a host could go on writing.
    private static func remaining(_ descriptor: Int32) -> [ArraySlice<UInt8>] {
        var chunks: [ArraySlice<UInt8>] = []
        while chunks.count < 16, let chunk = HostProcess.readSome(descriptor) { chunks.append(chunk) }
        return chunks
    }
}
