import AfterloginSystem

/// A clock that moves only when a test says so.
package final class ManualClock: WorkerClock {
    private struct State {
        var now = ContinuousClock.now
        var wallClock = 1_800_000_000.0
        var nextID = 0
        var sleepers: [Int: (deadline: ContinuousClock.Instant, continuation: CheckedContinuation<Void, any Error>)] =
            [:]
        var observers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

        mutating func observersToWake() -> [CheckedContinuation<Void, Never>] {
            let count = self.sleepers.count
            let ready = self.observers.filter { $0.count <= count }
            self.observers.removeAll { $0.count <= count }
            return ready.map(\.continuation)
        }
    }

    private let state = Mutex(State())

    package init() {}

    package var now: ContinuousClock.Instant { self.state.withLock { $0.now } }
    package var wallClock: Double { self.state.withLock { $0.wallClock } }
    package var minimumResolution: Duration { .nanoseconds(1) }
    /// How many tasks sleep on this clock now.
    package var sleepers: Int { self.state.withLock { $0.sleepers.count } }
    /// When the first of them wakes.
    package var nextDeadline: ContinuousClock.Instant? {
        self.state.withLock { $0.sleepers.values.map(\.deadline).min() }
    }

    package func sleep(until deadline: ContinuousClock.Instant, tolerance: Duration?) async throws {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                var observers: [CheckedContinuation<Void, Never>] = []
                let immediate: Result<Void, any Error>? = self.state.withLock { state in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if deadline <= state.now { return .success(()) }
                    state.sleepers[id] = (deadline, continuation)
                    observers = state.observersToWake()
                    return nil
                }
                if let immediate { continuation.resume(with: immediate) }
                for observer in observers { observer.resume() }
            }
        } onCancel: {
            let sleeper = self.state.withLock { $0.sleepers.removeValue(forKey: id) }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Moves the time, and wakes those whose time has come, the earliest first.
    package func advance(by duration: Duration) {
        let due = self.state.withLock { state in
            state.now = state.now.advanced(by: duration)
            state.wallClock += duration / .seconds(1)
            let due = state.sleepers.filter { $0.value.deadline <= state.now }
            for id in due.keys { state.sleepers[id] = nil }
            return due.values.sorted { $0.deadline < $1.deadline }
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    /// Returns when at least that many tasks sleep on this clock.
    package func waitForSleepers(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = self.state.withLock { state in
                if state.sleepers.count >= count { return true }
                state.observers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
