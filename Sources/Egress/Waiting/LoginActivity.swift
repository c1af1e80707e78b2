import AfterloginSystem
import Synchronization

/// When an evaluation last gave a sign of life: a frame from its rule host or to it, a call of a native rule, or its end.
///
/// One without for a second merely waits for an answer, and gives its slot back (DESIGN.md 7, rule 4).
package final class LoginActivity: Sendable {
    /// Nanoseconds since `Self.origin`.
    private let latest = Atomic<Int64>(0)
    private let wasFoundIdle = Atomic(false)
    private let onReturn: (@Sendable () -> Void)?

    private static let origin = ContinuousClock.now

    /// `onReturn`: called when it works again after it was found idle.
    package init(onReturn: (@Sendable () -> Void)? = nil) {
        self.onReturn = onReturn
        self.latest.store(Self.nanoseconds, ordering: .relaxed)
    }

    private static var nanoseconds: Int64 { (ContinuousClock.now - Self.origin).wholeNanoseconds }

    /// A sign of life.
    package func noted() {
        guard self.onReturn != nil else { return }
        self.latest.store(Self.nanoseconds, ordering: .relaxed)
        if self.wasFoundIdle.exchange(false, ordering: .acquiringAndReleasing) { self.onReturn?() }
    }

    /// Whether it was found idle and has not worked since.
    package var isIdle: Bool { self.wasFoundIdle.load(ordering: .acquiring) }

    /// Whether it has been silent for that long; said once until it works again.
    package func becameIdle(after silence: Duration) -> Bool {
        guard Self.nanoseconds - self.latest.load(ordering: .relaxed) >= silence.wholeNanoseconds else { return false }
        return !self.wasFoundIdle.exchange(true, ordering: .acquiringAndReleasing)
    }
}
