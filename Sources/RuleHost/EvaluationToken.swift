import AfterloginSystem

/// Names an evaluation to the pool from elsewhere.
///
/// `job` and `host` belong to the thread of the pool.
package final class EvaluationToken: @unchecked Sendable {
    /// While it runs.
    var job: HostJob?
    /// The host on which it runs, or ran last: what it asked for there may be answered after its end.
    var host: Int?

    private struct Waiting {
        var destination: String?
        var hasCalled = false
    }

    private let waiting = Mutex(Waiting())

    package init() {}

    func waits(for destination: String?) { self.waiting.withLock { $0.destination = destination } }

    func hasCalled() { self.waiting.withLock { $0.hasCalled = true } }

    func restarted() { self.waiting.withLock { $0.hasCalled = false } }

    /// The destination that it waits for.
    var destination: String? { self.waiting.withLock(\.destination) }

    /// The destination that it waits for and has not called.
    var uncalled: String? { self.waiting.withLock { $0.hasCalled ? nil : $0.destination } }
}
