import Glibc

extension HostLoop {
    /// How often deadlines are looked at while something is in flight.
    private static let tick = Duration.milliseconds(100)

    enum Stream {
        case frames
        case output
        case errors
        case watchdog
    }

    func wait() {
        var descriptors = [pollfd(fd: self.mailbox.wakeDescriptor, events: Int16(POLLIN), revents: 0)]
        var owners: [(host: Host, stream: Stream)] = []
        for host in self.hosts {
            guard let open = host.descriptors else { continue }
            let events = Int16(POLLIN) | (host.writer.isEmpty ? 0 : Int16(POLLOUT))
            descriptors.append(pollfd(fd: open.frames, events: events, revents: 0))
            for descriptor in [open.output, open.errors, open.watchdog] {
                // One that the host has closed would be ready for ever.
                let polled = host.closed.contains(descriptor) ? -1 : descriptor
                descriptors.append(pollfd(fd: polled, events: Int16(POLLIN), revents: 0))
            }
            owners += [(host, .frames), (host, .output), (host, .errors), (host, .watchdog)]
        }
        let count = unsafe poll(&descriptors, nfds_t(descriptors.count), self.timeout)
        guard count > 0 else { return }
        if descriptors[0].revents != 0 {
            var value: UInt64 = 0
            _ = unsafe Glibc.read(self.mailbox.wakeDescriptor, &value, 8)
        }
        self.now = .now
        // The frames of a host last: when it is dead, its last words have been read.
        let ready = zip(descriptors.dropFirst(), owners).filter { $0.0.revents & ~Int16(POLLOUT) != 0 }.map(\.1)
        for owner in ready where owner.stream != .frames { self.read(owner.host, owner.stream) }
        for owner in ready where owner.stream == .frames { self.read(owner.host, owner.stream) }
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
        guard let open = host.descriptors else { return }
        let descriptor =
            switch stream {
            case .frames: open.frames
            case .output: open.output
            case .errors: open.errors
            case .watchdog: open.watchdog
            }
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
        guard let descriptor = host.descriptors?.frames else { return }
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
