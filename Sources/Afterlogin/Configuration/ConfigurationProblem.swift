import Observability

/// Where a value of the configuration stands.
package struct ConfigurationPlace: Sendable, Hashable, CustomStringConvertible {
    /// `afterlogin.yaml`, `AFTERLOGIN_KAFKA_BROKERS`, `--set kafka.brokers`.
    package var name: String
    /// In a file, from 1; else 0.
    package var line = 0
    package var column = 0

    package var description: String { self.line > 0 ? "\(self.name):\(self.line):\(self.column)" : self.name }
}

/// Something wrong with the configuration, and where.
package struct ConfigurationProblem: Sendable, Hashable, CustomStringConvertible {
    package var place: ConfigurationPlace
    package var message: String

    package var description: String { "\(self.place): \(self.message)" }

    func redacted(_ redactor: Redactor) -> ConfigurationProblem {
        ConfigurationProblem(place: self.place, message: redactor.redact(self.message, shapes: false))
    }
}

/// All that is wrong with the configuration, at once.
package struct ConfigurationProblems: Error, Sendable, CustomStringConvertible {
    package var problems: [ConfigurationProblem]
    /// What could be read, with defaults where it could not: for whoever looks further.
    package var readable: LoadedConfiguration

    package var description: String { self.problems.map(\.description).joined(separator: "\n") }
}

/// What was loaded, and what goes with it.
package struct LoadedConfiguration: Sendable {
    package var configuration: Configuration
    /// For the redactor.
    package var secrets: [String]
    /// The file that was read, or nil.
    package var file: String?
    /// The paths of the keys that somebody set, by file, environment or flag.
    package var setKeys: Set<String>
    /// Worth knowing, and no reason to stop.
    package var notes: [ConfigurationProblem]
}

/// The name that was probably meant.
package enum NearestName {
    /// The candidate with the least edit distance, where that is small enough to be a slip.
    package static func find(_ name: String, among candidates: some Sequence<String>) -> String? {
        let best = candidates.map { (name: $0, distance: self.distance(Array(name.utf8), Array($0.utf8))) }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
        guard let best, best.distance <= max(1, name.utf8.count / 3) else { return nil }
        return best.name
    }

    /// Levenshtein's with swaps: insertions, deletions and exchanges of bytes, and two neighbours that changed places.
    ///
    /// Names are short, but what people type need not be.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        guard left.count <= 64, right.count <= 64 else { return Int.max }
        var rows = [Array(0...right.count)]
        for (index, byte) in left.enumerated() {
            let above = rows[index]
            var row = [index + 1]
            for (column, other) in right.enumerated() {
                var cost = min(above[column + 1] + 1, row[column] + 1, above[column] + (byte == other ? 0 : 1))
                if index > 0, column > 0, byte == right[column - 1], left[index - 1] == other {
                    cost = min(cost, rows[index - 1][column - 1] + 1)
                }
                row.append(cost)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
