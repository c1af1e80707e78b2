extension HostLoop {
    /// After this silence a host that has work is asked; when its watchdog would have ended it long ago (a turn that waits has ten times the limit) it
    /// is ended from here.
    private static let silence = Duration.seconds(1)
    private static let patience = Duration.seconds(5)
    private static let turnsOfPatience = 10
    private static let deadlineTick = Duration.milliseconds(50)
    /// Rules whose work simply needs that much memory must not make hosts be started one after another.
    private static let memoryRetirementInterval = Duration.seconds(15)

    func keepTime() {
        for index in self.slots.indices where self.slots[index].host == nil {
            // Until the first is ready, only the first is tried.
            guard self.now >= self.slots[index].startsAt, self.starter == nil || index == 0 else { continue }
            self.startHost(.regular(slot: index))
        }
        if !self.groups.isEmpty, self.quarantine.host == nil, self.now >= self.quarantine.startsAt, self.starter == nil
        {
            self.startHost(.quarantine)
        }
        self.keepRetirement()
        if self.now >= self.nextLook { self.look() }
        for host in self.hosts { self.keepTime(of: host) }
        if self.now >= self.nextDeadlines { self.nextDeadlines = self.now + Self.deadlineTick }
    }

    /// The worker keeps the limit of memory itself: rules and their packages reach the host's own watchdog.
    private func look() {
        let isBusy = self.hosts.contains { !$0.jobs.isEmpty }
        self.nextLook = self.now + (isBusy ? .milliseconds(250) : .seconds(1))
        for host in self.hosts {
            host.measure()
            if host.residentBytes > self.configuration.unguardedMemoryBytes {
                host.lastWords = .memory
                host.verdict = "used \(host.residentBytes >> 20) MB of memory"
            } else if self.isHeavy(host), host.jobs.isEmpty, host.retirement == nil,
                self.now >= self.nextMemoryRetirement
            {
                self.nextMemoryRetirement = self.now + Self.memoryRetirementInterval
                self.retire(host, "it keeps \(host.residentBytes >> 20) MB of memory")
            }
        }
        self.mailbox.publish(self.hosts.map(self.status))
    }

    /// It has used half of what its limit leaves above its size right after `load`.
    func isHeavy(_ host: Host) -> Bool {
        host.phase == .ready
            && host.residentBytes > host.loadedBytes + max(0, self.configuration.memoryBytes - host.loadedBytes) / 2
    }

    private func keepTime(of host: Host) {
        let silent = self.now - host.lastHeard
        if self.now >= self.nextDeadlines { self.endOverdue(host, silent) }
        if host.phase == .loading, self.now - host.started > .seconds(30) {
            host.verdict = "did not load the rules within 30 s"
        } else if host.phase == .ready, !host.jobs.isEmpty, silent > Self.silence {
            if !host.pingIsOpen {
                host.pingIsOpen = true
                host.writer.append(.ping, 0)
            } else if silent > self.configuration.turn * Self.turnsOfPatience + Self.patience {
                host.verdict = "did not answer for \(silent.components.seconds) s"
            }
        }
        if host.writer.count > self.configuration.maxUnreadBytes { host.verdict = "does not read what it is sent" }
        if host.verdict != nil { self.died(host) }
    }

    /// Ends what the host, which keeps its rules' deadlines, did not end.
    ///
    /// Where it doesn't answer either, all of them suffer from something else.
    private func endOverdue(_ host: Host, _ silent: Duration) {
        let isAnswering = !host.pingIsOpen || silent < Self.silence * 2
        for (number, job) in host.jobs where self.now >= job.deadline {
            guard isAnswering else {
                host.verdict = "did not answer for \(silent.components.seconds) s"
                return
            }
            host.jobs[number] = nil
            host.writer.append(.cancel, number)
            if job.ending != nil {
                job.finish(.ended(nil))
            } else {
                job.finish(.killed(.init(reason: .timeout, message: "the rule host did not end it in time")))
            }
        }
    }

    func status(of host: Host) -> RuleHostStatus {
        var deaths = 0
        self.withSlot(of: host.role) { deaths = $0.deaths }
        return RuleHostStatus(
            process: host.identifier,
            nodeVersion: host.nodeVersion,
            age: .now - host.started,
            residentBytes: host.residentBytes,
            inFlight: host.jobs.count,
            evaluations: host.evaluations,
            deaths: deaths,
            isRetiring: host.role == .retiring,
            isLoaded: host.phase == .ready,
            silent: host.pingIsOpen ? self.now - host.lastHeard : .zero,
            taintedBy: self.taints.destinations(of: host.number),
            confinement: host.confinement,
            notEnforced: host.notEnforced
        )
    }
}
