import HTTPClient
import Synchronization

/// The calls that one run of one or several rules made: what the retry policy and the reports need of them.
///
/// Shared between the rule's task (or the thread of the rule hosts) and the tasks of its calls.
final class CallLog: Sendable {
    struct Entry {
        var calls = 0
        var open = 0
        var failedRetryably = false
        var retryAfter: Duration?
        var failures: [String] = []
    }

    private struct State {
        var entries: [Int: Entry] = [:]
        var outage: (any Outage)?
    }

    /// Failed calls that a report names, per rule.
    private static let maxFailures = 5

    private let state = Mutex(State())

    func started(rule: Int) {
        self.state.withLock { state in
            state.entries[rule, default: Entry()].calls += 1
            state.entries[rule, default: Entry()].open += 1
        }
    }

    func finished(rule: Int, _ outcome: CallOutcome) {
        self.state.withLock { state in
            var entry = state.entries[rule, default: Entry()]
            entry.open -= 1
            if outcome.failedRetryably {
                entry.failedRetryably = true
                entry.retryAfter = [entry.retryAfter, outcome.retryAfter].compactMap(\.self).max()
                if entry.failures.count < Self.maxFailures { entry.failures.append(outcome.summary) }
            }
            state.entries[rule] = entry
        }
    }

    /// The rule gave up on a call that had no response yet (its own time-out, say): another attempt may have more luck.
    func abandoned(rule: Int) {
        self.finished(
            rule: rule,
            CallOutcome(failedRetryably: true, summary: "a call was given up before its response")
        )
    }

    /// Says whether this is the first outage that the run met.
    func met(_ outage: any Outage) -> Bool {
        self.state.withLock { state in
            guard state.outage == nil else { return false }
            state.outage = outage
            return true
        }
    }

    var outage: (any Outage)? { self.state.withLock(\.outage) }

    func entry(_ rule: Int) -> Entry { self.state.withLock { $0.entries[rule] ?? Entry() } }

    /// The rule host died and the run starts again.
    func reset() { self.state.withLock { $0 = State() } }
}
