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

    init(rebalanceDelay: Duration = .zero) throws {
        self.home = try #require(Self.home)
        self.folder = try TemporaryFolder()
        let port = try FreePort.take()
        let controller = try FreePort.take()
        self.bootstrapServers = "127.0.0.1:\(port)"
        let properties = """
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
            group.initial.rebalance.delay.ms=\(Int(rebalanceDelay / .milliseconds(1)))
            group.min.session.timeout.ms=1000
            auto.create.topics.enable=false
            """
        try self.folder.write(properties, to: "server.properties")
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

    private func java(_ arguments: String...) throws -> ChildProcess {
        let logging = "\(self.home)/config/log4j2.xml"
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

    deinit {
        self.process?.kill()
    }
}
