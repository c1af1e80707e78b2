import CLinux
import Glibc
import Synchronization

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
        /// For the life of a host: what comes after its death is nobody's.
        case reply(host: Int, evaluation: UInt32, request: UInt32, EncodedReply)
        /// The host of that process.
        case retire(Int32)
        case ping(@Sendable () -> Void)
        case shutdown(CheckedContinuation<Void, Never>)
    }

    private struct State {
        var commands: [Command] = []
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

    /// Wakes the thread on the edge from empty to non-empty only; false when the pool is shut down.
    @discardableResult
    func send(_ command: Command) -> Bool {
        let (isOpen, wasEmpty) = self.state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.commands.append(command)
            return (true, state.commands.count == 1)
        }
        if wasEmpty {
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

    func take() -> [Command] { self.state.withLock { state in exchange(&state.commands, with: []) } }

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
