import AfterloginJSON
import AfterloginRules
import Glibc

/// Measures this build on this machine: broker, sandbox and worker as processes of their own.
enum BenchCommand: Command {
    static let name = "bench"
    static let summary = "measures throughput, latency, processor time and memory on this machine"
    static let example = "KAFKA_HOME=/opt/kafka afterlogin bench --only backlog,steady"
    static let options: [CommandOption] = [
        .value("only", "GROUP,…", "of backlog, chain, delay, steady, idle, start, host-death (default: all)"),
        .value("rules", "RULE,…", "whose backlogs and chains are measured, of native, fetch, axios (default: all)"),
        .value("brokers", "HOST:PORT,…", "a cluster that runs (default: one is started from KAFKA_HOME)"),
        .value("logins", "N", "of a backlog (default: 20000)"),
        .value("users", "N", "that log in (default: 5000)"),
        .value("concurrency", "N", "logins that run at a time (default: 256, chain: 100)"),
        .value("guards", "N", "rules of a chain before the last (default: 1)"),
        .value("event-bytes", "N", "added to each event of a chain (default: 0)"),
        .value("partitions", "N", "of the topics of a chain (default: 8)"),
        .value("hosts", "N", "rule hosts of a chain (default: by cores)"),
        .value("seconds", "N", "of the steady load (default: 20)"),
        .value(
            "against",
            "PATH",
            "another afterlogin: both run in turns, and each row's ratio is printed (default row: chain)"
        ),
        .value("pairs", "N", "of runs with --against (default: 5)"),
        .value("repeat", "N", "starts and deaths of a host (default: 3)"),
        .value("modules", "FOLDER", "a node_modules with axios (default: AFTERLOGIN_NPM, then Debian's)"),
        .value("format", "FORMAT", "of the figures: text or json"),
        .hidden("worker", "URL"), .hidden("chain", "URL"), .hidden("set", "KEY=VALUE"),
    ]

    static func run(_ arguments: Arguments, rules: [any Rule]) async throws(CommandFailure) -> ExitCode {
        try CommandFailure.requireDescriptors()
        if let url = arguments.value("worker") {
            return try await self.runWorker(arguments, [NativeBenchRule(api: url)])
        }
        if let url = arguments.value("chain") {
            return try await self.runWorker(arguments, [NativeBenchGuard(), NativeBenchSend(api: url)])
        }
        let isJSON = try arguments.wantsJSON()
        let groups = try self.list(arguments, "only", of: Bench.Group.self)
        let other = try self.otherBuild(arguments)
        let pairs = try arguments.integer("pairs", 1...100, default: 5)
        var size = Bench.Size()
        size.logins = try arguments.integer("logins", 100...1_000_000, default: size.logins)
        size.users = try arguments.integer("users", 1...1_000_000, default: size.users)
        size.concurrency = try arguments.integer("concurrency", 1...10_000, default: size.concurrency)
        if arguments.value("concurrency") != nil { size.chainConcurrency = size.concurrency }
        size.guards = try arguments.integer("guards", 1...100, default: size.guards)
        size.eventBytes = try arguments.integer("event-bytes", 0...900_000, default: size.eventBytes)
        size.partitions = try arguments.integer("partitions", 1...1_000, default: size.partitions)
        if arguments.value("hosts") != nil { size.hosts = try arguments.integer("hosts", 1...64, default: 1) }
        size.steadySeconds = try arguments.integer("seconds", 1...600, default: size.steadySeconds)
        size.rules = try self.list(arguments, "rules", of: BenchRule.self)
        size.repetitions = try arguments.integer("repeat", 1...100, default: size.repetitions)
        var figures: [BenchFigure] = []
        // The next wait ends by it, so that broker and sandbox are taken down.
        StopSignals.handle { BenchPlace.stop.throwIt() }
        do {
            let place = try await BenchPlace(
                brokers: arguments.value("brokers"),
                home: self.environment("KAFKA_HOME")
            )
            let bench = Bench(
                place,
                size: size,
                modules: arguments.value("modules") ?? self.environment("AFTERLOGIN_NPM")
            ) { figure in
                figures.append(figure)
                if !isJSON { Output.text(figure.line) }
            }
            var comparison = BenchComparison()
            let result: Result<Void, any Error>
            do {
                if let other {
                    try await comparison.run(against: other, pairs: pairs, self.sharedOptions(arguments), place) {
                        done,
                        pair in
                        if !isJSON { for line in done.lines(ofPair: pair) { Output.text(line) } }
                    }
                } else {
                    try await bench.run(groups)
                }
                result = .success(())
            } catch {
                result = .failure(error)
            }
            await place.close()
            // A signal of the terminal reaches the worker as well: what it left undone is not a finding.
            if BenchPlace.stop.isThrown { throw BenchPlace.stopped }
            try result.get()
            if other != nil {
                if isJSON { Output.line(comparison.json.serialized()) }
                for line in comparison.summary where !isJSON { Output.text(line) }
                return .done
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(message: "\(error)")
        }
        if isJSON { Output.line(JSONValue.array(figures.map(\.json)).serialized()) }
        return .done
    }

    /// The executable of `--against`.
    private static func otherBuild(_ arguments: Arguments) throws(CommandFailure) -> String? {
        guard let path = arguments.value("against") else { return nil }
        guard access(path, X_OK) == 0 else {
            let reason = String(cString: strerror(errno))
            throw CommandFailure(message: "--against takes the path of an executable: \(path): \(reason)", code: .usage)
        }
        return path
    }

    /// What both builds are asked.
    private static func sharedOptions(_ arguments: Arguments) -> [String] {
        var words = ["--only", arguments.value("only") ?? Bench.Group.chain.rawValue]
        for name in [
            "rules", "logins", "users", "concurrency", "guards", "event-bytes", "partitions", "hosts", "seconds",
            "repeat", "modules",
        ] {
            if let value = arguments.value(name) { words += ["--\(name)", value] }
        }
        return words
    }

    /// The names of an option, or all that there are.
    private static func list<Name: RawRepresentable<String> & CaseIterable>(
        _ arguments: Arguments,
        _ option: String,
        of names: Name.Type
    ) throws(CommandFailure) -> [Name] {
        guard let text = arguments.value(option) else { return Array(Name.allCases) }
        var chosen: [Name] = []
        for word in text.split(separator: ",") {
            guard let name = Name(rawValue: String(word)) else {
                let known = Name.allCases.map(\.rawValue).joined(separator: ", ")
                throw CommandFailure(message: "--\(option) takes \(known), not \(word)", code: .usage)
            }
            chosen.append(name)
        }
        return chosen
    }

    private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// The worker of the native rows: `run` with rules of ours.
    private static func runWorker(
        _ arguments: Arguments,
        _ rules: [any Rule]
    ) async throws(CommandFailure) -> ExitCode {
        let words = arguments.values("set").flatMap { ["--set", $0] }
        return try await RunCommand.run(Arguments(words, of: RunCommand.self), rules: rules)
    }
}
