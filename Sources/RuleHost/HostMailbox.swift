import AfterloginCLinux
import AfterloginSystem
import Glibc

typealias StartResult = Result<LoadReply, RuleHostRefusal>

/// What the pool's thread is asked, and what it tells to the rest of the process.
final class HostMailbox: Sendable {
    enum Command: Sendable {
        case start(CheckedContinuation<StartResult, Never>)
        case evaluate(HostJob)
        case cancel(EvaluationToken)
        case end(EvaluationToken, destination: String?)
        case told(EvaluationToken, destination: String)
        case gotThrough(EvaluationToken, destination: String)
        /// For the life of a host: what comes after its death is dropped.
        case reply(host: Int, evaluation: UInt32, request: UInt32, EncodedReply)
        /// The host of that process.
        case retire(Int32)
        case ping(@Sendable () -> Void)
        case shutdown(CheckedContinuation<Void, Never>)
    }

    private struct State {
        var commands: [Command] = []
        /// The thread waits for its descriptors, or is about to.
        var isAsleep = false
        var isClosed = false
        var status: [RuleHostStatus] = []
        /// Whether a host may be tainted: nobody need say what got through where none is.
        var mayBeTainted = false
    }

    let wakeDescriptor: Int32
    private let state = Mutex(State())

    init() {
        self.wakeDescriptor = shim_eventfd()
        precondition(self.wakeDescriptor >= 0, "no descriptor for the rule hosts: error \(errno)")
    }

    deinit { Glibc.close(self.wakeDescriptor) }

    /// Wakes the thread where it sleeps, once; false when the pool is shut down.
    @discardableResult
    func send(_ command: Command) -> Bool {
        let (isOpen, wasAsleep) = self.state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.commands.append(command)
            return (true, exchange(&state.isAsleep, with: false))
        }
        if wasAsleep {
            var one: UInt64 = 1
            _ = unsafe write(self.wakeDescriptor, &one, 8)
        }
        return isOpen
    }

    /// As `send`, of what taints a host.
    func sendTaint(_ command: Command) {
        self.oneMayBeTainted()
        self.send(command)
    }

    func oneMayBeTainted() { self.state.withLock { $0.mayBeTainted = true } }

    var mayBeTainted: Bool { self.state.withLock(\.mayBeTainted) }

    /// No host is tainted; what is on its way may taint one.
    func noneIsTainted() {
        self.state.withLock { state in if state.commands.isEmpty { state.mayBeTainted = false } }
    }

    /// What was sent since; the thread is at work.
    func take() -> [Command] {
        self.state.withLock { state in
            state.isAsleep = false
            return exchange(&state.commands, with: [])
        }
    }

    /// The thread is about to wait; false where something has come already.
    func sleeps() -> Bool {
        self.state.withLock { state in
            state.isAsleep = state.commands.isEmpty
            return state.isAsleep
        }
    }

    /// Nothing is taken any more; returns what came before.
    func close() -> [Command] {
        self.state.withLock { state in
            state.isClosed = true
            state.status = []
            return exchange(&state.commands, with: [])
        }
    }

    var status: [RuleHostStatus] { self.state.withLock(\.status) }
    func publish(_ status: [RuleHostStatus]) { self.state.withLock { $0.status = status } }
}
