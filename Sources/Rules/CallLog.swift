import AfterloginEgress
import AfterloginSystem
import AfterloginWaiting

/// The calls that one run of one or several rules made: what verdicts and reports need of them.
///
/// Shared between the rule's task (or the thread of the rule hosts) and the tasks of its calls.
final class CallLog: Sendable {
    struct Entry {
        var calls = 0
        /// Calls that have no answer yet.
        var open = 0
        /// A call failed in a way that another run may mend, and the rule was told, or gave up on it.
        var hasFailed = false
        /// The same, and the destination is neither optional nor past patience: the rule is not done where it swallowed that.
        var failedSo = false
        /// The calls that failed, for people, those included that are forgiven.
        var failures: [String] = []
    }

    private struct State {
        var entries: [Int: Entry] = [:]
        var away: Destination?
        /// Of all rules.
        var open = 0
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// Failed calls that a report names, per rule.
    private static let maxFailures = 5

    private let state = Mutex(State())

    func started(rule: Int) {
        self.state.withLock { state in
            state.entries[rule, default: Entry()].calls += 1
            state.entries[rule, default: Entry()].open += 1
            state.open += 1
        }
    }

    func finished(rule: Int, _ outcome: CallOutcome) {
        let waiters: [CheckedContinuation<Void, Never>] = self.state.withLock { state in
            var entry = state.entries[rule, default: Entry()]
            entry.open -= 1
            if outcome.failedSo { entry.failedSo = true }
            if outcome.failedAt != nil { entry.hasFailed = true }
            if outcome.failedAt != nil, entry.failures.count < Self.maxFailures {
                entry.failures.append(outcome.summary)
            }
            state.entries[rule] = entry
            state.open -= 1
            return state.open == 0 ? exchange(&state.waiters, with: []) : []
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Its rule did not wait for an answer that was on its way.
    func cameTooLate(rule: Int) {
        self.state.withLock { state in
            state.entries[rule, default: Entry()].failedSo = true
            state.entries[rule, default: Entry()].hasFailed = true
        }
    }

    /// Returns when no call is without its end: one that was given up says a moment later what it came to.
    func settled() async {
        guard self.state.withLock({ $0.open > 0 }) else { return }
        await withCheckedContinuation { continuation in
            let isSettled = self.state.withLock { state in
                if state.open > 0 { state.waiters.append(continuation) }
                return state.open == 0
            }
            if isSettled { continuation.resume() }
        }
    }

    /// What the run needs is away; says whether this is the first that it met.
    func met(_ destination: Destination) -> Bool {
        self.state.withLock { state in
            guard state.away == nil else { return false }
            state.away = destination
            return true
        }
    }

    /// What the run was ended for.
    var away: Destination? { self.state.withLock(\.away) }

    func entry(_ rule: Int) -> Entry { self.state.withLock { $0.entries[rule] ?? Entry() } }

    /// Whether any rule of the run was told of a failure.
    var hasFailedSo: Bool { self.state.withLock { $0.entries.values.contains(where: \.failedSo) } }
}
