import CLinux
import Glibc
import Synchronization

typealias StartResult = Result<[UInt8], RuleHostRefusal>

/// An evaluation on its way; owned by the thread of the pool once it is sent.
final class HostJob: @unchecked Sendable {
    let evaluation: Evaluation
    let token: EvaluationToken
    let client: any EvaluationClient
    private let continuation: CheckedContinuation<EvaluationOutcome, Never>
    /// When the pool gives it up by itself; counted from its start on a host.
    var deadline = ContinuousClock.now
    /// It was in flight when a host died of something unknown: it runs alone, so that the next death has a culprit.
    var isSuspect = false

    init(
        _ evaluation: Evaluation,
        token: EvaluationToken,
        client: any EvaluationClient,
        continuation: CheckedContinuation<EvaluationOutcome, Never>
    ) {
        self.evaluation = evaluation
        self.token = token
        self.client = client
        self.continuation = continuation
    }

    /// To be called once.
    func finish(_ outcome: EvaluationOutcome) { self.continuation.resume(returning: outcome) }
}

/// What the pool's thread is asked, and what it tells to the rest of the process.
final class HostMailbox: Sendable {
    enum Command: Sendable {
        case start(CheckedContinuation<StartResult, Never>)
        case evaluate(HostJob)
        case cancel(EvaluationToken)
        /// For the life of a host: what comes after its death is nobody's.
        case reply(host: Int, evaluation: UInt32, number: UInt32, HostReply)
        case ping(@Sendable () -> Void)
        case shutdown(CheckedContinuation<Void, Never>)
    }

    private struct State {
        var commands: [Command] = []
        var isClosed = false
        var status: [RuleHostStatus] = []
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
