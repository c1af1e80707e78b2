import Afterlogin
import JSON

/// Loads the configuration and the rules, and says all that is wrong.
enum CheckCommand: Command {
    static let name = "check"
    static let summary = "checks the configuration and the rules, without running them"
    static let example = "afterlogin check --set rules.directory=rules"
    static let options = CommandOption.configuration + [.value("format", "FORMAT", "text or json")]

    static func run(_ arguments: Arguments, rules: [any Rule]) async throws(CommandFailure) -> ExitCode {
        let isJSON = try arguments.wantsJSON()
        let setup = try Setup(arguments)
        let egress = try setup.egress(waitsForOutages: false)
        let loader = RuleChainLoader(
            configuration: setup.configuration,
            nativeRules: rules,
            egress: egress,
            log: Log(level: .error, redactor: setup.log.redactor),
            metrics: setup.metrics
        )
        var problems: [RuleProblem] = []
        var notes: [RuleProblem] = []
        var names: [String] = []
        do throws(RuleChainRefusal) {
            let (chain, found) = try await loader.load()
            notes = found
            names = chain.ruleNames
            await chain.shutdown()
        } catch {
            problems = error.problems
        }
        await egress.shutdown()
        if isJSON {
            let report: JSONValue = [
                "problems": .array(problems.map(Self.json)), "notes": .array(notes.map(Self.json)),
                "rules": .array(names.map { .string($0) }),
            ]
            Output.line(report.serialized())
        } else {
            for problem in problems { Output.error("error: \(problem)") }
            for note in notes { Output.error("note: \(note)") }
            if problems.isEmpty { Output.text("\(names.count) rules in order: \(names.joined(separator: ", "))") }
        }
        return problems.isEmpty ? .done : .usage
    }

    private static func json(_ problem: RuleProblem) -> JSONValue {
        [
            "file": .string(problem.file), "line": JSONValue(problem.line), "column": JSONValue(problem.column),
            "reason": .string(problem.reason),
        ]
    }
}
