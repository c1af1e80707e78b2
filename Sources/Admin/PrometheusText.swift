import AfterloginObservability

/// Prometheus's text format 0.0.4.
enum PrometheusText {
    static func render(_ metrics: [MetricSnapshot], process: ProcessFigures?) -> String {
        var text = ""
        for metric in metrics { self.write(metric, to: &text) }
        if let process { self.write(process, to: &text) }
        return text
    }

    /// `messaging.process.duration` becomes `messaging_process_duration_seconds`; counters end in `_total`.
    static func name(_ definition: MetricDefinition) -> String {
        let name = definition.name.replacing(".", with: "_")
        switch definition.kind {
        case .counter: return "\(name)_total"
        case .gauge: return name
        case .histogram: return "\(name)_seconds"
        }
    }

    private static func write(_ metric: MetricSnapshot, to text: inout String) {
        let name = self.name(metric.definition)
        let type =
            switch metric.definition.kind {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        text += "# HELP \(name) \(self.escaped(metric.definition.help, quotes: false))\n# TYPE \(name) \(type)\n"
        for series in metric.series {
            let labels = zip(metric.definition.labels, series.labels).map {
                "\($0.replacing(".", with: "_"))=\"\(self.escaped($1, quotes: true))\""
            }
            switch series.value {
            case .number(let number): text += "\(name)\(self.braced(labels)) \(self.number(number))\n"
            case .histogram(let histogram): self.write(histogram, name, labels, to: &text)
            }
        }
    }

    private static func write(_ histogram: Histogram, _ name: String, _ labels: [String], to text: inout String) {
        var below = 0
        for (bound, count) in zip(histogram.bounds, histogram.counts) {
            below += count
            text += "\(name)_bucket\(self.braced(labels + ["le=\"\(self.number(bound))\""])) \(below)\n"
        }
        text += "\(name)_bucket\(self.braced(labels + ["le=\"+Inf\""])) \(histogram.count)\n"
        text += "\(name)_sum\(self.braced(labels)) \(self.number(histogram.sum))\n"
        text += "\(name)_count\(self.braced(labels)) \(histogram.count)\n"
    }

    private static func write(_ process: ProcessFigures, to text: inout String) {
        for (name, type, help, value) in [
            (
                "process_cpu_seconds_total", "counter", "Processor time of the worker, user and system.",
                process.processorSeconds
            ),
            ("process_resident_memory_bytes", "gauge", "Resident memory of the worker.", Double(process.residentBytes)),
            ("process_open_fds", "gauge", "Open descriptors of the worker.", Double(process.openDescriptors)),
            ("process_max_fds", "gauge", "Descriptors that the worker may open.", Double(process.maxDescriptors)),
            ("process_start_time_seconds", "gauge", "Start of the worker, in seconds since 1970.", process.startTime),
        ] {
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n\(name) \(self.number(value))\n"
        }
    }

    private static func braced(_ labels: [String]) -> String {
        labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
