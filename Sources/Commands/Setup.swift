import Afterlogin
import AfterloginEgress
import AfterloginObservability
import AfterloginRules
import Glibc

/// What every command that works with the configuration begins with.
struct Setup {
    var configuration: Configuration
    var log: Log
    var metrics: Metrics
    var file: String?
    /// The keys that somebody set.
    var setKeys: Set<String> = []

    /// Loads the configuration, and makes the log that knows its secrets.
    ///
    /// `isForPeople`: its output is read by somebody who called it, and not kept by whoever keeps logs.
    init(_ arguments: Arguments, isForPeople: Bool = false) throws(CommandFailure) {
        switch try Self.load(arguments) {
        case .success(let loaded):
            self.init(loaded)
            if isForPeople {
                self.log = Log(level: .error, redactor: self.log.redactor)
                for note in loaded.notes { Output.error("note: \(self.log.redactor.redact(note.description))") }
            } else {
                for note in loaded.notes { self.log.log(.warning, note.description) }
            }
        case .failure(let refusal):
            let lines = refusal.problems.map { "error: \($0)" } + refusal.readable.notes.map { "note: \($0)" }
            let message = "the configuration can't be used:\n\(lines.joined(separator: "\n"))"
            throw CommandFailure(message: Redactor(secrets: refusal.readable.secrets).redact(message), code: .usage)
        }
    }

    init(_ loaded: LoadedConfiguration) {
        self.configuration = loaded.configuration
        self.file = loaded.file
        self.setKeys = loaded.setKeys
        self.metrics = Metrics()
        self.log = Log(
            level: Log.Level(name: loaded.configuration.logLevel) ?? .info,
            format: loaded.configuration.logFormat,
            redactor: Redactor(secrets: loaded.secrets)
        )
    }

    /// Of the file, the environment and the flags.
    static func load(
        _ arguments: Arguments
    ) throws(CommandFailure) -> Result<LoadedConfiguration, ConfigurationProblems> {
        let loader = ConfigurationLoader(
            file: arguments.value("config"),
            environment: Self.environment,
            overrides: try arguments.overrides()
        )
        do throws(ConfigurationProblems) {
            return .success(try loader.load())
        } catch {
            return .failure(error)
        }
    }

    private static var environment: [String: String] {
        var environment: [String: String] = [:]
        var index = 0
        while let entry = environ[index] {
            let parts = String(cString: entry).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { environment[String(parts[0])] = String(parts[1]) }
            index += 1
        }
        return environment
    }

    func egress(waitsForOutages: Bool) throws(CommandFailure) -> WorkerEgress {
        do throws(EgressProblem) {
            return try WorkerEgress(
                configuration: self.configuration.egressSettings,
                log: self.log,
                metrics: self.metrics,
                waitsForOutages: waitsForOutages
            )
        } catch {
            throw CommandFailure(message: self.log.redactor.redact(error.description), code: .usage)
        }
    }

    /// The chain, with its notes in the log.
    func chain(_ rules: [any Rule], _ egress: any Egress) async throws(CommandFailure) -> RuleChain {
        let loader = RuleChainLoader(
            configuration: self.configuration.ruleSettings(file: self.file),
            nativeRules: rules,
            egress: egress,
            log: self.log,
            metrics: self.metrics
        )
        do throws(RuleChainRefusal) {
            let (chain, notes) = try await loader.load()
            for note in notes { self.log.log(.notice, note.description) }
            return chain
        } catch {
            let lines = error.problems.map { "error: \($0)" } + error.notes.map { "note: \($0)" }
            let message = "the rules can't be run:\n\(lines.joined(separator: "\n"))"
            throw CommandFailure(message: self.log.redactor.redact(message), code: error.isDeath ? .failed : .usage)
        }
    }
}
