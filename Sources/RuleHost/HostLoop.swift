import AfterloginCLinux
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
        /// Of a host that is to retire.
        var successor: Host?
        var startsAt = ContinuousClock.now
        /// Hosts in a row that ended before they finished anything.
        var failures = 0
        var deaths = 0
    }

    let configuration: RuleHostConfiguration
    let load: [UInt8]
    let delegate: any RuleHostPoolDelegate
    let mailbox: HostMailbox
    /// All that live.
    var hosts: [Host] = []
    /// The configured number.
    var slots: [Slot] = []
    /// Beyond it, each only while there is need of it.
    var spare = Slot()
    var quarantine = Slot()
    var pending: [HostJob] = []
    /// Groups of suspects, each to run alone on a host.
    var groups: [[HostJob]] = []
    var taints = HostTaints()
    var secrets = SecretSource()
    var starter: CheckedContinuation<StartResult, Never>?
    var closer: CheckedContinuation<Void, Never>?
    var isOver = false
    var now = ContinuousClock.now
    /// When deadlines of evaluations are looked at: they are seconds away, and the thread turns for every frame.
    var nextDeadlines = ContinuousClock.now
    /// When sizes are looked at and `/status` is renewed.
    var nextLook = ContinuousClock.now
    var nextMemoryRetirement = ContinuousClock.now
    private var hostCount = 0
    var polled: [pollfd] = []
    var buffer = [UInt8](repeating: 0, count: 256 << 10)

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
            for host in self.hosts { self.write(host) }
        }
        self.end()
    }

    private func takeCommands() {
        for command in self.mailbox.take() {
            switch command {
            case .start(let continuation):
                self.starter = continuation
                self.slots = Array(repeating: Slot(), count: max(1, self.configuration.count))
                self.startHost(.regular(slot: 0))
            case .evaluate(let job): self.pending.append(job)
            case .cancel(let token): self.cancel(token)
            case .end(let token, let destination): self.end(token, for: destination)
            case .told(let token, let destination): self.told(token, of: destination)
            case .gotThrough(let token, let destination): self.gotThrough(token, to: destination)
            case .reply(let number, let evaluation, let request, let reply):
                guard let host = self.hosts.first(where: { $0.number == number }),
                    host.jobs[evaluation] != nil || host.ended.contains(evaluation)
                else { continue }
                reply.append(to: &host.writer, evaluation: evaluation, request: request)
            case .retire(let process):
                if let host = self.hosts.first(where: { $0.identifier == process }) {
                    self.retire(host, "it was asked to")
                }
            case .ping(let answer): answer()
            case .shutdown(let continuation):
                self.closer = continuation
                self.isOver = true
            }
        }
    }

    // MARK: Starting

    func startHost(_ role: Host.Role) {
        self.hostCount += 1
        do throws(HostProcess.Failure) {
            let host = Host(
                number: self.hostCount,
                role: role,
                process: try HostProcess(self.configuration.command()),
                maxFrameBytes: self.configuration.maxFrameBytes
            )
            host.writer.append(.load, 0, .bytes(self.load[...]))
            self.hosts.append(host)
            self.withSlot(of: role) { slot in
                if case .successor = role { slot.successor = host } else { slot.host = host }
            }
        } catch {
            if let starter = self.starter.take() {
                starter.resume(returning: .failure(RuleHostRefusal(error.message)))
                self.isOver = true
            } else {
                self.delegate.hostPrinted(error.message)
                self.scheduleRestart(role, afterWork: false)
            }
        }
    }

    func scheduleRestart(_ role: Host.Role, afterWork: Bool) {
        let now = self.now
        self.withSlot(of: role) { slot in
            slot.failures = afterWork ? 0 : slot.failures + 1
            // At once the first time; then full jitter below 100 ms doubled each time, 30 s at most.
            let ceiling = slot.failures <= 1 ? 0.0 : min(30, 0.1 * Double(1 << min(slot.failures, 12)))
            slot.startsAt = now + .seconds(ceiling == 0 ? 0 : Double.random(in: 0...ceiling))
        }
    }

    /// A host that retires has none.
    func withSlot(of role: Host.Role, _ body: (inout Slot) -> Void) {
        switch role {
        case .regular(let index), .successor(let index): body(&self.slots[index])
        case .spare: body(&self.spare)
        case .quarantine: body(&self.quarantine)
        case .retiring: break
        }
    }

    // MARK: The end

    private func end() {
        for command in self.mailbox.close() {
            switch command {
            case .evaluate(let job): job.finish(.stopped)
            case .shutdown(let continuation): continuation.resume()
            case .start(let continuation): continuation.resume(returning: .failure(RuleHostRefusal("shut down")))
            case .ping(let answer): answer()
            case .cancel, .end, .told, .gotThrough, .reply, .retire: break
            }
        }
        for job in self.pending + self.groups.joined() { job.finish(.stopped) }
        for host in self.hosts {
            _ = host.end()
            for job in host.jobs.values { job.finish(.stopped) }
        }
        self.starter?.resume(returning: .failure(RuleHostRefusal("shut down")))
        self.closer?.resume()
    }
}
