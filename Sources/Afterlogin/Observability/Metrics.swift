import Synchronization

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

/// Values of all metrics; the definitions stand in `Metrics+Definitions.swift`.
package final class Metrics: Sendable {
    private struct Key: Hashable {
        var name: String
        var labels: [String]
    }

    private struct State {
        var definitions: [String: MetricDefinition] = [:]
        var numbers: [Key: Double] = [:]
        var histograms: [Key: Histogram] = [:]

        /// Known by its labels, or the one for all that came after too many.
        mutating func key(_ metric: MetricDefinition, _ labels: [String]) -> Key {
            if self.definitions[metric.name] == nil { self.definitions[metric.name] = metric }
            let key = Key(name: metric.name, labels: labels)
            guard !labels.isEmpty, self.numbers[key] == nil, self.histograms[key] == nil else { return key }
            let known =
                self.numbers.keys.count { $0.name == metric.name }
                + self.histograms.keys.count { $0.name == metric.name }
            return known < Metrics.maxSeries ? key : Key(name: metric.name, labels: labels.map { _ in "other" })
        }
    }

    /// Series per metric: labels that follow the input (hosts, rules) must not grow without end.
    private static let maxSeries = 1_000
    private let state = Mutex(State())

    package init() {}

    package func add(_ metric: MetricDefinition, _ value: Double = 1, _ labels: String...) {
        self.state.withLock { $0.numbers[$0.key(metric, labels), default: 0] += value }
    }

    package func set(_ metric: MetricDefinition, _ value: Double, _ labels: String...) {
        self.state.withLock { $0.numbers[$0.key(metric, labels)] = value }
    }

    package func observe(_ metric: MetricDefinition, _ value: Double, _ labels: String...) {
        guard case .histogram(let buckets) = metric.kind else { preconditionFailure("\(metric.name) is no histogram") }
        self.state.withLock {
            $0.histograms[$0.key(metric, labels), default: Histogram(bounds: buckets)].observe(value)
        }
    }

    /// The present number of a counter or gauge.
    package func value(_ metric: MetricDefinition, _ labels: String...) -> Double {
        self.state.withLock { $0.numbers[Key(name: metric.name, labels: labels)] ?? 0 }
    }

    /// A counter over all of its labels.
    package func sum(_ metric: MetricDefinition) -> Int {
        self.state.withLock { state in
            Int(state.numbers.reduce(0) { $1.key.name == metric.name ? $0 + $1.value : $0 })
        }
    }

    package func histogram(_ metric: MetricDefinition, _ labels: String...) -> Histogram? {
        self.state.withLock { $0.histograms[Key(name: metric.name, labels: labels)] }
    }

    /// Everything that has a value, by name and labels.
    package func snapshot() -> [MetricSnapshot] {
        let state = self.state.withLock { $0 }
        var series: [String: [MetricSnapshot.Series]] = [:]
        for (key, number) in state.numbers {
            series[key.name, default: []].append(.init(labels: key.labels, value: .number(number)))
        }
        for (key, histogram) in state.histograms {
            series[key.name, default: []].append(.init(labels: key.labels, value: .histogram(histogram)))
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
