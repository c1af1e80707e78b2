import Afterlogin
import AfterloginDelivery
import AfterloginJSON
import AfterloginKafka
import AfterloginObservability
import AfterloginRules

/// Creates and verifies the topics that `run` needs.
enum TopicsCommand: Command {
    static let name = "topics"
    static let summary = "verifies the topics that run needs, and creates those that are missing"
    static let example = "afterlogin topics --create --partitions 8"
    static let options =
        CommandOption.configuration + [
            .flag("create", "create what is missing"),
            .value("partitions", "N", "of topics that are created (default: 8)"),
            .value("replication-factor", "N", "of topics that are created (default: the broker's)"),
            .value("format", "FORMAT", "text or json"),
        ]

    static func run(_ arguments: Arguments, rules: [any Rule]) async throws(CommandFailure) -> ExitCode {
        let isJSON = try arguments.wantsJSON()
        let partitions = try arguments.integer("partitions", 1...10_000, default: 8)
        let replicas = try arguments.integer("replication-factor", 1...100, default: -1)
        let setup = try Setup(arguments, isForPeople: true)
        let check = TopicCheck(setup)
        var lines: [(topic: String, state: String, isFine: Bool)] = []
        do throws(KafkaError) {
            let admin = try check.makeAdmin()
            var findings = try await check.findings(admin)
            let missing = findings.compactMap { if case .missing(let topic) = $0.finding { topic } else { nil } }
            if arguments.has("create"), !missing.isEmpty {
                let specifications = missing.map {
                    TopicSpecification(name: $0, partitions: partitions, replicationFactor: replicas)
                }
                for (topic, error) in try await admin.create(specifications, timeout: TopicCheck.timeout) {
                    // Another one may have been quicker.
                    guard let error, error.code != "TOPIC_ALREADY_EXISTS" else { continue }
                    lines.append(
                        (
                            topic,
                            "could not be created: \(error.forPeople); give this client permission to create topics, or have it created",
                            false
                        )
                    )
                }
                // A broker may not know at once what the controller has created.
                let deadline = ContinuousClock.now + TopicCheck.timeout
                repeat {
                    findings = try await check.findings(admin)
                    let unseen = findings.filter { finding in
                        guard case .missing(let topic) = finding.finding else { return false }
                        return !lines.contains { $0.topic == topic }
                    }
                    if unseen.isEmpty { break }
                    try? await Task.sleep(for: .milliseconds(100))
                } while ContinuousClock.now < deadline
            }
            await admin.close()
            for (topic, finding, _) in findings where !lines.contains(where: { $0.topic == topic }) {
                lines.append(Self.line(topic, finding))
            }
        } catch {
            let brokers = setup.configuration.kafka.brokers
            let message = "no broker of \(brokers) answers: \(error.forPeople); check kafka.brokers and the network"
            throw CommandFailure(message: setup.log.redactor.redact(message))
        }
        // Words of librdkafka and of brokers.
        for index in lines.indices { lines[index].state = setup.log.redactor.redact(lines[index].state) }
        if isJSON {
            let report = lines.map { line -> JSONValue in
                ["topic": .string(line.topic), "state": .string(line.state), "ok": JSONValue(line.isFine)]
            }
            Output.line(JSONValue.array(report).serialized())
        } else {
            for line in lines {
                Output.text(TerminalText.plain("\(line.isFine ? "ok " : "no ") \(line.topic): \(line.state)"))
            }
        }
        return lines.allSatisfy(\.isFine) ? .done : .failed
    }

    private static func line(
        _ topic: String,
        _ finding: TopicCheck.Finding
    ) -> (topic: String, state: String, isFine: Bool) {
        switch finding {
        case .fine(let description): (topic, "\(description.partitions) partitions", true)
        case .missing: (topic, "does not exist; run: afterlogin topics --create", false)
        case .refused(_, let error): (topic, "\(error.forPeople); give this client permission to it", false)
        }
    }
}
