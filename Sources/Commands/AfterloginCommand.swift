import Afterlogin
import AfterloginCLinux
import AfterloginObservability
public import AfterloginRules
import AfterloginSystem
import Glibc

/// The command line, with your own native rules.
public enum AfterloginCommand {
    static let version = "0.1.0"

    static var all: [any Command.Type] {
        [
            RunCommand.self, DemoCommand.self, CheckCommand.self, DoctorCommand.self, TopicsCommand.self,
            SandboxCommand.self,
            BenchCommand.self,
        ]
    }

    /// Runs the command that the process was started with, and ends the process with its exit code.
    public static func main(rules: [any Rule] = []) async -> Never {
        // Before a secret is read, and before any other process is started.
        _ = shim_refuse_inspection()
        // A reader of our output that went away must not end the worker.
        signal(SIGPIPE, SIG_IGN)
        shim_share_memory_among_threads()
        Descriptors.raiseLimit()
        Output.keepStandardDescriptors()
        var code = await self.run(Array(CommandLine.arguments.dropFirst()), rules: rules)
        if let failure = Output.failure {
            Output.error("afterlogin: cannot write to standard output: \(failure)")
            if code == .done { code = .failed }
        }
        StandardError.flush()
        exit(code.rawValue)
    }

    static func run(_ words: [String], rules: [any Rule]) async -> ExitCode {
        guard let name = words.first else {
            Output.error(self.usage)
            return .usage
        }
        switch name {
        case "help" where words.count == 2 && words[1] == "configuration":
            Output.text(ConfigurationHelp.text)
            return .done
        case "help" where words.count > 1: return await self.run([words[1], "--help"], rules: rules)
        case "--help", "-h", "help":
            Output.text(self.usage)
            return .done
        case "--version":
            Output.text("afterlogin \(self.version)")
            return .done
        default: break
        }
        guard let command = self.all.first(where: { $0.name == name }) else {
            let nearest = NearestName.find(name, among: self.all.map { $0.name } + ["--help", "--version"])
            let hint = nearest.map { "did you mean \($0)?" } ?? "see afterlogin --help"
            Output.error("afterlogin: there is no command \(name); \(hint)")
            return .usage
        }
        do throws(CommandFailure) {
            let arguments = try Arguments(Array(words.dropFirst()), of: command)
            guard !arguments.asksForHelp else {
                Output.text(command.help)
                return .done
            }
            return try await command.run(arguments, rules: rules)
        } catch {
            let lines = error.message.split(separator: "\n", omittingEmptySubsequences: false)
            Output.error("afterlogin \(name): \(lines.map { TerminalText.plain(String($0)) }.joined(separator: "\n"))")
            return error.code
        }
    }

    private static var usage: String {
        let commands = self.all.map { "  \($0.name.padded(to: 10))\($0.summary.wrapped(indent: 12))" }.joined(
            separator: "\n"
        )
        return """
            Afterlogin runs your login rules after the login, not during it.

            afterlogin COMMAND [options]

            \(commands)

            afterlogin COMMAND --help says more, with an example.
            afterlogin help configuration lists the keys of the configuration.
            To begin: afterlogin demo
            """
    }
}

/// What the process ends with.
enum ExitCode: Int32, Sendable {
    case done = 0
    case failed = 1
    /// Wrong usage or configuration.
    case usage = 2
    /// By SIGINT or SIGTERM, before its work was done.
    case interrupted = 130
    case terminated = 143
}

/// Why a command can't go on.
struct CommandFailure: Error {
    var message: String
    var code = ExitCode.failed
}

extension CommandFailure {
    /// Descriptors that run out end the process without a word: what would need more does not start.
    static func requireDescriptors(limit: Int = Descriptors.limit) throws(CommandFailure) {
        guard limit < DescriptorPlan.least else { return }
        throw CommandFailure(
            message:
                "only \(limit) open files are allowed (ulimit -Hn), and \(DescriptorPlan.least) are needed: raise the limit",
            code: .usage
        )
    }
}

/// One command of the command line.
protocol Command {
    static var name: String { get }
    /// One line for the list of commands.
    static var summary: String { get }
    /// With a full line of shell.
    static var example: String { get }
    static var options: [CommandOption] { get }
    /// What else there is to say in the help; empty for most.
    static var notes: String { get }
    static func run(_ arguments: Arguments, rules: [any Rule]) async throws(CommandFailure) -> ExitCode
}

extension Command {
    static var notes: String { "" }

    static var help: String {
        let options = (self.options.filter { !$0.help.isEmpty } + [.flag("help", "this text")]).map { option in
            let word = "--\(option.name)\(option.value.map { " \($0)" } ?? "")"
            // A long word has its line to itself.
            let head = word.count > 23 ? "\(word)\n" + String(repeating: " ", count: 26) : "\(word.padded(to: 23)) "
            return "  \(head)\(option.help.wrapped(indent: 26))"
        }
        return """
            \("afterlogin \(self.name): \(self.summary)".wrapped(indent: 0))

            \(options.joined(separator: "\n"))
            \(self.notes.isEmpty ? "" : "\n\(self.notes)\n")
            Example:
              \(self.example)
            """ + (self.takesConfiguration ? "\n\nThe keys of the configuration: afterlogin help configuration" : "")
    }

    private static var takesConfiguration: Bool { self.options.contains { $0.name == "config" } }
}

/// An option of a command.
struct CommandOption: Sendable {
    var name: String
    /// What stands for its value in the help; nil for a flag.
    var value: String?
    var help: String

    static func value(_ name: String, _ value: String, _ help: String) -> Self {
        Self(name: name, value: value, help: help)
    }
    static func flag(_ name: String, _ help: String) -> Self { Self(name: name, value: nil, help: help) }
    /// For the program's own use.
    static func hidden(_ name: String, _ value: String) -> Self { Self(name: name, value: value, help: "") }

    /// For commands that need the configuration.
    static let configuration: [CommandOption] = [
        .value("config", "FILE", "the configuration (default: afterlogin.yaml where there is one)"),
        .value("set", "KEY=VALUE", "sets a key of the configuration; may be repeated"),
    ]
}

/// All keys of the configuration, for the help.
enum ConfigurationHelp {
    static var text: String {
        let keys = ConfigurationKey.all.map { key in
            "  \(key.path.padded(to: 27)) \(key.example)\n      \(key.help.wrapped(indent: 6))"
        }
        return """
            The keys of the configuration, each with its default, or with an example.

            They stand in afterlogin.yaml of the working directory, or in the file that
            --config names; each may also come from the environment, as
            AFTERLOGIN_SECTION_KEY, or from the command line, as --set section.key=VALUE.
            What --set says goes before the environment, that before the file, and that
            before the default. ${NAME} in a value stands for a variable of the
            environment, ${file:PATH} for what a file holds.

            \(keys.joined(separator: "\n"))
            """
    }
}

extension String {
    /// In lines of 80 columns at most, the first of which begins behind `indent` columns, as do the others.
    func wrapped(indent: Int) -> String {
        var lines = [""]
        for word in self.split(separator: " ") {
            let line = lines[lines.count - 1]
            if !line.isEmpty, indent + line.count + 1 + word.count > 80 {
                lines.append(String(word))
            } else {
                lines[lines.count - 1] = line.isEmpty ? String(word) : "\(line) \(word)"
            }
        }
        return lines.joined(separator: "\n" + String(repeating: " ", count: indent))
    }

    func padded(to width: Int) -> String {
        self.count >= width ? self : self + String(repeating: " ", count: width - self.count)
    }
}
