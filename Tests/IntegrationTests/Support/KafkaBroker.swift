import Foundation
import Testing

/// A real Apache Kafka broker (KRaft, one node) in a folder of its own, from the distribution under `KAFKA_HOME`.
final class KafkaBroker {
    static var home: String? { ProcessInfo.processInfo.environment["KAFKA_HOME"] }
    static var isAvailable: Bool { self.home != nil }

    let bootstrapServers: String
    private let folder: TemporaryFolder
    private let home: String
    private var process: ChildProcess?

    /// Starts a broker; the settings are laid over those of these tests.
    init(_ settings: [String: String] = [:]) throws {
        self.home = try #require(Self.home)
        self.folder = try TemporaryFolder()
        let port = try FreePort.take()
        let controller = try FreePort.take()
        self.bootstrapServers = "127.0.0.1:\(port)"
        let defaults = """
            process.roles=broker,controller
            node.id=1
            controller.quorum.voters=1@127.0.0.1:\(controller)
            controller.listener.names=CONTROLLER
            listeners=PLAINTEXT://127.0.0.1:\(port),CONTROLLER://127.0.0.1:\(controller)
            advertised.listeners=PLAINTEXT://127.0.0.1:\(port)
            listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
            log.dirs=\(self.folder.path)/data
            offsets.topic.replication.factor=1
            offsets.topic.num.partitions=2
            transaction.state.log.replication.factor=1
            transaction.state.log.min.isr=1
            group.initial.rebalance.delay.ms=0
            group.min.session.timeout.ms=1000
            auto.create.topics.enable=false
            """
        var properties: [String: String] = [:]
        for line in defaults.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            properties[parts[0]] = parts[1]
        }
        properties.merge(settings.mapValues { Self.local($0, port: port, controller: controller) }) { $1 }
        properties["log.dirs"] = "\(self.folder.path)/data"
        let text = properties.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: "\n")
        try self.folder.write(text, to: "server.properties")
        try self.folder.write(Self.logging, to: "log4j2.xml")
        let format = try self.java("kafka.tools.StorageTool", "random-uuid")
        let identifier = try #require(format.waitForOutput().split(separator: "\n").last.map(String.init))
        let formatting = try self.java(
            "kafka.tools.StorageTool",
            "format",
            "-t",
            identifier,
            "-c",
            "\(self.folder.path)/server.properties"
        )
        try #require(formatting.wait() == 0, "\(formatting.standardErrorText)")
        try self.start()
    }

    /// Addresses of a container network as they are on this machine.
    private static func local(_ value: String, port: Int, controller: Int) -> String {
        value.replacingOccurrences(of: "//:", with: "//127.0.0.1:")
            .replacingOccurrences(of: "kafka:", with: "127.0.0.1:")
            .replacingOccurrences(of: ":9092", with: ":\(port)")
            .replacingOccurrences(of: ":9093", with: ":\(controller)")
    }

    /// Runs one of Kafka's own tools, as its scripts do.
    func tool(_ arguments: [String]) throws -> ChildProcess {
        try ChildProcess("java", ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", "\(self.home)/libs/*"] + arguments)
    }

    /// A distribution's own has other files and levels, and `start` waits for a line.
    private static let logging = """
        <Configuration>
          <Appenders><Console name="out"><PatternLayout pattern="%d %-5p %c{1}: %m%n"/></Console></Appenders>
          <Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers>
        </Configuration>
        """

    private func java(_ arguments: String...) throws -> ChildProcess {
        let logging = "\(self.folder.path)/log4j2.xml"
        let options = [
            "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dlog4j2.configurationFile=\(logging)", "-cp", "\(self.home)/libs/*",
        ]
        return try ChildProcess("java", options + arguments)
    }

    /// Starts it (again, on its old data) and waits until it says that it has started.
    func start() throws {
        let process = try self.java("kafka.Kafka", "\(self.folder.path)/server.properties")
        self.process = process
        try process.waitUntil("the broker has started") { process.standardOutputText.contains("Kafka Server started") }
    }

    /// Ends it in order; its data stays.
    func stop() {
        guard let process = self.process else { return }
        process.send(SIGTERM)
        _ = process.wait()
        self.process = nil
    }

    func send(_ signal: Int32) { self.process?.send(signal) }

    deinit {
        self.process?.kill()
    }

    /// By Kafka's own tool.
    func deleteTopic(_ name: String) throws {
        let tool = try self.java(
            "org.apache.kafka.tools.TopicCommand",
            "--bootstrap-server",
            self.bootstrapServers,
            "--delete",
            "--topic",
            name
        )
        try #require(tool.wait() == 0, "\(tool.standardErrorText)")
    }
}
