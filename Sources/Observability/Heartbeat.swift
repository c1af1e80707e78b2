package import AfterloginSystem

/// Whether the worker's threads still turn: a look asks each for a sign, which it must have given by a later look.
///
/// Nothing is done between looks, so an idle worker pays nothing.
package final class Heartbeat: Sendable {
    /// Calls `answer` from the thread that is asked.
    package typealias Ask = @Sendable (_ answer: @escaping @Sendable () -> Void) -> Void

    /// Far beyond what a thread may be busy with: a busy machine is not a reason to restart.
    package static let patience = Duration.seconds(30)

    private let threads: [(name: String, ask: Ask)]
    private let clock: any WorkerClock
    /// By name, those that were asked and have not answered yet.
    private let debts = Mutex<[String: ContinuousClock.Instant]>([:])

    package init(_ threads: [(name: String, ask: Ask)], clock: any WorkerClock = ContinuousClock()) {
        self.threads = threads
        self.clock = clock
    }

    /// Asks all that owe no answer.
    ///
    /// - Returns: Those that have owed one for longer than `patience`.
    package func look() -> [(name: String, silent: Duration)] {
        let now = self.clock.now
        let debts = self.debts.withLock { debts in
            let old = debts
            for thread in self.threads where debts[thread.name] == nil { debts[thread.name] = now }
            return old
        }
        for thread in self.threads where debts[thread.name] == nil {
            thread.ask { self.debts.withLock { $0[thread.name] = nil } }
        }
        return self.threads.compactMap { thread in
            guard let since = debts[thread.name], now - since > Self.patience else { return nil }
            return (thread.name, now - since)
        }
    }
}
