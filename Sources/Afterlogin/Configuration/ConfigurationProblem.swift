import AfterloginObservability

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
