import AfterloginSystem

/// So many calls at a time; others wait in line.
package final class CallLimiter: Sendable {
    private struct State {
        var inFlight = 0
        var line: [(id: UInt, continuation: CheckedContinuation<Bool, Never>)] = []
        var lastID: UInt = 0
    }

    private let limit: Int
    private let state = Mutex(State())

    package init(_ limit: Int) { self.limit = max(1, limit) }

    /// Waits for a place, first come first served; false when the task was cancelled meanwhile.
    package func enter() async -> Bool {
        let id: UInt? = self.state.withLock { state in
            if state.inFlight < self.limit {
                state.inFlight += 1
                return nil
            }
            state.lastID += 1
            return state.lastID
        }
        guard let id else { return true }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let entered: Bool? = self.state.withLock { state in
                    if Task.isCancelled { return false }
                    if state.inFlight < self.limit {
                        state.inFlight += 1
                        return true
                    }
                    state.line.append((id, continuation))
                    return nil
                }
                if let entered { continuation.resume(returning: entered) }
            }
        } onCancel: {
            let continuation = self.state.withLock { state -> CheckedContinuation<Bool, Never>? in
                guard let index = state.line.firstIndex(where: { $0.id == id }) else { return nil }
                return state.line.remove(at: index).continuation
            }
            continuation?.resume(returning: false)
        }
    }

    /// Gives the place to the next in line.
    package func leave() {
        let next = self.state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard state.line.isEmpty else { return state.line.removeFirst().continuation }
            state.inFlight -= 1
            return nil
        }
        next?.resume(returning: true)
    }
}
