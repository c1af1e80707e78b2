/// Calls that wait for a connection or for bytes, the first come first.
struct WaitingCalls {
    private var calls: [ObjectIdentifier: (job: Job, continuation: Mailbox.Continuation)] = [:]
    /// In their order; those that were taken out stay until their turn.
    private var order: [ObjectIdentifier] = []
    private var head = 0

    var isEmpty: Bool { self.calls.isEmpty }

    mutating func append(_ job: Job, _ continuation: Mailbox.Continuation) {
        self.calls[ObjectIdentifier(job)] = (job, continuation)
        self.order.append(ObjectIdentifier(job))
    }

    /// The one whose turn it is.
    var first: Job? {
        mutating get {
            while self.head < self.order.count {
                if let call = self.calls[self.order[self.head]] { return call.job }
                self.skip()
            }
            return nil
        }
    }

    mutating func popFirst() -> (job: Job, continuation: Mailbox.Continuation)? {
        guard let job = self.first else { return nil }
        self.skip()
        return self.calls.removeValue(forKey: ObjectIdentifier(job))
    }

    /// Takes a call out before its turn.
    mutating func remove(_ job: Job) -> Mailbox.Continuation? {
        self.calls.removeValue(forKey: ObjectIdentifier(job))?.continuation
    }

    mutating func removeAll() -> [Mailbox.Continuation] {
        defer { self = Self() }
        return self.calls.values.map(\.continuation)
    }

    private mutating func skip() {
        self.head += 1
        guard self.head > 64, self.head * 2 > self.order.count else { return }
        self.order.removeFirst(self.head)
        self.head = 0
    }
}
