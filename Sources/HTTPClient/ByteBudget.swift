/// How many bytes of requests and responses may be in memory together, and who has to wait.
///
/// Pure. A transfer is known by its number; the smallest is the oldest. Its bytes stay counted after its end, until they are
/// released: written to whoever asked. At the limit all stop reading but the oldest, which goes on, so that something ends;
/// it does not while bytes of ended transfers wait to be released, which is no business of theirs. So at most one response
/// lies above the limit.
struct ByteBudget {
    private struct Transfer {
        var held = 0
        /// What is still to come, as far as was announced.
        var rest: Int?
        var isPaused = false
    }

    let limit: Int
    private(set) var total = 0
    /// Of these: what has ended, and is not released.
    private(set) var ended = 0
    private(set) var pausedCount = 0
    private var transfers: [Int: Transfer] = [:]
    private(set) var oldest: Int?

    /// What a response is taken for that doesn't say its length.
    static let unknownRest = 1 << 20

    init(limit: Int) { self.limit = limit }

    /// Whether another transfer may begin: nobody waits, and its request has room.
    ///
    /// One that is too large goes alone.
    func mayBegin(_ bytes: Int) -> Bool {
        self.total == 0 || self.pausedCount == 0 && self.total < self.limit && self.total + bytes <= self.limit
    }

    mutating func begins(_ number: Int, _ bytes: Int) {
        self.transfers[number] = Transfer(held: bytes)
        self.total += bytes
        self.oldest = min(self.oldest ?? number, number)
    }

    /// So much is announced, and not yet there.
    mutating func announced(_ number: Int, _ bytes: Int) { self.transfers[number]?.rest = bytes }

    /// Takes bytes whatever there is: headers, which have a bound of their own.
    mutating func takes(_ number: Int, _ bytes: Int) {
        guard self.transfers[number] != nil else { return }
        self.transfers[number]?.held += bytes
        self.total += bytes
    }

    /// Takes bytes of a body, or says that reading has to pause.
    ///
    /// `mayShare`: whether the oldest could not go on without this one.
    mutating func arrives(_ number: Int, _ bytes: Int, mayShare: Bool = false) -> Bool {
        guard var transfer = self.transfers[number] else { return true }
        guard self.hasRoom(for: bytes) || self.mayExceed(number, transfer, mayShare) else {
            if !transfer.isPaused { self.pausedCount += 1 }
            transfer.isPaused = true
            self.transfers[number] = transfer
            return false
        }
        transfer.held += bytes
        transfer.rest = transfer.rest.map { max(0, $0 - bytes) }
        self.transfers[number] = transfer
        self.total += bytes
        return true
    }

    func hasRoom(for bytes: Int) -> Bool { self.total + bytes <= self.limit }

    private func mayExceed(_ number: Int, _ transfer: Transfer, _ mayShare: Bool) -> Bool {
        guard self.ended == 0 || self.total - transfer.held <= self.limit else { return false }
        return number == self.oldest || mayShare
    }

    /// It is over: what it keeps (its response) waits to be released, the rest is free.
    ///
    /// - Returns: how much of it is kept.
    @discardableResult
    mutating func ends(_ number: Int, keeping kept: Int) -> Int {
        guard let transfer = self.transfers.removeValue(forKey: number) else { return 0 }
        if transfer.isPaused { self.pausedCount -= 1 }
        let kept = min(kept, transfer.held)
        self.total -= transfer.held - kept
        self.ended += kept
        if self.oldest == number { self.oldest = self.transfers.keys.min() }
        return kept
    }

    mutating func released(_ bytes: Int) {
        self.ended -= bytes
        self.total -= bytes
    }

    /// Who may read on: the oldest of those that wait, as many as have room for all that they still expect.
    ///
    /// `mayShare`: as in `arrives`.
    mutating func takeResumable(mayShare: (Int) -> Bool = { _ in false }) -> [Int] {
        guard self.pausedCount > 0 else { return [] }
        var room = self.limit - self.total
        var resumed: [Int] = []
        for (number, transfer) in self.transfers.filter(\.value.isPaused).sorted(by: { $0.key < $1.key }) {
            guard room > 0 || self.mayExceed(number, transfer, mayShare(number)) else { continue }
            room -= max(1, transfer.rest ?? Self.unknownRest)
            self.transfers[number]?.isPaused = false
            self.pausedCount -= 1
            resumed.append(number)
        }
        return resumed
    }
}
