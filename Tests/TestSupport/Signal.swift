import AfterloginSystem

/// Wakes those who wait for a fact whenever something has changed.
package final class Signal: Sendable {
    private let waiters = Mutex<[CheckedContinuation<Void, Never>]>([])

    package init() {}

    package func send() {
        let waiters = self.waiters.withLock { waiters in
            defer { waiters = [] }
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the fact holds; looked at again at every change.
    package func wait(until holds: @Sendable () -> Bool) async {
        while !holds() {
            await withCheckedContinuation { continuation in
                self.waiters.withLock { $0.append(continuation) }
                // The change may have come between the look and the wait.
                if holds() { self.send() }
            }
        }
    }
}
