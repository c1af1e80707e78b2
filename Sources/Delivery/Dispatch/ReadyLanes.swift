/// Lanes that may begin, in the order in which their first logins arrived: a heap a partition, and one of their best.
struct ReadyLanes {
    struct Place: Comparable {
        var arrival: Int
        var lane: Int
        static func < (one: Self, other: Self) -> Bool { one.arrival < other.arrival }
    }

    /// The best place of a partition; out of date once that has gone.
    private struct Head: Comparable {
        var arrival: Int
        var epoch: Int
        static func < (one: Self, other: Self) -> Bool { one.arrival < other.arrival }
    }

    private var byEpoch: [Int: MinimumHeap<Place>] = [:]
    private var heads = MinimumHeap<Head>()
    /// Partitions of which the best was not let begin.
    private var held: Set<Int> = []

    /// Who arrived first, of the partitions that are not held.
    var first: Place? {
        mutating get {
            while let head = self.heads.first {
                if let place = self.byEpoch[head.epoch]?.first, place.arrival == head.arrival { return place }
                self.heads.removeFirst()
            }
            return nil
        }
    }

    /// False where all are held, too.
    var isEmpty: Bool { self.heads.isEmpty }

    /// Whether its first arrived before that of the others, or they have none.
    mutating func isAhead(of others: inout ReadyLanes) -> Bool {
        guard let first = self.first else { return false }
        return others.first.map { first < $0 } ?? true
    }

    mutating func insert(_ place: Place, epoch: Int) {
        self.byEpoch[epoch, default: MinimumHeap()].insert(place)
        if self.byEpoch[epoch]?.first?.lane == place.lane { self.headChanged(epoch) }
    }

    mutating func removeFirst() {
        guard self.first != nil, let epoch = self.heads.first?.epoch else { return }
        self.heads.removeFirst()
        self.byEpoch[epoch]?.removeFirst()
        self.headChanged(epoch)
    }

    /// The partition of the first is passed over until `release`.
    mutating func hold() {
        guard self.first != nil, let epoch = self.heads.first?.epoch else { return }
        self.heads.removeFirst()
        self.held.insert(epoch)
    }

    mutating func release() {
        guard !self.held.isEmpty else { return }
        for epoch in exchange(&self.held, with: []) { self.headChanged(epoch) }
    }

    mutating func remove(_ epochs: Set<Int>) {
        for epoch in epochs { self.byEpoch[epoch] = nil }
    }

    private mutating func headChanged(_ epoch: Int) {
        if let place = self.byEpoch[epoch]?.first { self.heads.insert(Head(arrival: place.arrival, epoch: epoch)) }
    }
}
