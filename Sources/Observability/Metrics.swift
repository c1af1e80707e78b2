import AfterloginSystem

/// One metric, named once, with its meaning.
///
/// Names are in OpenTelemetry's style; `/metrics` renders them for Prometheus.
package struct MetricDefinition: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case counter
        case gauge
        /// Upper bounds, ascending, without infinity.
        case histogram(buckets: [Double])
    }

    package var name: String
    package var help: String
    package var kind: Kind
    package var labels: [String]

    package init(_ name: String, _ help: String, _ kind: Kind, labels: [String] = []) {
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
    }
}

/// The values of one metric at one instant.
package struct MetricSnapshot: Sendable {
    package struct Series: Sendable {
        /// In the order of the definition's labels.
        package var labels: [String]
        package var value: Value
    }
    package enum Value: Sendable {
        case number(Double)
        case histogram(Histogram)

        var number: Double? { if case .number(let number) = self { number } else { nil } }
        var histogram: Histogram? { if case .histogram(let histogram) = self { histogram } else { nil } }
    }
    package var definition: MetricDefinition
    package var series: [Series]
}

/// Counts per bucket; not cumulative.
package struct Histogram: Sendable {
    /// One more than the bounds: the last is for all above.
    package private(set) var counts: [Int]
    package private(set) var sum = 0.0
    package let bounds: [Double]

    package init(bounds: [Double]) {
        self.bounds = bounds
        self.counts = Array(repeating: 0, count: bounds.count + 1)
    }

    package var count: Int { self.counts.reduce(0, +) }

    package mutating func observe(_ value: Double) {
        // Bounds are few and most values are small: a walk beats a search.
        var index = 0
        while index < self.bounds.count, value > self.bounds[index] { index += 1 }
        self.counts[index] += 1
        self.sum += value
    }

    /// The value below which that share of all lies, interpolated within its bucket; nil while empty.
    package func quantile(_ share: Double) -> Double? {
        let total = self.count
        guard total > 0 else { return nil }
        let rank = share * Double(total)
        var below = 0
        for (index, count) in self.counts.enumerated() where count > 0 {
            if Double(below + count) >= rank {
                let lower = index == 0 ? 0 : self.bounds[index - 1]
                guard index < self.bounds.count else { return self.bounds.last }
                return lower + (self.bounds[index] - lower) * (rank - Double(below)) / Double(count)
            }
            below += count
        }
        return self.bounds.last
    }
}

/// One metric with one set of labels.
package final class MetricSeries: Sendable {
    private let state: Mutex<MetricSnapshot.Value>

    fileprivate init(_ metric: MetricDefinition) {
        switch metric.kind {
        case .counter, .gauge: self.state = Mutex(.number(0))
        case .histogram(let buckets): self.state = Mutex(.histogram(Histogram(bounds: buckets)))
        }
    }

    var value: MetricSnapshot.Value { self.state.withLock { $0 } }

    package func add(_ number: Double = 1) {
        self.state.withLock { if case .number(let old) = $0 { $0 = .number(old + number) } }
    }

    package func set(_ number: Double) { self.state.withLock { $0 = .number(number) } }

    package func observe(_ value: Double) {
        self.state.withLock { state in
            guard case .histogram(var histogram) = state else { preconditionFailure("this metric is no histogram") }
            // Given back for a moment, so that the counts are not copied.
            state = .number(0)
            histogram.observe(value)
            state = .histogram(histogram)
        }
    }
}

/// Values of all metrics; the definitions stand in `Metrics+Definitions.swift`.
package final class Metrics: Sendable {
    private struct Key: Hashable {
        var name: String
        var labels: [String]
    }

    private struct State {
        var definitions: [String: MetricDefinition] = [:]
        var series: [Key: MetricSeries] = [:]

        /// Known by its labels, or the one for all that came after too many.
        mutating func series(_ metric: MetricDefinition, _ labels: [String]) -> MetricSeries {
            var key = Key(name: metric.name, labels: labels)
            if let series = self.series[key] { return series }
            self.definitions[metric.name] = metric
            if !labels.isEmpty, self.series.keys.count(where: { $0.name == metric.name }) >= Metrics.maxSeries {
                key.labels = labels.map { _ in "other" }
                if let series = self.series[key] { return series }
            }
            let series = MetricSeries(metric)
            self.series[key] = series
            return series
        }
    }

    /// Series per metric: labels that follow the input (hosts, rules) must not grow without end.
    private static let maxSeries = 1_000
    private let state = Mutex(State())

    package init() {}

    /// One series, for whoever counts at every login: looked up once, it is cheap from then on.
    package func series(_ metric: MetricDefinition, _ labels: String...) -> MetricSeries {
        self.state.withLock { $0.series(metric, labels) }
    }

    package func add(_ metric: MetricDefinition, _ value: Double = 1, _ labels: String...) {
        self.state.withLock { $0.series(metric, labels) }.add(value)
    }

    package func set(_ metric: MetricDefinition, _ value: Double, _ labels: String...) {
        self.state.withLock { $0.series(metric, labels) }.set(value)
    }

    /// Sets all of a gauge's series, by their labels; others go.
    package func replace(_ metric: MetricDefinition, _ values: [(labels: [String], value: Double)]) {
        let kept = Set(values.map(\.labels))
        self.state.withLock { state in
            for key in state.series.keys where key.name == metric.name && !kept.contains(key.labels) {
                state.series[key] = nil
            }
            for (labels, value) in values { state.series(metric, labels).set(value) }
        }
    }

    /// The present number of a counter or gauge.
    package func value(_ metric: MetricDefinition, _ labels: String...) -> Double {
        self.present(metric, labels)?.number ?? 0
    }

    /// A counter over all of its labels.
    package func sum(_ metric: MetricDefinition) -> Int {
        let series = self.state.withLock { $0.series.filter { $0.key.name == metric.name }.values }
        return Int(series.reduce(0) { $0 + ($1.value.number ?? 0) })
    }

    package func histogram(_ metric: MetricDefinition, _ labels: String...) -> Histogram? {
        self.present(metric, labels)?.histogram
    }

    private func present(_ metric: MetricDefinition, _ labels: [String]) -> MetricSnapshot.Value? {
        self.state.withLock { $0.series[Key(name: metric.name, labels: labels)] }?.value
    }

    /// Everything that has a value, by name and labels.
    package func snapshot() -> [MetricSnapshot] {
        let state = self.state.withLock { $0 }
        var series: [String: [MetricSnapshot.Series]] = [:]
        for (key, one) in state.series {
            series[key.name, default: []].append(.init(labels: key.labels, value: one.value))
        }
        return series.compactMap { name, series in
            guard let definition = state.definitions[name] else { return nil }
            return MetricSnapshot(
                definition: definition,
                series: series.sorted { $0.labels.lexicographicallyPrecedes($1.labels) }
            )
        }.sorted { $0.definition.name < $1.definition.name }
    }
}
