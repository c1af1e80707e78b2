/// Who logs in how often: user `k` of `n` (from 1) with a probability in proportion to `1 / (k + q)^s`.
struct ZipfMandelbrot: Sendable {
    /// The hottest user's share of all logins.
    static let hottestShare = 0.01

    private let cumulative: [Double]

    /// With `s` = 1, and `q` such that the hottest user has 1 %, be it of 1,000 or of 5,000 users.
    ///
    /// Up to 100 users have equal shares: the hottest cannot have less than that.
    init(users: Int) {
        let offset = Self.offset(users)
        var sum = 0.0
        var cumulative: [Double] = []
        cumulative.reserveCapacity(users)
        for rank in 1...max(1, users) {
            sum += offset.isFinite ? 1 / (Double(rank) + offset) : 1
            cumulative.append(sum)
        }
        self.cumulative = cumulative.map { $0 / sum }
    }

    /// `q` by bisection: the first share falls as `q` grows.
    private static func offset(_ users: Int) -> Double {
        guard Double(users) > 1 / self.hottestShare else { return .infinity }
        var (low, high) = (-0.999, 1e7)
        for _ in 0..<100 {
            let middle = (low + high) / 2
            var sum = 0.0
            for rank in 1...users { sum += 1 / (Double(rank) + middle) }
            if 1 / (1 + middle) / sum > self.hottestShare { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }

    /// The user's index, from 0, the hottest first; `chance` is in 0 ..< 1.
    func index(_ chance: Double) -> Int {
        var (low, high) = (0, self.cumulative.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if self.cumulative[middle] <= chance { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
