import AfterloginSystem

/// A value that tests wait on.
final class Observed<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var waiters: [(isReached: @Sendable (Value) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state: Mutex<State>

    init(_ value: Value) { self.state = Mutex(State(value: value)) }

    var value: Value { self.state.withLock { $0.value } }

    @discardableResult
    func update<Result: Sendable>(_ change: (inout Value) -> Result) -> Result {
        let (result, reached) = self.state.withLock { state in
            let result = change(&state.value)
            let value = state.value
            let reached = state.waiters.filter { $0.isReached(value) }
            state.waiters.removeAll { $0.isReached(value) }
            return (result, reached)
        }
        for waiter in reached { waiter.continuation.resume() }
        return result
    }

    func wait(until isReached: @escaping @Sendable (Value) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isThere = self.state.withLock { state in
                if isReached(state.value) { return true }
                state.waiters.append((isReached, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
