import AfterloginSystem

/// A door that a rule waits at until the test opens it.
package final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, guests: [CheckedContinuation<Void, Never>])>((false, []))
    private let changed = Signal()

    package init() {}

    package func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = self.state.withLock { state in
                if !state.isOpen { state.guests.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
            self.changed.send()
        }
    }

    package func waitForGuest() async { await self.changed.wait { self.state.withLock { !$0.guests.isEmpty } } }

    package func open() {
        let guests = self.state.withLock { state in
            state.isOpen = true
            defer { state.guests = [] }
            return state.guests
        }
        for guest in guests { guest.resume() }
    }
}
