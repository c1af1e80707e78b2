import AfterloginRuleHost
import AfterloginSystem

/// Remembers what the pool says of its hosts.
final class DeathWitness: RuleHostPoolDelegate {
    struct Death: Sendable {
        var process: Int32
        var reason: String
        var confinement: [String]
        var culprit: EvaluationOutcome.Kill?
    }

    private struct State {
        var started: [RuleHostStatus] = []
        var deaths: [Death] = []
        var retired: [Int32] = []
        var warnings: [HostWarning] = []
    }

    private let state = Mutex(State())
    /// What hosts printed below `console`.
    let printed: AsyncStream<String>
    private let printer: AsyncStream<String>.Continuation

    /// Processes that begin to retire.
    let retirements: AsyncStream<Int32>
    private let retirement: AsyncStream<Int32>.Continuation

    init() {
        (self.printed, self.printer) = AsyncStream.makeStream()
        (self.retirements, self.retirement) = AsyncStream.makeStream()
    }

    var started: [RuleHostStatus] { self.state.withLock(\.started) }
    var deaths: [Death] { self.state.withLock(\.deaths) }
    /// Processes that had to make place for fresh ones.
    var retired: [Int32] { self.state.withLock(\.retired) }
    /// What hosts warned of outside of all evaluations.
    var warnings: [HostWarning] { self.state.withLock(\.warnings) }

    func hostStarted(_ host: RuleHostStatus) { self.state.withLock { $0.started.append(host) } }

    func hostDied(_ host: RuleHostStatus, reason: String, culprit: EvaluationOutcome.Kill?) {
        self.state.withLock {
            $0.deaths.append(
                Death(process: host.process, reason: reason, confinement: host.confinement, culprit: culprit)
            )
        }
    }

    func hostRetired(_ host: RuleHostStatus, reason: String) {
        self.state.withLock { $0.retired.append(host.process) }
        self.retirement.yield(host.process)
    }

    func hostPrinted(_ text: String) { self.printer.yield(text) }

    func hostWarned(_ warning: HostWarning) { self.state.withLock { $0.warnings.append(warning) } }
}
