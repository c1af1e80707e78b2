extension HostLoop {
    /// How often the first host is started where somebody kills it (the kernel, for memory): that says nothing of the rules.
    private static let mostStarts = 3

    /// The process is gone, or must go: finds the culprit, and runs the others again.
    func died(_ host: Host) {
        guard host.phase != .dead else { return }
        // It was asked to end when it has nothing in flight.
        if host.role == .retiring, host.jobs.isEmpty { return self.dismiss(host) }
        let wasLoading = host.phase == .loading
        let complaint = self.lastLines(host)
        let ending = host.end()
        let cause = host.verdict.map { "\($0) (\(ending))" } ?? ending
        let verdict = DeathVerdict(
            inFlight: host.jobs.sorted { $0.key < $1.key }.map { .init(evaluation: $0.key, pardons: $0.value.pardons) },
            alone: host.alone,
            lastWords: host.lastWords,
            limits: .init(turn: "\(self.configuration.turn)", memory: "\(self.configuration.memoryBytes >> 20) MB"),
            cause: cause
        )
        self.withSlot(of: host.role) { $0.deaths += 1 }
        let status = self.status(of: host)
        self.remove(host)
        self.delegate.hostDied(
            status,
            reason: verdict.kill?.message ?? Self.reason(host, verdict, cause),
            culprit: verdict.kill
        )
        let wasKilled = host.verdict == nil && host.lastWords == nil && complaint.isEmpty && ending.hasPrefix("signal ")
        if !wasKilled || self.slots[0].deaths >= Self.mostStarts, let starter = self.starter.take() {
            let message =
                "a rule host did not start: \(complaint.isEmpty ? cause : complaint); afterlogin doctor tries Node and its confinement"
            starter.resume(returning: .failure(RuleHostRefusal(message, isDeath: wasKilled)))
            self.isOver = true
        }
        self.runAgain(host, verdict)
        self.scheduleRestart(host.role, afterWork: !wasLoading && host.evaluations > 0)
    }

    private func runAgain(_ host: Host, _ verdict: DeathVerdict) {
        var jobs = host.jobs
        host.jobs = [:]
        if let culprit = verdict.culprit, let kill = verdict.kill {
            jobs.removeValue(forKey: culprit)?.finish(.killed(kill))
        }
        for (number, job) in jobs where job.ending != nil {
            jobs[number] = nil
            job.finish(.ended(nil))
        }
        let innocent = verdict.innocent.compactMap { jobs[$0] }
        for job in innocent { job.pardons += 1 }
        for job in jobs.values { job.restart() }
        self.pending = innocent + self.pending
        self.groups += verdict.groups.map { $0.compactMap { jobs[$0] } }.filter { !$0.isEmpty }
    }

    private static func reason(_ host: Host, _ verdict: DeathVerdict, _ cause: String) -> String {
        let what =
            switch host.lastWords {
            case .memory: "used too much memory (rules.host.memory)"
            case .pool: "all threads of its pool were taken for too long"
            case .turn: "one turn of the event loop took too long (rules.host.turn)"
            case .nonsense: "its watchdog was tampered with"
            case nil: cause
            }
        guard !host.jobs.isEmpty else { return what }
        let suspects = verdict.groups.reduce(0) { $0 + $1.count }
        return
            "\(what); of \(host.jobs.count) evaluations in flight \(suspects) \(suspects == 1 ? "runs" : "run") again apart, to find the one"
    }

    /// What it still had to say: the watchdog's line above all.
    private func lastLines(_ host: Host) -> String {
        guard let watchdog = host.descriptor(of: .watchdog), let errors = host.descriptor(of: .errors) else {
            return ""
        }
        for chunk in Self.remaining(watchdog) {
            for line in host.watched.received(chunk) { host.watchdogSaid(line) }
        }
        for chunk in Self.remaining(errors) {
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
