import Afterlogin
import AfterloginAdmin
import AfterloginDelivery
import AfterloginEgress
import AfterloginJSON
import AfterloginKafka
import AfterloginObservability
import AfterloginRules
import Glibc

/// The worker.
enum RunCommand: Command {
    static let name = "run"
    static let summary = "runs the rules for login events, from Kafka or from lines of JSON"
    static let example = "afterlogin run --config afterlogin.yaml"
    static let options =
        CommandOption.configuration + [
            .value("input", "FILE|-", "events from a file or standard input, one a line, instead of Kafka"),
            .value("output", "FILE|-", "where results go then (default: standard output)"),
        ]

    static func run(_ arguments: Arguments, rules: [any Rule]) async throws(CommandFailure) -> ExitCode {
        try CommandFailure.requireDescriptors()
        let input = arguments.value("input")
        guard input != nil || arguments.value("output") == nil else {
            throw CommandFailure(
                message: "--output goes with --input, as results go to Kafka without: give both, or leave it out",
                code: .usage
            )
        }
        if let input, let output = arguments.value("output"), Self.areSameFile(input, output) {
            throw CommandFailure(
                message: "--input and --output are the same file, which would be emptied: name another for the results",
                code: .usage
            )
        }
        let stop = StopSwitch()
        StopSignals.handle { stop.throwIt() }
        let setup = try Setup(arguments)
        let egress = try setup.egress(waitsForOutages: input == nil)
        let chain = try await setup.chain(rules, egress)
        let ends = try Self.ends(setup, input, arguments.value("output") ?? "-")
        let worker = Worker(
            configuration: setup.configuration.deliverySettings,
            chain: chain,
            chainNames: chain.ruleNames,
            board: egress.board,
            waitsForOutages: input == nil,
            log: setup.log,
            metrics: setup.metrics,
            source: ends.source,
            publisher: ends.publisher
        )
        let status = StatusReport(worker: worker, chain: chain, egress: egress, metrics: setup.metrics)
        let check = TopicCheck(setup)
        // Lines from a file are read by someone who waits for their end, not by a service with probes.
        let admin = input == nil ? try Self.startAdmin(setup, status, check) : nil
        if input != nil, setup.setKeys.contains("admin.listen"), setup.configuration.admin.listen != nil {
            setup.log.log(.warning, "admin.listen has no effect with --input: nothing listens while lines are read")
        }
        stop.onThrow { worker.stop() }
        setup.log.log(
            .info,
            "started",
            [("version", AfterloginCommand.version), ("rules", chain.ruleNames.joined(separator: ", "))]
        )
        let result: Result<Dispatcher.Tally, any Error>
        do {
            if input == nil { try await check.waitForTopics(until: stop) }
            result = .success(try await worker.run())
        } catch {
            result = .failure(error)
        }
        await chain.shutdown()
        await egress.shutdown()
        await admin?.stop()
        switch result {
        case .success(let tally):
            let failures = tally.failures.values.reduce(0, +)
            let dropped =
                tally.stale > 0 ? "; \(tally.stale) logins of lost partitions were dropped, and run again" : ""
            let done = "\(tally.updates) updates, \(tally.denials) denials, \(failures) failures"
            setup.log.log(.info, "stopped\(stop.isThrown ? " as told" : ""); since the start: \(done)\(dropped)")
            // Whoever waits for the end of the lines must not take a part for the whole.
            return input != nil && stop.isThrown ? StopSignals.exitCode : .done
        case .failure(let error):
            throw CommandFailure(message: setup.log.redactor.redact("\(error)"))
        }
    }

    /// Making the output anew would empty the input.
    private static func areSameFile(_ input: String, _ output: String) -> Bool {
        var (first, second) = (stat(), stat())
        guard stat(input, &first) == 0, stat(output, &second) == 0, first.st_mode & S_IFMT == S_IFREG else {
            return false
        }
        return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
    }

    private static func ends(
        _ setup: Setup,
        _ input: String?,
        _ output: String
    ) throws(CommandFailure) -> (source: any RecordSource, publisher: any ResultPublisher) {
        do {
            if let input {
                // In this order: results of another run must not be lost to a misspelt input.
                let source = try NDJSONSource(path: input)
                return (source, try NDJSONPublisher(path: output))
            }
            return (
                try KafkaRecordSource(setup.configuration.deliverySettings, log: setup.log),
                try KafkaResultPublisher(setup.configuration.deliverySettings, log: setup.log, metrics: setup.metrics)
            )
        } catch {
            throw CommandFailure(message: setup.log.redactor.redact("\(error)"), code: .usage)
        }
    }

    private static func startAdmin(
        _ setup: Setup,
        _ status: StatusReport,
        _ check: TopicCheck
    ) throws(CommandFailure) -> AdminServer? {
        guard let listen = setup.configuration.admin.listen else { return nil }
        let source = AdminSource(
            stall: { status.stall() },
            readiness: { check.problem.map { .notReady("starting: \($0)") } ?? status.readiness() },
            status: { status.json() },
            metrics: { status.updatedMetrics() }
        )
        do {
            let server = try AdminServer(listen: listen, source: source, hosts: setup.configuration.admin.hosts)
            setup.log.log(.info, "admin on port \(server.port)")
            return server
        } catch {
            throw CommandFailure(message: "admin.listen: \(error); set it to an address with a free port, or to none")
        }
    }
}
