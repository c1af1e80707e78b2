import AfterloginHTTPClient
import AfterloginHTTPMessages
import AfterloginHTTPServer
import AfterloginJSON
import AfterloginKafka
import AfterloginRuleHost
import AfterloginSandbox
import FoundationEssentials
import Glibc

/// Where everything is measured: a broker, a sandbox as a process of its own, and a folder.
final class BenchPlace {
    /// A sandbox process.
    struct SandboxProcess {
        var process: ChildProgram
        var url: String
        var control: String
        var caFile: String?
    }

    static let patience = Duration.seconds(120)
    /// Thrown by a signal.
    static let stop = StopSwitch()
    static var stopped: CommandFailure {
        CommandFailure(message: "stopped by a signal", code: StopSignals.exitCode)
    }

    let folder: String
    let brokers: String
    let client: HTTPClient
    private let broker: BenchBroker?
    private var sandboxes: [Bool: SandboxProcess] = [:]
    private var runs = 0

    /// Starts what is missing.
    ///
    /// - Parameters:
    ///   - brokers: Of a cluster that runs already; nil starts one from the distribution under `KAFKA_HOME`.
    ///   - home: `KAFKA_HOME`.
    /// - Throws: `CommandFailure` where no broker can be had.
    init(brokers: String?, home: String?) async throws {
        guard let home = home ?? brokers else {
            throw CommandFailure(message: "name --brokers, or set KAFKA_HOME to an unpacked Apache Kafka", code: .usage)
        }
        self.folder = FileManager.default.temporaryDirectory.appending(path: "afterlogin-bench-\(UUID())").path
        try FileManager.default.createDirectory(atPath: self.folder, withIntermediateDirectories: true)
        self.client = try HTTPClient()
        if let brokers {
            self.brokers = brokers
            self.broker = nil
            return
        }
        do {
            let ports = (try await Self.freePort(), try await Self.freePort())
            let broker = try await BenchBroker(home: home, folder: "\(self.folder)/kafka", ports: ports)
            self.broker = broker
            self.brokers = broker.address
        } catch {
            try? FileManager.default.removeItem(atPath: self.folder)
            throw error
        }
    }

    func close() async {
        await self.client.shutdown()
        for sandbox in self.sandboxes.values { sandbox.process.send(SIGKILL) }
        self.broker?.stop()
        try? FileManager.default.removeItem(atPath: self.folder)
    }

    /// Runs a program to its end, and gives what it wrote.
    static func run(
        _ words: [String],
        in folder: String,
        patience: Duration = patience
    ) async throws -> String {
        let file = "\(folder)/output-\(UUID())"
        let process = try ChildProgram(words, output: file, errors: "\(file).errors")
        // Asked first: it may have processes of its own to take down.
        defer { process.send(SIGTERM) }
        try await self.wait("\(words[0]) ends", patience: patience) { process.exitCode != nil }
        guard process.exitCode == 0 else {
            throw CommandFailure(
                message:
                    "\(words.joined(separator: " ")) ended with \(process.exitCode ?? -1): \(self.text("\(file).errors"))"
            )
        }
        return self.text(file)
    }

    static func text(_ file: String) -> String {
        (try? Data(contentsOf: URL(filePath: file))).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Looks again and again, in vain for two minutes at most where nothing else is said.
    static func wait(
        _ fact: String,
        every period: Duration = .milliseconds(20),
        patience: Duration = patience,
        _ holds: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + patience
        while try await !holds() {
            if self.stop.isThrown { throw self.stopped }
            guard ContinuousClock.now < end else {
                throw CommandFailure(
                    message:
                        "waited \(patience.components.seconds) s in vain until \(fact): is this machine busy with something else? --logins and --seconds make less of it"
                )
            }
            try await Task.sleep(for: period)
        }
    }

    // MARK: Sandbox

    /// Starts it at the first use.
    func sandbox(isPlain: Bool) async throws -> SandboxProcess {
        if let sandbox = self.sandboxes[isPlain] { return sandbox }
        let name = "\(self.folder)/sandbox-\(isPlain ? "plain" : "tls")"
        var words = [
            "/proc/self/exe", "sandbox", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--format", "json",
        ]
        words += isPlain ? ["--plain"] : ["--ca-file", "\(name).pem"]
        let process = try ChildProgram(words, output: name, errors: "\(name).errors")
        try await Self.wait("the sandbox is up") {
            if process.exitCode != nil {
                throw CommandFailure(message: "the sandbox of the bench ended: \(Self.text("\(name).errors"))")
            }
            return Self.text(name).hasSuffix("\n")
        }
        let address = try JSONValue(parsing: Array(Self.text(name).utf8))
        let sandbox = SandboxProcess(
            process: process,
            url: address["url"]?.string ?? "",
            control: address["control"]?.string ?? "",
            caFile: address["caFile"]?.string
        )
        self.sandboxes[isPlain] = sandbox
        return sandbox
    }

    /// How long its API takes.
    func setDelay(_ milliseconds: Int, _ sandbox: SandboxProcess) async throws {
        let url = "\(sandbox.control)/control/faults/slow"
        var request = HTTPRequest(milliseconds == 0 ? "DELETE" : "PUT", url)
        if milliseconds > 0 { request.body = JSONValue.object(["delay": JSONValue(milliseconds)]).serialized() }
        request.allowsSpecialAddresses = true
        let response = try await self.client.send(request)
        guard response.status < 300 else {
            throw CommandFailure(
                message:
                    "the sandbox of the bench refused a delay (\(response.status)): \(String(decoding: response.body.prefix(500), as: UTF8.self))"
            )
        }
    }

    /// A port that the kernel gave, and that is free again.
    static func freePort() async throws -> Int {
        let server = try HTTPServer(configuration: .init(listen: "127.0.0.1:0")) { _ in .now(.init(status: 503)) }
        await server.shutdown()
        return server.port
    }

    // MARK: Topics

    /// Topics of one row; results carry the broker's time.
    func makeTopics(partitions: Int = 8) async throws -> ResultAudit.Topics {
        self.runs += 1
        let name = "bench-\(UInt32.random(in: .min ... .max))-\(self.runs)"
        let topics = ResultAudit.Topics(logins: [name], updates: "\(name)-updates", failures: "\(name)-failures")
        let brokerTime = ["message.timestamp.type": "LogAppendTime"]
        let specifications = [
            TopicSpecification(name: name, partitions: partitions),
            TopicSpecification(name: topics.updates, partitions: partitions, configuration: brokerTime),
            TopicSpecification(name: topics.failures, partitions: partitions, configuration: brokerTime),
        ]
        let admin = try KafkaAdmin(brokers: self.brokers, properties: [:])
        let problems = try await admin.create(specifications, timeout: .seconds(20)).compactMap { $0.value }
        await admin.close()
        if let problem = problems.first {
            throw CommandFailure(
                message:
                    "the bench can't create its topics: \(problem.forPeople); give this client permission to, or leave out --brokers"
            )
        }
        return topics
    }
}
