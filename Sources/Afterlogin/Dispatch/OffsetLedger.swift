/// What was received of one partition in one assignment, and how far everything before is done.
///
/// Works on offsets that were seen, never on arithmetic: transaction markers and compaction leave gaps. The completion map of a later issue is made
/// from what this knows beyond `committable`.
struct OffsetLedger {
    /// In the order received, which is ascending; entries before `head` are gone.
    private var entries: [(offset: Int64, isResolved: Bool)] = []
    private var head = 0
    /// The offset that a commit may name: one more than the last of the contiguous resolved, or the partition's end when all is; nil before the first.
    private(set) var committable: Int64?
    /// Everything below was received: between the last record and this are markers, or what was removed.
    private var end: Int64 = 0

    /// Received, and not below `committable`: what a restart would read again.
    var span: Int { self.entries.count - self.head }
    /// Resolved beyond a login that is not.
    private(set) var resolvedBeyond = 0
    /// The oldest offset that is not resolved.
    var oldest: Int64? { self.head < self.entries.count ? self.entries[self.head].offset : nil }

    /// A record arrived; false for one that is already known.
    mutating func received(_ offset: Int64) -> Bool {
        if let last = self.entries.last?.offset, offset <= last { return false }
        if let committable = self.committable, offset < committable { return false }
        self.entries.append((offset, false))
        return true
    }

    /// Its result was acknowledged.
    ///
    /// Returns how many offsets `committable` moved over.
    @discardableResult
    mutating func resolved(_ offset: Int64) -> Int {
        guard let index = self.index(of: offset), !self.entries[index].isResolved else { return 0 }
        self.entries[index].isResolved = true
        self.resolvedBeyond += 1
        var moved = 0
        while self.head < self.entries.count, self.entries[self.head].isResolved {
            self.committable = self.entries[self.head].offset + 1
            self.head += 1
            moved += 1
        }
        self.resolvedBeyond -= moved
        _ = self.moveToEnd()
        // Moving the rest costs as much as was removed: constant per record on average.
        if self.head > 1_024, self.head * 2 > self.entries.count {
            self.entries.removeFirst(self.head)
            self.head = 0
        }
        return moved
    }

    /// The reader is at the partition's end.
    ///
    /// Without it a partition that ends in a transaction's marker would never be done, and one whose rest was removed neither.
    mutating func endReached(_ offset: Int64) -> Int {
        self.end = max(self.end, offset)
        return self.moveToEnd()
    }

    private mutating func moveToEnd() -> Int {
        guard self.span == 0, self.end > self.committable ?? -1 else { return 0 }
        self.committable = self.end
        return 1
    }

    private func index(of offset: Int64) -> Int? {
        var low = self.head
        var high = self.entries.count
        while low < high {
            let middle = (low + high) / 2
            if self.entries[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low < self.entries.count && self.entries[low].offset == offset ? low : nil
    }
}
