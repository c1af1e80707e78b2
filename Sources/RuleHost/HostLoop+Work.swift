extension HostLoop {
    /// A host that was told to end an evaluation does so at once; beyond this it is not worth waiting for.
    private static let patienceWithEnds = Duration.seconds(5)

    private enum Choice {
        case host(Host)
        /// A fresh host is on its way.
        case fresh
        case nobody
    }

    /// Gives what waits to the hosts: groups of suspects to theirs, all else to the host with the least in flight.
    func assign() {
        self.assignGroup()
        guard !self.pending.isEmpty else { return }
        let ready = self.hosts.filter { host in
            guard host.phase == .ready else { return false }
            return switch host.role {
            case .regular, .spare: true
            case .successor, .quarantine, .retiring: false
            }
        }
        let regular = ready.filter { $0.role != .spare }
        var left = self.configuration.evaluations - self.hosts.reduce(0) { $0 + $1.jobs.count }
        var waiting: [HostJob] = []
        var index = 0
        placing: while index < self.pending.count, left > 0 {
            let job = self.pending[index]
            switch self.choose(for: job, ready, regular.isEmpty ? ready : regular) {
            case .host(let host):
                self.begin(job, on: host, alone: false)
                left -= 1
            case .fresh: waiting.append(job)
            case .nobody: break placing
            }
            index += 1
        }
        self.pending.replaceSubrange(..<index, with: waiting)
    }

    /// One that is alone needs a host on which nothing else ever ran.
    private func assignGroup() {
        guard let host = self.quarantine.host, host.phase == .ready, host.jobs.isEmpty else { return }
        guard let group = self.groups.first, host.evaluations == 0 || group.count > 1 else {
            self.delegate.hostRetired(self.status(of: host), reason: "its suspects have done nothing")
            return self.dismiss(host)
        }
        self.groups.removeFirst()
        for job in group { self.begin(job, on: host, alone: group.count == 1) }
    }

    /// The spare, which only `ready` may have, is for those who need it.
    private func choose(for job: HostJob, _ ready: [Host], _ regular: [Host]) -> Choice {
        var candidates = regular
        if !self.taints.isEmpty, job.avoidsTaint || job.token.destination != nil {
            let destination = job.token.destination
            func isTainted(_ host: Host) -> Bool {
                job.avoidsTaint && self.taints.isTainted(host.number)
                    || destination.map { self.taints.isTainted(host.number, by: $0) } == true
            }
            let untainted = ready.filter { !isTainted($0) }
            if untainted.isEmpty, !ready.isEmpty, self.freshIsOnItsWay() { return .fresh }
            candidates = untainted.isEmpty ? ready : untainted
        }
        let best = candidates.min { left, right in
            let (first, second) = (self.reluctance(left), self.reluctance(right))
            return first != second ? first < second : left.jobs.count < right.jobs.count
        }
        return best.map { .host($0) } ?? .nobody
    }

    /// What speaks against giving a host more to do.
    private func reluctance(_ host: Host) -> Int {
        let leaves = host.retirement != nil || self.taints.isOutdated(host.number)
        return (leaves ? 2 : 0) + (self.isHeavy(host) ? 1 : 0)
    }

    /// Whether a host that nothing has tainted loads the rules; starts one beyond the usual number where that is due.
    private func freshIsOnItsWay() -> Bool {
        let isLoading = self.hosts.contains { $0.phase == .loading && $0.role != .quarantine }
        if isLoading { return true }
        guard self.spare.host == nil, self.taints.takeSpare(at: self.now) else { return false }
        self.startHost(.spare)
        return self.spare.host != nil
    }

    private func begin(_ job: HostJob, on host: Host, alone: Bool) {
        job.deadline = self.now + job.evaluation.deadline
        host.begin(job, alone: alone, secret: self.secrets.next())
        job.sawTaint = self.taints.isTainted(host.number)
    }

    // MARK: Over

    func done(_ job: HostJob, _ reply: EvaluationReply, _ host: Host) {
        host.jobs[job.number] = nil
        self.withSlot(of: host.role) { $0.failures = 0 }
        if reply.outcome == .ended { host.ended.insert(job.number) }
        // One that was ended for another destination has not come as far as this one.
        if reply.outcome != .ended || job.ending?.destination == nil { self.lookWhatIsKept(job, reply, host) }
        if reply.outcome == .ended {
            job.finish(.ended(reply))
        } else {
            let taintedBy = job.sawTaint ? self.taints.destinations(of: host.number) : []
            let condition = HostCondition(isTainted: job.sawTaint, taintedBy: taintedBy)
            job.finish(.done(reply, condition))
        }
    }

    /// Whether what its host keeps stood between an evaluation and what that wanted: then a fresh host is to take its place.
    private func lookWhatIsKept(_ job: HostJob, _ reply: EvaluationReply, _ host: Host) {
        if let destination = job.token.uncalled {
            if self.taints.finishedWithoutCalling(on: host.number, destination, at: self.now) {
                self.retire(host, "it keeps something of \(destination)")
            }
            return
        }
        // It came here for want of another, and asked for nothing: the next would fare no better.
        guard job.avoidsTaint, !job.hasAsked else { return }
        switch reply.outcome {
        case .completed, .denied, .limit: return
        case .error, .timeout, .ended: break
        }
        let destinations = self.taints.destinations(of: host.number)
        guard self.taints.failedWithoutCalling(on: host.number, at: self.now) else { return }
        self.retire(host, "it keeps something of \(destinations.joined(separator: ", "))")
    }

    func cancel(_ token: EvaluationToken) {
        if let job = token.job, let host = job.host {
            host.jobs[job.number] = nil
            host.writer.append(.cancel, job.number)
            job.finish(.cancelled)
        } else {
            self.unqueue(token)?.finish(.cancelled)
        }
    }

    func end(_ token: EvaluationToken, for destination: String?) {
        guard let job = token.job, let host = job.host else {
            self.unqueue(token)?.finish(.ended(nil))
            return
        }
        if let destination {
            self.taints.ended(on: host.number, for: destination)
            self.sawTaint(host)
        }
        guard job.end(for: destination) else { return }
        job.deadline = min(job.deadline, self.now + Self.patienceWithEnds)
        host.writer.append(.end, job.number)
    }

    /// Takes one that has not begun from where it waits.
    private func unqueue(_ token: EvaluationToken) -> HostJob? {
        if let index = self.pending.firstIndex(where: { $0.token === token }) { return self.pending.remove(at: index) }
        for (number, group) in self.groups.enumerated() {
            guard let index = group.firstIndex(where: { $0.token === token }) else { continue }
            let job = self.groups[number].remove(at: index)
            if self.groups[number].isEmpty { self.groups.remove(at: number) }
            return job
        }
        return nil
    }

    // MARK: Taints

    func told(_ token: EvaluationToken, of destination: String) {
        guard let host = self.hosts.first(where: { $0.number == token.host }) else { return }
        self.taints.told(on: host.number, of: destination, at: self.now)
        self.sawTaint(host)
    }

    func gotThrough(_ token: EvaluationToken, to destination: String) {
        guard let number = token.host else { return }
        let outdated = self.taints.gotThrough(from: number, to: destination, at: self.now)
        for host in self.hosts where outdated.contains(host.number) {
            self.retire(host, "\(destination) is back, and it keeps something of its absence")
        }
    }

    private func sawTaint(_ host: Host) { for job in host.jobs.values { job.sawTaint = true } }
}
