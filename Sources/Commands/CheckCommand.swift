import Afterlogin
import AfterloginEgress
import AfterloginJSON
import AfterloginObservability
import AfterloginRules

/// Loads the configuration and the rules, and says all that is wrong.
enum CheckCommand: Command {
    static let name = "check"
    static let summary = "checks the configuration and the rules, without running them"
    static let example = "afterlogin check --set rules.directory=rules"
    static let options = CommandOption.configuration + [.value("format", "FORMAT", "text or json")]

    private struct Findings {
        var problems: [RuleProblem] = []
        var notes: [RuleProblem] = []
        var names: [String] = []
    }

    static func run(_ arguments: Arguments, rules: [any Rule]) async throws(CommandFailure) -> ExitCode {
        let isJSON = try arguments.wantsJSON()
        var findings = Findings()
        switch try Setup.load(arguments) {
        case .success(let loaded):
            findings.notes = loaded.notes.map(RuleProblem.init)
            await self.look(at: rules, Setup(loaded), &findings)
        case .failure(let refusal):
            findings.problems = refusal.problems.map(RuleProblem.init)
            findings.notes = refusal.readable.notes.map(RuleProblem.init)
            // What is wrong with the rules is said beside it, as far as they are named.
            if refusal.readable.configuration.rules.directory != nil || !rules.isEmpty {
                await self.look(at: rules, Setup(refusal.readable), &findings)
            }
        }
        if isJSON {
            let report: JSONValue = [
                "problems": .array(findings.problems.map(Self.json)), "notes": .array(findings.notes.map(Self.json)),
                "rules": .array(findings.names.map { .string($0) }),
            ]
            Output.line(report.serialized())
        } else {
            for problem in findings.problems { Output.error(TerminalText.plain("error: \(problem)")) }
            for note in findings.notes { Output.error(TerminalText.plain("note: \(note)")) }
            if findings.problems.isEmpty {
                let count = findings.names.count == 1 ? "1 rule" : "\(findings.names.count) rules in order"
                Output.text(TerminalText.plain("\(count): \(findings.names.joined(separator: ", "))"))
            }
        }
        return findings.problems.isEmpty ? .done : .usage
    }

    private static func look(at rules: [any Rule], _ setup: Setup, _ findings: inout Findings) async {
        // What the configuration's problems have said already is not said again.
        if findings.problems.isEmpty {
            do throws(CommandFailure) {
                try await setup.egress(waitsForOutages: false).shutdown()
            } catch {
                findings.problems.append(RuleProblem(file: setup.file ?? "configuration", reason: error.message))
            }
        }
        let loader = RuleChainLoader(
            configuration: setup.configuration.ruleSettings(file: setup.file),
            nativeRules: rules,
            egress: RefusingEgress(),
            log: Log(level: .error, redactor: setup.log.redactor),
            metrics: setup.metrics
        )
        do throws(RuleChainRefusal) {
            let (chain, notes) = try await loader.load()
            findings.notes += notes.map { $0.redacted(setup.log.redactor) }
            findings.names = chain.ruleNames
            await chain.shutdown()
        } catch {
            // Whatever a rule says while it is loaded.
            findings.problems += error.problems.map { $0.redacted(setup.log.redactor) }
            findings.notes += error.notes.map { $0.redacted(setup.log.redactor) }
        }
    }

    /// Without a place where it has none.
    private static func json(_ problem: RuleProblem) -> JSONValue {
        var value: JSONValue = ["file": .string(problem.file)]
        if problem.line > 0 {
            value["line"] = JSONValue(problem.line)
            value["column"] = JSONValue(problem.column)
        }
        value["reason"] = .string(problem.reason)
        return value
    }
}

extension RuleProblem {
    /// Of the configuration, in the form that problems of rules have.
    fileprivate init(_ problem: ConfigurationProblem) {
        let place = problem.place
        self.init(file: place.name, line: place.line, column: place.column, reason: problem.message)
    }
}
