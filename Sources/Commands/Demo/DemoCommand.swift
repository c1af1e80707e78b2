import Afterlogin
import AfterloginDelivery
import AfterloginEgress
import AfterloginJSON
import AfterloginKafka
import AfterloginObservability
import AfterloginRules
import AfterloginSandbox
import FoundationEssentials

/// The whole path on one machine, with nothing to set up: an embedded cluster, a sandbox of slow APIs, a chain of rules.
enum DemoCommand: Command {
    static let name = "demo"
    static let summary = "shows it all at work: an embedded Kafka, slow APIs, thousands of logins"
    static let example = "afterlogin demo --logins 5000 --users 1000"
    static let options: [CommandOption] = [
        .value("logins", "N", "how many (default: 5000)"),
        .value("users", "N", "whose logins they are (default: 1000)"),
        .value("seed", "N", "of all that is random (default: 1)"),
        .value("format", "FORMAT", "of the summary: text or json"),
    ]

    /// What goes wrong in the demo is part of it.
    private static let purpose = """
        on purpose: an API that is slow and answers 503 to 3 % of its calls, users without a verified email,
        one login whose rule never ends its turn (its host is ended, and once more with that login alone: so it is
        known, and fails), one record that is not JSON
        """

    private static let audience = "https://profiles.example/api"
    private static let clientID = "demo-client"

    static func run(_ arguments: Arguments, rules: [any Rule]) async throws(CommandFailure) -> ExitCode {
        try CommandFailure.requireDescriptors()
        let isJSON = try arguments.wantsJSON()
        let size = DemoSize(
            logins: try arguments.integer("logins", 10...1_000_000, default: 5_000),
            users: try arguments.integer("users", 1...1_000_000, default: 1_000),
            seed: UInt64(try arguments.integer("seed", 0...Int.max, default: 1))
        )
        // From the first moment on, so that the folder does not stay behind.
        let stop = StopSwitch()
        StopSignals.handle { stop.throwIt() }
        let folder =
            "\(FileManager.default.temporaryDirectory.path)/afterlogin-demo-\(UInt32.random(in: .min ... .max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let summary = try await self.run(size, folder, rules, until: stop)
            if isJSON { Output.line(summary.json.serialized()) } else { Output.text(summary.text) }
            return summary.isGood ? .done : .failed
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(message: "\(error)")
        }
    }

    private static func run(
        _ size: DemoSize,
        _ folder: String,
        _ rules: [any Rule],
        until stop: StopSwitch
    ) async throws -> DemoSummary {
        let secret = "demo-secret-\(UInt64.random(in: .min ... .max))"
        let sandbox = try self.makeSandbox(size, folder, secret)
        let address = try sandbox.start()
        let cluster = try InProcessCluster()
        for topic in ["logins", "user-updates", "user-update-failures"] {
            try cluster.createTopic(topic, partitions: 8)
        }
        let configuration = try self.configuration(cluster, address, secret)
        let notes = DemoNotes()
        let log = Log(level: .debug, redactor: Redactor(secrets: [secret]), format: .text) { notes.received($0) }
        let metrics = Metrics()
        let egress = try WorkerEgress(configuration: configuration.egressSettings, log: log, metrics: metrics)
        let loader = RuleChainLoader(
            configuration: configuration.ruleSettings(file: nil),
            nativeRules: [LoginStreakRule()] + rules,
            egress: egress,
            log: log,
            metrics: metrics
        )
        // Its notes are about rules that nobody here has written.
        let chain = try await loader.load().chain
        Output.error("rules in order: \(chain.ruleNames.joined(separator: ", "))")
        Output.error(self.purpose)
        let worker = Worker(
            configuration: configuration.deliverySettings,
            chain: chain,
            chainNames: chain.ruleNames,
            board: egress.board,
            log: log,
            metrics: metrics,
            source: try KafkaRecordSource(configuration.deliverySettings, log: log),
            publisher: try KafkaResultPublisher(configuration.deliverySettings, log: log, metrics: metrics)
        )
        stop.onThrow { worker.stop() }
        let start = ContinuousClock.now
        try await self.produce(size, cluster)
        let audit = try ResultAudit(brokers: cluster.bootstrapServers)
        let work = Task { try await worker.run() }
        let total = size.logins + 1
        var progress = DemoProgress(total: total)
        // A tenth of a second is smooth enough for an eye.
        while worker.tally.finished < total, ContinuousClock.now - start < .seconds(300), !stop.isThrown {
            try await Task.sleep(for: .milliseconds(100))
            progress.show(worker, egress, metrics)
        }
        progress.end()
        // Nothing of what was begun has to end well: half a demo shows nothing.
        guard !stop.isThrown else {
            throw CommandFailure(
                message: "stopped after \(worker.tally.finished) of \(total) logins",
                code: StopSignals.exitCode
            )
        }
        _ = await audit.waitForResults(worker.tally.finished, patience: .seconds(20))
        _ = try await audit.readToEnd(patience: .seconds(20))
        let elapsed = ContinuousClock.now - start
        worker.stop()
        let tally = try await work.value
        let report = audit.report()
        await audit.close()
        let summary = DemoSummary(
            report: report,
            tally: tally,
            tokens: sandbox.statistics.tokensByAudience,
            work: progress.work ?? elapsed,
            callsSentAgain: metrics.sum(.callRetries),
            answers: sandbox.faults.delays
        )
        await chain.shutdown()
        await egress.shutdown()
        await sandbox.stop()
        await cluster.close()
        return summary
    }

    private static func makeSandbox(_ size: DemoSize, _ folder: String, _ secret: String) throws -> SandboxServer {
        var configuration = SandboxConfiguration()
        configuration.caFile = "\(folder)/ca.pem"
        configuration.clientID = self.clientID
        configuration.clientSecret = secret
        configuration.audiences = [self.audience]
        configuration.seed = size.seed
        let sandbox = try SandboxServer(configuration)
        sandbox.faults.set(.slow(.lognormal(median: .milliseconds(25), sigma: 0.6)), on: .profiles)
        var loyalty = Fault.failing(503, share: 0.03)
        loyalty.delay = .lognormal(median: .milliseconds(120), sigma: 0.7)
        sandbox.faults.set(loyalty, on: .slow)
        return sandbox
    }

    private static func configuration(
        _ cluster: InProcessCluster,
        _ address: SandboxAddress,
        _ secret: String
    ) throws(CommandFailure) -> Configuration {
        var configuration = Configuration()
        configuration.kafka.brokers = cluster.bootstrapServers
        configuration.kafka.properties = ["session.timeout.ms": "6000"]
        configuration.rules.directory = try Resources.folder("rules")
        configuration.tenant.domain = address.domain
        configuration.tenant.clientID = self.clientID
        configuration.tenant.clientSecret = secret
        configuration.configuration = [
            ("RULE_APP_CLIENT_ID", self.clientID), ("RULE_APP_CLIENT_SECRET", secret),
            ("PROFILE_AUDIENCE", self.audience), ("PROFILE_API", address.url), ("LOYALTY_API", address.url),
        ]
        configuration.egress.caFile = address.caFile
        configuration.admin.listen = nil
        return configuration
    }

    private static func produce(_ size: DemoSize, _ cluster: InProcessCluster) async throws {
        let generator = LoginGenerator(
            seed: size.seed,
            users: size.users,
            distribution: .zipfMandelbrot,
            unverifiedShare: 0.03
        )
        let feed = try LoginFeed(brokers: cluster.bootstrapServers, topic: "logins", generator: generator)
        let half = size.logins / 2
        try await feed.backlog(half)
        feed.send { generator, now in generator.nextInvitedInARing(at: now) }
        feed.send { generator, _ in generator.nextUndecodable() }
        try await feed.backlog(size.logins - half - 1)
        await feed.close()
    }
}

struct DemoSize {
    var logins: Int
    var users: Int
    var seed: UInt64
}

/// Folders that ship beside the executable.
enum Resources {
    static func folder(_ name: String) throws(CommandFailure) -> String {
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let folder = executable.split(separator: "/").dropLast().joined(separator: "/")
        let path = "/\(folder)/afterlogin_AfterloginCommands.resources/\(name)"
        guard FileManager.default.fileExists(atPath: path) else {
            throw CommandFailure(message: "\(path) is missing: copy the folder that ships beside the executable there")
        }
        return path
    }
}
