/// What was received of one partition in one assignment, and what of it is complete.
///
/// Works on offsets that were seen, never on arithmetic: transaction markers and compaction leave holes, which count as neither. It keeps runs of
/// offsets that are not complete, so its memory is bounded by what is admitted, however far the end is ahead of a login that takes long.
struct OffsetLedger {
    enum Reception: Equatable {
        /// It is to be handled.
        case admitted
        /// The committed map says that it was complete already.
        case complete
        /// It was received before.
        case known
    }

    /// Neighbouring offsets that were received and are not complete; a hole ends a run.
    private struct Run {
        var first: Int64
        var last: Int64
        /// Something complete lies between it and the run before; else only a hole.
        var followsComplete: Bool
    }

    private var incomplete: [Run] = []
    /// What the committed map named, as far as it is not received yet.
    private var restored: ArraySlice<Range<Int64>>
    /// Everything below was received; nil before the first.
    private(set) var end: Int64?
    /// Something complete lies between the last run and the end.
    private var endFollowsComplete = false
    /// The map's size when it was last counted, and how many changes could have lengthened it since.
    private var mapSize: (bytes: Int, changes: Int)?

    init(restored: [Range<Int64>] = []) { self.restored = restored[...] }

    /// The offset that a commit may name: the lowest that is not complete, or the end; nil before the first.
    var position: Int64? { self.incomplete.first?.first ?? self.end }
    var isComplete: Bool { self.incomplete.isEmpty }
    /// What this keeps in memory.
    var runCount: Int { self.incomplete.count + self.restored.count }

    /// A record arrived.
    mutating func received(_ offset: Int64) -> Reception {
        if let end, offset < end { return .known }
        self.end = offset + 1
        while let next = self.restored.first, next.upperBound <= offset { self.restored.removeFirst() }
        if let next = self.restored.first, next.contains(offset) {
            self.endFollowsComplete = true
            self.mapSize?.changes += 1
            return .complete
        }
        if let last = self.incomplete.last, last.last + 1 == offset {
            self.incomplete[self.incomplete.count - 1].last = offset
        } else {
            self.incomplete.append(Run(first: offset, last: offset, followsComplete: self.endFollowsComplete))
            self.endFollowsComplete = false
            self.mapSize?.changes += 1
        }
        return .admitted
    }

    /// Its result was acknowledged; false for an offset that waits for none.
    @discardableResult
    mutating func resolved(_ offset: Int64) -> Bool {
        guard let index = self.index(of: offset) else { return false }
        let run = self.incomplete[index]
        self.mapSize?.changes += 1
        switch (run.first == offset, run.last == offset) {
        case (true, true):
            self.incomplete.remove(at: index)
            self.completed(before: index)
        case (true, false):
            self.incomplete[index].first = offset + 1
            self.completed(before: index)
        case (false, true):
            self.incomplete[index].last = offset - 1
            self.completed(before: index + 1)
        case (false, false):
            self.incomplete[index].last = offset - 1
            self.incomplete.insert(Run(first: offset + 1, last: run.last, followsComplete: true), at: index + 1)
        }
        return true
    }

    /// Everything below was delivered.
    ///
    /// Returns whether a commit may name a higher offset now.
    mutating func endReached(_ offset: Int64) -> Bool {
        guard offset > self.end ?? -1 else { return false }
        let before = self.position
        self.end = offset
        while let next = self.restored.first, next.upperBound <= offset { self.restored.removeFirst() }
        self.mapSize?.changes += 1
        return self.position != before
    }

    /// Whether the map becomes longer by a pair when this offset is complete: neither neighbour is, and something older is not.
    func addsPair(_ offset: Int64) -> Bool {
        guard let index = self.index(of: offset) else { return false }
        let run = self.incomplete[index]
        if run.first == offset, index == 0 || run.followsComplete { return false }
        guard run.last == offset else { return true }
        return index + 1 < self.incomplete.count
            ? !self.incomplete[index + 1].followsComplete : !self.endFollowsComplete
    }

    /// What is complete beyond `position`, ascending; holes beside it are included.
    func complete() -> [Range<Int64>] {
        var ranges: [Range<Int64>] = []
        var last: Int64?
        for run in self.incomplete {
            if let last, run.followsComplete { ranges.append(last + 1..<run.first) }
            last = run.last
        }
        guard let end = self.end else { return Array(self.restored) }
        if let last, self.endFollowsComplete { ranges.append(last + 1..<end) }
        for range in self.restored where range.upperBound > end {
            let rest = max(range.lowerBound, end)..<range.upperBound
            if let previous = ranges.last, previous.upperBound == rest.lowerBound {
                ranges[ranges.count - 1] = previous.lowerBound..<rest.upperBound
            } else {
                ranges.append(rest)
            }
        }
        return ranges
    }

    /// Whether the map is shorter than so many bytes; counted anew only where it might not be.
    mutating func mapIsShorter(than limit: Int) -> Bool {
        if let size = self.mapSize, size.bytes + size.changes * Self.longestGrowth < limit { return true }
        if let size = self.mapSize, size.changes == 0 { return size.bytes < limit }
        var position = self.position ?? 0
        var bytes = 0
        for range in self.complete() {
            bytes += CompletionMap.byteCount(gap: range.lowerBound - position, run: Int64(range.count))
            position = range.upperBound
        }
        self.mapSize = (bytes, 0)
        return bytes < limit
    }

    /// Of one more offset that is complete: a pair of its own, with a gap of three digits before it, or a longer run.
    private static let longestGrowth = 6

    private mutating func completed(before index: Int) {
        if index < self.incomplete.count {
            self.incomplete[index].followsComplete = true
        } else {
            self.endFollowsComplete = true
        }
    }

    private func index(of offset: Int64) -> Int? {
        var low = 0
        var high = self.incomplete.count
        while low < high {
            let middle = (low + high) / 2
            if self.incomplete[middle].last < offset { low = middle + 1 } else { high = middle }
        }
        return low < self.incomplete.count && self.incomplete[low].first <= offset ? low : nil
    }
}
