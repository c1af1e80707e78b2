import AfterloginSystem

/// Thrown once by a signal; what is to be stopped may come later.
final class StopSwitch: Sendable {
    private struct State {
        var isThrown = false
        var actions: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    var isThrown: Bool { self.state.withLock(\.isThrown) }

    func throwIt() {
        let actions = self.state.withLock { state in
            state.isThrown = true
            return exchange(&state.actions, with: [])
        }
        for action in actions { action() }
    }

    /// At once when it was thrown before.
    func onThrow(_ action: @escaping @Sendable () -> Void) {
        let isThrown = self.state.withLock { state in
            if !state.isThrown { state.actions.append(action) }
            return state.isThrown
        }
        if isThrown { action() }
    }
}
