import AfterloginKafka
import AfterloginRuleHost
import FoundationEssentials
import Glibc

/// A broker of the bench's own (KRaft, one node), from an unpacked Apache Kafka.
struct BenchBroker {
    let address: String
    private let process: ChildProgram

    /// Starts it, and waits until it answers.
    ///
    /// - Parameters:
    ///   - home: `KAFKA_HOME`.
    ///   - folder: Where its data goes.
    ///   - ports: For clients and for its controller.
    /// - Throws: `CommandFailure` where it does not start, with what it said.
    init(home: String, folder: String, ports: (client: Int, controller: Int)) async throws {
        self.address = "127.0.0.1:\(ports.client)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let properties = "\(folder)/server.properties"
        let settings = """
            process.roles=broker,controller
            node.id=1
            controller.quorum.voters=1@127.0.0.1:\(ports.controller)
            controller.listener.names=CONTROLLER
            listeners=PLAINTEXT://\(self.address),CONTROLLER://127.0.0.1:\(ports.controller)
            listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
            log.dirs=\(folder)/data
            offsets.topic.replication.factor=1
            offsets.topic.num.partitions=4
            transaction.state.log.replication.factor=1
            transaction.state.log.min.isr=1
            group.initial.rebalance.delay.ms=0
            auto.create.topics.enable=false
            """
        try Data(settings.utf8).write(to: URL(filePath: properties))
        let java = [
            "/usr/bin/env", "java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
            "\(home)/libs/*",
        ]
        let tool = java + ["kafka.tools.StorageTool"]
        let identifier = try await BenchPlace.run(tool + ["random-uuid"], in: folder).split(separator: "\n").last ?? ""
        _ = try await BenchPlace.run(tool + ["format", "-t", String(identifier), "-c", properties], in: folder)
        let log = "\(folder)/log"
        let process = try ChildProgram(java + ["kafka.Kafka", properties], output: log, errors: "\(log).errors")
        self.process = process
        do {
            let admin = try KafkaAdmin(brokers: self.address, properties: [:])
            try await BenchPlace.wait("the broker answers") {
                guard process.exitCode == nil else {
                    let said = BenchPlace.text(log) + BenchPlace.text("\(log).errors")
                    throw CommandFailure(
                        message: "the broker from KAFKA_HOME ended; its last lines: \(said.suffix(2_000))"
                    )
                }
                return (try? await admin.brokers(timeout: .seconds(1)))?.isEmpty == false
            }
            await admin.close()
        } catch {
            self.stop()
            throw error
        }
    }

    /// At once: its data goes as well.
    func stop() {
        self.process.send(SIGKILL)
        while self.process.exitCode == nil { usleep(1_000) }
    }
}
