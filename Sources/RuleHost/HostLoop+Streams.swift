import Glibc

extension HostLoop {
    /// How often deadlines are looked at while something is in flight.
    private static let tick = Duration.milliseconds(100)

    enum Stream: Int, CaseIterable {
        case output
        case errors
        case watchdog
        case frames
    }

    func wait() {
        self.polled.removeAll(keepingCapacity: true)
        self.polled.append(pollfd(fd: self.mailbox.wakeDescriptor, events: Int16(POLLIN), revents: 0))
        for host in self.hosts {
            for stream in Stream.allCases {
                // One that the host has closed would be ready for ever.
                let descriptor = host.descriptor(of: stream).flatMap { host.closed.contains($0) ? nil : $0 } ?? -1
                let writes = stream == .frames && !host.writer.isEmpty ? Int16(POLLOUT) : 0
                self.polled.append(pollfd(fd: descriptor, events: Int16(POLLIN) | writes, revents: 0))
            }
        }
        let timeout = self.mailbox.sleeps() ? self.timeout : 0
        let count = unsafe poll(&self.polled, nfds_t(self.polled.count), timeout)
        guard count > 0 else { return }
        if self.polled[0].revents != 0 {
            var value: UInt64 = 0
            _ = unsafe Glibc.read(self.mailbox.wakeDescriptor, &value, 8)
        }
        self.now = .now
        // The frames of a host last: when it is dead, its last words have been read.
        let hosts = self.hosts
        for (index, host) in hosts.enumerated() {
            for stream in Stream.allCases {
                let events = self.polled[1 + index * Stream.allCases.count + stream.rawValue].revents
                if events & ~Int16(POLLOUT) != 0 { self.read(host, stream) }
            }
        }
    }

    private var timeout: Int32 {
        var longest: Duration = .seconds(1)
        for host in self.hosts where !host.jobs.isEmpty || host.phase == .loading || host.role == .retiring {
            longest = min(longest, Self.tick)
        }
        for slot in self.slots where slot.host == nil || slot.host?.retirement != nil && slot.successor == nil {
            longest = min(longest, max(.zero, slot.startsAt - .now))
        }
        if !self.groups.isEmpty, self.quarantine.host == nil {
            longest = min(longest, max(.zero, self.quarantine.startsAt - .now))
        }
        let components = longest.components
        // Rounded up: a timeout that ends too early would only turn the loop once more.
        return Int32(components.seconds * 1_000)
            + Int32((components.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    private func read(_ host: Host, _ stream: Stream) {
        guard let descriptor = host.descriptor(of: stream) else { return }
        // Bounded, so that one busy host does not starve the others.
        for _ in 0..<16 {
            let count = unsafe self.buffer.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                guard count == 0 || errno != EAGAIN else { return }
                if stream == .frames { self.died(host) } else { host.closed.insert(descriptor) }
                return
            }
            let chunk = self.buffer[..<count]
            switch stream {
            case .frames:
                host.decoder.received(chunk)
                self.handleFrames(host)
                if host.phase == .dead { return }
            case .output: for line in host.printed.received(chunk) { self.delegate.hostPrinted(line) }
            case .errors: for line in host.complained.received(chunk) { self.complained(host, line) }
            case .watchdog: for line in host.watched.received(chunk) { host.watchdogSaid(line) }
            }
            if count < self.buffer.count { return }
        }
    }

    func complained(_ host: Host, _ line: String) {
        if host.phase == .loading, host.complaints.count < 20 { host.complaints.append(line) }
        self.delegate.hostPrinted(line)
    }

    func write(_ host: Host) {
        guard let descriptor = host.descriptor(of: .frames) else { return }
        while !host.writer.isEmpty {
            let count = unsafe host.writer.unwritten.withUnsafeBytes { bytes in
                unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                // Full: it is polled for.
                if errno != EAGAIN { self.tookNothing(host) }
                return
            }
            host.writer.wrote(count)
        }
    }

    /// Gone, or it lives and listens no more: what it still has to say decides.
    private func tookNothing(_ host: Host) {
        self.read(host, .frames)
        guard host.phase != .dead else { return }
        host.verdict = "reads no frames any more"
        self.died(host)
    }
}
