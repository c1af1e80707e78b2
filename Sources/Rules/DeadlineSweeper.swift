import AfterloginSystem

/// Calls back when time is up, for many short deadlines: one sleeping task for all, none while there is nothing to watch.
///
/// A timer per login would cost more than the login; deadlines of rules may be late by `tick`.
final class DeadlineSweeper: Sendable {
    private struct State {
        var entries: [UInt64: (deadline: ContinuousClock.Instant, expire: @Sendable () -> Void)] = [:]
        var next: UInt64 = 0
        var isSweeping = false
    }

    private let tick: Duration
    private let state = Mutex(State())

    init(tick: Duration = .milliseconds(100)) { self.tick = tick }

    func watch(until deadline: ContinuousClock.Instant, expire: @escaping @Sendable () -> Void) -> UInt64 {
        let (number, starts) = self.state.withLock { state in
            state.next += 1
            state.entries[state.next] = (deadline, expire)
            defer { state.isSweeping = true }
            return (state.next, !state.isSweeping)
        }
        if starts { Task { await self.sweep() } }
        return number
    }

    func forget(_ number: UInt64) { self.state.withLock { $0.entries[number] = nil } }

    private func sweep() async {
        while true {
            try? await Task.sleep(for: self.tick)
            let now = ContinuousClock.now
            let expired: [@Sendable () -> Void]? = self.state.withLock { state in
                guard !state.entries.isEmpty else {
                    state.isSweeping = false
                    return nil
                }
                let due = state.entries.filter { $0.value.deadline <= now }
                for number in due.keys { state.entries[number] = nil }
                return due.values.map(\.expire)
            }
            guard let expired else { return }
            for expire in expired { expire() }
        }
    }
}
