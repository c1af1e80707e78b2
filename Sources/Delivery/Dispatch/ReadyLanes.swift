/// Lanes that may begin, in the order in which their first logins arrived: a heap a partition, and one of their best.
struct ReadyLanes {
    struct Place: Comparable {
        var arrival: Int
        var epoch: Int
        var lane: Int
        static func < (one: Self, other: Self) -> Bool { one.arrival < other.arrival }
    }

    private var byEpoch: [Int: MinimumHeap<Place>] = [:]
    /// The best place of each partition; out of date once that has gone.
    private var heads = MinimumHeap<Place>()
    /// Partitions of which the best was not let begin.
    private var held: Set<Int> = []

    /// Who arrived first, of the partitions that are not held.
    var first: Place? {
        mutating get {
            while let head = self.heads.first {
                if self.byEpoch[head.epoch]?.first == head { return head }
                self.heads.removeFirst()
            }
            return nil
        }
    }

    /// False where all are held, too.
    var isEmpty: Bool { self.heads.isEmpty }

    mutating func insert(_ place: Place) {
        self.byEpoch[place.epoch, default: MinimumHeap()].insert(place)
        if self.byEpoch[place.epoch]?.first == place { self.heads.insert(place) }
    }

    /// Takes out what `first` gave.
    mutating func removeFirst() {
        guard let place = self.heads.removeFirst() else { return }
        self.byEpoch[place.epoch]?.removeFirst()
        self.headChanged(place.epoch)
    }

    /// The partition of what `first` gave is passed over until `release`.
    mutating func hold() {
        guard let place = self.heads.removeFirst() else { return }
        self.held.insert(place.epoch)
    }

    mutating func release() {
        guard !self.held.isEmpty else { return }
        for epoch in exchange(&self.held, with: []) { self.headChanged(epoch) }
    }

    mutating func remove(_ epochs: Set<Int>) {
        for epoch in epochs { self.byEpoch[epoch] = nil }
    }

    private mutating func headChanged(_ epoch: Int) {
        if let place = self.byEpoch[epoch]?.first { self.heads.insert(place) }
    }
}
