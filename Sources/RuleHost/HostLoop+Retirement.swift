extension HostLoop {
    /// What has nothing in flight and was asked to end does so within milliseconds.
    private static let patienceWithRetired = Duration.seconds(5)

    /// A fresh host is to take its place.
    ///
    /// It goes on until that has the rules, so that there is never one less; while others can take new evaluations it gets none.
    func retire(_ host: Host, _ reason: String) {
        guard host.phase == .ready, host.retirement == nil else { return }
        switch host.role {
        case .regular:
            host.retirement = reason
        case .spare:
            host.retirement = reason
            self.spare = Slot()
            self.beginRetirement(host)
        case .successor, .quarantine, .retiring: break
        }
    }

    /// Sees to it that a host that is to retire has a successor.
    ///
    /// Hosts that still end what they have in flight are as many as the configured ones at most: memory is for so many.
    func relieve(_ host: Host, in index: Int) {
        guard self.slots[index].successor == nil, self.now >= self.slots[index].startsAt,
            self.hosts.count(where: { $0.role == .retiring }) < self.slots.count
        else { return }
        if let spare = self.spare.host, spare.phase == .ready, !self.taints.isTainted(spare.number) {
            self.spare = Slot()
            self.succeed(spare, in: index)
        } else {
            self.startHost(.successor(slot: index))
        }
    }

    /// A fresh host has the rules.
    func succeed(_ host: Host, in index: Int) {
        let former = self.slots[index].host
        self.slots[index].successor = nil
        self.slots[index].host = host
        host.role = .regular(slot: index)
        if let former { self.beginRetirement(former) }
    }

    private func beginRetirement(_ host: Host) {
        host.role = .retiring
        host.writer.append(.retire, 0)
        self.delegate.hostRetired(self.status(of: host), reason: host.retirement ?? "")
    }

    /// A spare that nobody needs any more retires, and what should have ended by itself is ended.
    func keepRetirement() {
        if !self.taints.isEmpty, let overdue = self.taints.overdue(at: self.now),
            let host = self.hosts.first(where: { $0.number == overdue.host })
        {
            self.retire(host, "\(overdue.destination) is back, and it keeps something of its absence")
        }
        for index in self.slots.indices {
            if let host = self.slots[index].host, host.retirement != nil { self.relieve(host, in: index) }
        }
        if let spare = self.spare.host, spare.phase == .ready, spare.retirement == nil,
            !self.hosts.contains(where: { $0 !== spare && self.taints.isTainted($0.number) })
        {
            self.retire(spare, "nothing waits any more")
        }
        for host in self.hosts where host.role == .retiring && host.jobs.isEmpty {
            let since = host.idleSince ?? self.now
            host.idleSince = since
            if self.now - since > Self.patienceWithRetired { self.dismiss(host) }
        }
    }

    /// Ends a host that has nothing to do any more.
    func dismiss(_ host: Host) {
        self.remove(host)
        _ = host.end()
    }

    func remove(_ host: Host) {
        self.hosts.removeAll { $0 === host }
        self.nextLook = self.now
        self.taints.hostGone(host.number)
        if self.taints.isEmpty { self.mailbox.noneIsTainted() }
        switch host.role {
        case .regular(let index):
            // Its successor, where there is one, has the place at once.
            self.slots[index].host = self.slots[index].successor.take()
            self.slots[index].host?.role = .regular(slot: index)
        case .successor(let index): self.slots[index].successor = nil
        case .spare: self.spare.host = nil
        case .quarantine: self.quarantine.host = nil
        case .retiring: break
        }
    }
}
