/// How long the calls to one host take, by how they end.
struct CallDurations {
    /// Of the metric of calls, by the first digit of the status.
    static let outcomes = ["1xx", "2xx", "3xx", "4xx", "5xx"]

    let host: String
    private var durations: [String: MetricSeries] = [:]

    init(host: String) { self.host = host }

    mutating func series(_ outcome: String, _ metrics: Metrics) -> MetricSeries {
        if let series = self.durations[outcome] { return series }
        let series = metrics.series(.callDuration, self.host, outcome)
        self.durations[outcome] = series
        return series
    }
}
