import CLinux
import Glibc

/// The thread of the pool: sockets and pipes of all hosts, deadlines, deaths and restarts.
///
/// Holds no lock while it calls anyone. Hosts are few, so `poll` over all of their descriptors is as good as `epoll`.
final class HostLoop {
    struct Seed: Sendable {
        var configuration: RuleHostConfiguration
        var load: [UInt8]
        var delegate: any RuleHostPoolDelegate
    }

    /// A place that is to be filled with a host.
    struct Slot {
        var host: Host?
        var startsAt = ContinuousClock.now
        /// Hosts in a row that ended before they finished anything.
        var failures = 0
        /// Runs suspects only, one at a time.
        var isReserved = false
        var deaths = 0
    }

    /// How often deadlines are looked at while something is in flight.
    static let tick = Duration.milliseconds(100)
    /// After this silence a host that has work is asked; when its watchdog would have ended it long ago (a turn that waits has ten times the limit) it
    /// is ended from here.
    static let silence = Duration.seconds(1)
    static let patience = Duration.seconds(5)
    static let turnsOfPatience = 10

    let configuration: RuleHostConfiguration
    let load: [UInt8]
    let delegate: any RuleHostPoolDelegate
    let mailbox: HostMailbox
    var slots: [Slot] = []
    var pending: [HostJob] = []
    private var pendingHead = 0
    var suspects: [HostJob] = []
    var starter: CheckedContinuation<StartResult, Never>?
    var closer: CheckedContinuation<Void, Never>?
    var isOver = false
    private var hostCount = 0
    private var nextStatus = ContinuousClock.now
    var now = ContinuousClock.now
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)

    init(_ seed: Seed, mailbox: HostMailbox) {
        self.configuration = seed.configuration
        self.load = seed.load
        self.delegate = seed.delegate
        self.mailbox = mailbox
    }

    func run() {
        while !self.isOver {
            self.wait()
            self.now = .now
            self.takeCommands()
            self.keepTime()
            self.assign()
            for index in self.slots.indices { if let host = self.slots[index].host { self.write(host, index) } }
        }
        self.end()
    }

    // MARK: Waiting

    private func wait() {
        var descriptors = [pollfd(fd: self.mailbox.wakeDescriptor, events: Int16(POLLIN), revents: 0)]
        var owners: [(slot: Int, stream: Stream)] = []
        for (index, slot) in self.slots.enumerated() {
            guard let host = slot.host, let open = host.descriptors else { continue }
            let events = Int16(POLLIN) | (host.writer.isEmpty ? 0 : Int16(POLLOUT))
            descriptors.append(pollfd(fd: open.frames, events: events, revents: 0))
            for descriptor in [open.output, open.errors, open.watchdog] {
                // One that the host has closed would be ready for ever.
                let polled = host.closed.contains(descriptor) ? -1 : descriptor
                descriptors.append(pollfd(fd: polled, events: Int16(POLLIN), revents: 0))
            }
            owners += [(index, .frames), (index, .output), (index, .errors), (index, .watchdog)]
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
        for owner in ready where owner.stream != .frames { self.read(owner.slot, owner.stream) }
        for owner in ready where owner.stream == .frames { self.read(owner.slot, owner.stream) }
    }

    private var timeout: Int32 {
        var longest: Duration = .seconds(1)
        for slot in self.slots {
            if let host = slot.host {
                if !host.jobs.isEmpty || host.phase == .loading { longest = min(longest, Self.tick) }
            } else {
                longest = min(longest, max(.zero, slot.startsAt - .now))
            }
        }
        let components = longest.components
        // Rounded up: a timeout that ends too early would only turn the loop once more.
        return Int32(components.seconds * 1_000)
            + Int32((components.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    enum Stream {
        case frames
        case output
        case errors
        case watchdog
    }

    private func read(_ index: Int, _ stream: Stream) {
        guard let host = self.slots[index].host, let open = host.descriptors else { return }
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
                if stream == .frames { self.died(index) } else { host.closed.insert(descriptor) }
                return
            }
            let chunk = self.buffer[..<count]
            switch stream {
            case .frames:
                host.decoder.received(chunk)
                self.handleFrames(host, index)
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

    private func write(_ host: Host, _ index: Int) {
        guard let descriptor = host.descriptors?.frames else { return }
        while !host.writer.isEmpty {
            let count = unsafe host.writer.unwritten.withUnsafeBytes { bytes in
                unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                // Full: it is polled for.
                if errno != EAGAIN { self.tookNothing(host, index) }
                return
            }
            host.writer.wrote(count)
        }
    }

    /// Gone, or it lives and listens no more: what it still has to say decides.
    private func tookNothing(_ host: Host, _ index: Int) {
        self.read(index, .frames)
        guard host.phase != .dead else { return }
        host.verdict = "reads no frames any more"
        self.died(index)
    }

    // MARK: Commands and time

    private func takeCommands() {
        for command in self.mailbox.take() {
            switch command {
            case .start(let continuation):
                self.starter = continuation
                self.slots = Array(repeating: Slot(), count: max(1, self.configuration.count))
                self.startHost(0)
            case .evaluate(let job): self.pending.append(job)
            case .cancel(let token): self.cancel(token)
            case .reply(let number, let evaluation, let request, let reply):
                guard let host = self.slots.lazy.compactMap(\.host).first(where: { $0.number == number }),
                    host.jobs[evaluation] != nil
                else { continue }
                switch reply {
                case .response(let head, let body):
                    host.writer.append(.response, evaluation, .numberedPart(request, head), .bytes(body))
                case .failed(let failure):
                    host.writer.append(.failed, evaluation, .number(request), .bytes(failure))
                }
            case .ping(let answer): answer()
            case .shutdown(let continuation):
                self.closer = continuation
                self.isOver = true
            }
        }
    }

    private func cancel(_ token: EvaluationToken) {
        for host in self.slots.compactMap(\.host) {
            guard let (number, job) = host.jobs.first(where: { $0.value.token === token }) else { continue }
            host.jobs[number] = nil
            host.writer.append(.cancel, number)
            return job.finish(.cancelled)
        }
        if let index = self.suspects.firstIndex(where: { $0.token === token }) {
            return self.suspects.remove(at: index).finish(.cancelled)
        }
        if let index = self.pending[self.pendingHead...].firstIndex(where: { $0.token === token }) {
            self.pending.remove(at: index).finish(.cancelled)
        }
    }

    private func keepTime() {
        for index in self.slots.indices {
            guard let host = self.slots[index].host else {
                // Until the first is ready, only the first is tried.
                if self.now >= self.slots[index].startsAt, self.starter == nil { self.startHost(index) }
                continue
            }
            self.keepTime(of: host, index)
        }
        guard self.now >= self.nextStatus else { return }
        self.nextStatus =
            self.now + (self.slots.contains { $0.host?.jobs.isEmpty == false } ? .milliseconds(250) : .seconds(1))
        self.mailbox.publish(self.slots.compactMap { slot in slot.host.map { self.status(of: $0, slot) } })
    }

    private func keepTime(of host: Host, _ index: Int) {
        let silent = self.now - host.lastHeard
        let isAnswering = !host.pingIsOpen || silent < Self.silence * 2
        for (number, job) in host.jobs where self.now >= job.deadline {
            // The host keeps its rules' deadlines; it did not keep this one. Where it doesn't answer either, all of them suffer from something else.
            guard isAnswering else {
                host.verdict = "did not answer for \(silent.components.seconds) s"
                break
            }
            host.jobs[number] = nil
            host.writer.append(.cancel, number)
            job.finish(.killed(.init(reason: .timeout, message: "the rule host did not end it in time")))
        }
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
        if host.verdict != nil { self.died(index) }
    }

    func status(of host: Host, _ slot: Slot) -> RuleHostStatus {
        RuleHostStatus(
            process: host.identifier,
            nodeVersion: host.nodeVersion,
            age: .now - host.started,
            residentBytes: host.residentBytes,
            inFlight: host.jobs.count,
            evaluations: host.evaluations,
            deaths: slot.deaths,
            confinement: host.confinement,
            notEnforced: host.notEnforced
        )
    }

    // MARK: Work

    /// Gives what waits to the hosts: suspects alone to their host, all else to the host with the least in flight.
    private func assign() {
        for index in self.slots.indices where self.slots[index].isReserved {
            guard let host = self.slots[index].host, host.phase == .ready, host.jobs.isEmpty else { continue }
            if self.suspects.isEmpty {
                self.slots[index].isReserved = false
            } else {
                self.begin(self.suspects.removeFirst(), on: host)
            }
        }
        guard self.pendingHead < self.pending.count else { return }
        let hosts = self.slots.filter { !$0.isReserved }.compactMap(\.host).filter { $0.phase == .ready }
        guard !hosts.isEmpty else { return }
        while self.pendingHead < self.pending.count {
            guard let host = hosts.min(by: { $0.jobs.count < $1.jobs.count }) else { break }
            self.begin(self.pending[self.pendingHead], on: host)
            self.pendingHead += 1
        }
        self.pending.removeAll(keepingCapacity: true)
        self.pendingHead = 0
    }

    private func begin(_ job: HostJob, on host: Host) {
        job.deadline = self.now + job.evaluation.deadline
        host.begin(job)
    }

    private func startHost(_ index: Int) {
        self.hostCount += 1
        do throws(HostProcess.Failure) {
            let process = try HostProcess(self.configuration.command())
            let host = Host(number: self.hostCount, process: process, maxFrameBytes: self.configuration.maxFrameBytes)
            host.writer.append(.load, 0, .bytes(self.load))
            self.slots[index].host = host
        } catch {
            if let starter = self.starter.take() {
                starter.resume(returning: .failure(RuleHostRefusal(problems: [], message: error.message)))
                self.isOver = true
            } else {
                self.delegate.hostPrinted(error.message)
                self.scheduleRestart(index, afterWork: false)
            }
        }
    }

    func scheduleRestart(_ index: Int, afterWork: Bool) {
        self.slots[index].failures = afterWork ? 0 : self.slots[index].failures + 1
        // At once the first time; then full jitter below 100 ms doubled each time, 30 s at most.
        let failures = self.slots[index].failures
        let ceiling = failures <= 1 ? 0.0 : min(30, 0.1 * Double(1 << min(failures, 12)))
        self.slots[index].startsAt = self.now + .seconds(ceiling == 0 ? 0 : Double.random(in: 0...ceiling))
    }

    // MARK: The end

    private func end() {
        for command in self.mailbox.close() {
            switch command {
            case .evaluate(let job): job.finish(.stopped)
            case .shutdown(let continuation): continuation.resume()
            case .start(let continuation):
                continuation.resume(returning: .failure(RuleHostRefusal(problems: [], message: "shut down")))
            case .ping(let answer): answer()
            case .cancel, .reply: break
            }
        }
        for job in self.pending[self.pendingHead...] + self.suspects { job.finish(.stopped) }
        for host in self.slots.compactMap(\.host) {
            _ = host.end()
            for job in host.jobs.values { job.finish(.stopped) }
        }
        self.starter?.resume(returning: .failure(RuleHostRefusal(problems: [], message: "shut down")))
        self.closer?.resume()
    }
}
