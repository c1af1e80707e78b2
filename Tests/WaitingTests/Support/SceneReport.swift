/// What a simulated scene came to.
struct SceneReport {
    struct Published {
        var user: Int
        var arrived: Double
        var at: Double
        var hasData: Bool
    }

    var arrived = 0
    var arrivalTimes: [Double] = []
    var published: [Published] = []
    var failed: [(user: Int, attempts: Int)] = []
    var calls = 0
    var events = 0
    var probes = 0
    var callTimes: [Double] = []
    var unfinished = 0
    var mostWaiting = 0
    var timesAway = 0

    /// Updates of logins whose last run had a call that failed.
    var poor: Int { self.published.count { !$0.hasData } }

    /// When the first update came at or after that time.
    func first(after time: Double) -> Double? { self.published.lazy.map(\.at).filter { $0 >= time }.min() }

    /// Updates per second between two times.
    func rate(from: Double, seconds: Double) -> Double {
        Double(self.published.count { $0.at >= from && $0.at < from + seconds }) / seconds
    }

    /// What a worker without any trouble would publish per second between two times: what arrives.
    func undisturbedRate(from: Double, seconds: Double) -> Double {
        Double(self.arrivalTimes.count { $0 >= from && $0 < from + seconds }) / seconds
    }

    /// How long logins of these users took, the longest but one in a hundred.
    func p99(_ isCounted: (Int) -> Bool) -> Double {
        let times = self.published.filter { isCounted($0.user) }.map { $0.at - $0.arrived }.sorted()
        return times.isEmpty ? .nan : times[min(times.count - 1, times.count * 99 / 100)]
    }

    /// The longest that a login of these users took.
    func longest(_ isCounted: (Int) -> Bool) -> Double {
        self.published.filter { isCounted($0.user) }.map { $0.at - $0.arrived }.max() ?? .nan
    }
}
