import RuleHost
import Synchronization

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
        var warnings: [String] = []
    }

    private let state = Mutex(State())
    /// What hosts printed below `console`.
    let printed: AsyncStream<String>
    private let printer: AsyncStream<String>.Continuation

    init() { (self.printed, self.printer) = AsyncStream.makeStream() }

    var started: [RuleHostStatus] { self.state.withLock(\.started) }
    var deaths: [Death] { self.state.withLock(\.deaths) }
    /// What hosts warned of outside of all evaluations.
    var warnings: [String] { self.state.withLock(\.warnings) }

    func hostStarted(_ host: RuleHostStatus) { self.state.withLock { $0.started.append(host) } }

    func hostDied(_ host: RuleHostStatus, reason: String, culprit: EvaluationOutcome.Kill?) {
        self.state.withLock {
            $0.deaths.append(
                Death(process: host.process, reason: reason, confinement: host.confinement, culprit: culprit)
            )
        }
    }

    func hostPrinted(_ text: String) { self.printer.yield(text) }

    func hostWarned(_ warning: [UInt8]) {
        self.state.withLock { $0.warnings.append(String(decoding: warning, as: UTF8.self)) }
    }
}
