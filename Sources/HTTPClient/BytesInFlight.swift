import AfterloginCCurl
import AfterloginHTTPMessages

/// The budget of bytes, applied to transfers: which of them pause, and how long they may take afterwards.
///
/// Confined to the loop's thread. Time that a transfer is paused is not counted against it: libcurl's own time limit is
/// switched off at the first pause, and one of ours takes its place.
@safe struct BytesInFlight {
    private var budget: ByteBudget
    private let released: ReleasedBytes
    private var lastNumber = 0
    private var transfers: [Int: CurlTransfer] = [:]
    /// Of those that have been paused: what is left of their time, in nanoseconds, or when it is over.
    private var timeLeft: [Int: Int] = [:]
    private var deadlines: [Int: Int] = [:]
    private var mayResume = false

    init(limit: Int, _ mailbox: Mailbox) {
        self.budget = ByteBudget(limit: max(1, limit))
        self.released = ReleasedBytes(mailbox)
    }

    // MARK: A transfer

    func mayBegin(_ request: HTTPRequest) -> Bool { self.budget.mayBegin(Self.cost(of: request)) }

    mutating func begins(_ transfer: CurlTransfer, _ request: HTTPRequest) {
        self.lastNumber += 1
        transfer.number = self.lastNumber
        self.transfers[transfer.number] = transfer
        self.budget.begins(transfer.number, Self.cost(of: request))
    }

    /// The caller's bytes, and libcurl's copy of them.
    private static func cost(of request: HTTPRequest) -> Int { request.body.count * 2 }

    mutating func takes(_ transfer: CurlTransfer, _ count: Int) { self.budget.takes(transfer.number, count) }

    /// Whether the transfer may take more of its body now; if not, libcurl is told to pause it.
    mutating func arrives(_ transfer: CurlTransfer, _ count: Int) -> Bool {
        if transfer.body.isEmpty, let length = transfer.announcedBytes {
            self.budget.announced(transfer.number, length)
        }
        let shares = !self.budget.hasRoom(for: count) && self.sharesWithOldest(transfer.number)
        if self.budget.arrives(transfer.number, count, mayShare: shares) { return true }
        let now = CurlLoop.now
        if let deadline = self.deadlines.removeValue(forKey: transfer.number) {
            self.timeLeft[transfer.number] = deadline - now
        } else if self.timeLeft[transfer.number] == nil, let timeout = transfer.stopTimer() {
            self.timeLeft[transfer.number] = timeout
        }
        return false
    }

    /// On a connection of HTTP/2 that also carries the oldest, a transfer that pauses would hold back the oldest too.
    private func sharesWithOldest(_ number: Int) -> Bool {
        guard let oldest = self.budget.oldest, oldest != number, let port = self.transfers[oldest]?.localPort else {
            return false
        }
        return port != 0 && self.transfers[number]?.localPort == port
    }

    /// It is over: a response holds its bytes until it is let go.
    mutating func ends(_ transfer: CurlTransfer, _ result: inout Result<HTTPResponse, HTTPFailure>) {
        let number = transfer.number
        self.mayResume = true
        self.transfers[number] = nil
        if !self.timeLeft.isEmpty { self.timeLeft[number] = nil }
        if !self.deadlines.isEmpty { self.deadlines[number] = nil }
        guard case .success(var response) = result else {
            self.budget.ends(number, keeping: 0)
            return
        }
        let kept = self.budget.ends(number, keeping: response.body.count + transfer.headerBytes.count)
        response.hold = CountedBodyHold(kept, self.released)
        result = .success(response)
    }

    /// How a transfer fails that nobody wants any more.
    func cancelled(_ transfer: CurlTransfer) -> HTTPFailure {
        var failure = HTTPFailure.cancelled(sentBytes: transfer.sentBytes)
        failure.wasHeldBack = self.timeLeft[transfer.number] != nil
        return failure
    }

    // MARK: Between events

    /// Who may read on.
    ///
    /// - Parameter isAwaited: Whether calls that have not begun wait as well.
    /// - Returns: those that libcurl is to be told of.
    mutating func takeResumable(isAwaited: Bool) -> [CurlTransfer] {
        let bytes = self.released.take(waits: isAwaited || self.budget.pausedCount > 0)
        if bytes > 0 {
            self.budget.released(bytes)
            self.mayResume = true
        }
        guard self.mayResume, self.budget.pausedCount > 0 else { return [] }
        self.mayResume = false
        let now = CurlLoop.now
        let sharing = Set(self.timeLeft.keys.filter { self.sharesWithOldest($0) })
        let numbers = self.budget.takeResumable { sharing.contains($0) }
        for number in numbers {
            if let left = self.timeLeft.removeValue(forKey: number) { self.deadlines[number] = now + left }
        }
        return numbers.compactMap { self.transfers[$0] }
    }

    /// When the first of those that have been paused runs out of time.
    var nextDeadline: Int? { self.deadlines.isEmpty ? nil : self.deadlines.values.min() }

    /// Those that have run out of it.
    func overdue(at now: @autoclosure () -> Int) -> [CurlTransfer] {
        guard !self.deadlines.isEmpty else { return [] }
        let now = now()
        return self.deadlines.filter { $0.value <= now }.compactMap { self.transfers[$0.key] }
    }
}
