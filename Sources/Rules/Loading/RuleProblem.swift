package import AfterloginObservability

/// Something wrong with a rule, found before the first login.
package struct RuleProblem: Error, Sendable, Hashable, CustomStringConvertible {
    /// As it was found: below the rules' folder.
    package var file: String
    /// From 1; 0 where the problem has no place.
    package var line = 0
    package var column = 0
    package var reason: String

    package init(file: String, line: Int = 0, column: Int = 0, reason: String) {
        self.file = file
        self.line = line
        self.column = column
        self.reason = reason
    }

    package var description: String {
        self.line > 0
            ? "\(self.file):\(self.line):\(self.column): \(self.reason)" : "\(self.file): \(self.reason)"
    }

    /// What a rule says while it is loaded may be anything.
    package func redacted(_ redactor: Redactor) -> RuleProblem {
        var problem = self
        problem.reason = redactor.redact(self.reason)
        return problem
    }
}

/// Why a chain can't be built: all that is wrong with it, at once.
package struct RuleChainRefusal: Error, Sendable, CustomStringConvertible {
    package var problems: [RuleProblem]
    /// What else is worth knowing.
    package var notes: [RuleProblem]
    /// Nothing is wrong with the rules: what was to run them was killed.
    package var isDeath = false

    package var description: String { self.problems.map(\.description).joined(separator: "\n") }
}
