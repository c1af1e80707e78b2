import AfterloginHTTPMessages
import Synchronization

/// The bytes of a response, counted in the client's budget until they are released; at the latest when nobody holds this.
final class CountedBodyHold: BodyHold {
    private let bytes: Int
    private let released: ReleasedBytes
    private let isHeld = Atomic(true)

    init(_ bytes: Int, _ released: ReleasedBytes) {
        self.bytes = bytes
        self.released = released
    }

    deinit { self.release() }

    /// They have been written to whoever asked, or dropped.
    func release() {
        guard self.isHeld.exchange(false, ordering: .acquiringAndReleasing) else { return }
        self.released.add(self.bytes)
    }
}

/// How released bytes come back to the thread: as a sum, which wakes it only where somebody waits for them.
final class ReleasedBytes: Sendable {
    private let sum = Atomic(0)
    private let isAwaited = Atomic(false)
    private let mailbox: Mailbox

    init(_ mailbox: Mailbox) { self.mailbox = mailbox }

    func add(_ bytes: Int) {
        self.sum.add(bytes, ordering: .sequentiallyConsistent)
        guard self.isAwaited.load(ordering: .sequentiallyConsistent),
            self.isAwaited.exchange(false, ordering: .sequentiallyConsistent)
        else { return }
        self.mailbox.post(.look)
    }

    /// For the thread: what was released since it last asked.
    ///
    /// From a `true` on the next release wakes it.
    func take(waits: Bool) -> Int {
        if waits { self.isAwaited.store(true, ordering: .sequentiallyConsistent) }
        return self.sum.exchange(0, ordering: .sequentiallyConsistent)
    }
}
