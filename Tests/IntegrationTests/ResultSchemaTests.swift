import Foundation
import JSON
import Kafka
import Synchronization
import Testing

@Suite("Results and their schemas", .timeLimit(.minutes(3)))
struct ResultSchemaTests {
    private let validator: SchemaValidator

    init() throws { self.validator = try SchemaValidator(folder: "\(Executables.repository)/deploy/schemas") }

    private static let input = ["fine", "writes", "denied", "rejects", "never", "loop", "nonsense", "call"]

    @Test func everyLineOfARunFitsItsSchema() throws {
        let chain = try HostileChain()
        let events = Self.input.map { HostileChain.event($0, user: "user-\($0)") } + ["{"]
        let process = try chain.run(events.joined(separator: "\n"))
        let lines = try ResultLines(process.standardOutputText)
        #expect(lines.updates.count == 2 && lines.denials.count == 1 && lines.failures.count == 6)
        for value in lines.updates { #expect(try self.validator.problems(value, "user.enriched.json") == []) }
        for value in lines.denials { #expect(try self.validator.problems(value, "login.denied.json") == []) }
        for value in lines.failures { #expect(try self.validator.problems(value, "failure.line.json") == []) }
        let reasons = Set(lines.failures.compactMap { $0["failure"]?["reason"]?.string })
        #expect(
            reasons == ["undecodable", "rule-error", "rule-timeout", "limit", "crashed", "attempts-exhausted"],
            "\(reasons)"
        )
        // The schema would be worth little if nothing that it describes were there.
        let data = try #require(lines.update(of: "user-writes")?["data"])
        #expect(data["changes"]?["app_metadata"]?["set"]?["plan"]?.string == "gold")
        #expect(data["changes"]?["user"]?["removed"] == ["gone"])
        #expect(data["claims"]?["idToken"]?["https://example.com/plan"]?.string == "gold")
        #expect(data["unsupported"] == ["redirect", "multifactor"])
        let denial = try #require(lines.denials.first)
        #expect(denial["data"]?["denial"] == ["name": "hostile", "message": "not today"])
        try self.expectRefusals(of: denial, "login.denied.json")
        try self.expectRefusals(of: try #require(lines.failures.first), "failure.line.json")
        // One kind is not the other.
        #expect(try self.validator.problems(denial, "user.enriched.json") != [])
    }

    /// Each member taken away or made a number must be noticed, but for those that may be missing.
    private func expectRefusals(of value: JSONValue, _ schema: String) throws {
        let optional: Set = ["traceparent", "key", "key_base64", "value_base64", "warnings", "rule"]
        for (name, _) in value.object?.members ?? [] {
            var without = value
            without[name] = nil
            if !optional.contains(name) {
                #expect(try self.validator.problems(without, schema) != [], "without \(name)")
            }
            var wrong = value
            wrong[name] = 5
            #expect(try self.validator.problems(wrong, schema) != [], "\(name) as a number")
            wrong[name] = value[name]
            wrong["\(name)-unknown"] = true
            #expect(try self.validator.problems(wrong, schema) != [], "something more")
        }
    }

    @Test func recordsOnTopicsFitTheirSchemas() async throws {
        let cluster = try InProcessCluster()
        for topic in ["logins", "user-updates", "user-update-failures"] {
            try cluster.createTopic(topic, partitions: 2)
        }
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        for mode in ["writes", "denied", "rejects"] {
            let value = Array(HostileChain.event(mode, user: "user-\(mode)").utf8)
            let headers = [KafkaHeader(name: "trace", value: [1, 2]), KafkaHeader(name: "empty", value: nil)]
            _ = try await producer.produce(KafkaMessage(topic: "logins", key: [9], value: value, headers: headers))
        }
        _ = try await producer.produce(KafkaMessage(topic: "logins", key: [7], value: nil))
        let chain = try HostileChain()
        let worker = try chain.start("kafka.brokers=\(cluster.bootstrapServers)", "kafka.group=schemas")
        let reader = RecordReader()
        let consumer = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: cluster.bootstrapServers,
                group: "reader",
                topics: ["user-updates", "user-update-failures"],
                properties: ["session.timeout.ms": "6000"],
                revocationDeadline: .seconds(5)
            ),
            delegate: reader
        )
        consumer.start()
        try worker.waitUntil("four results") { reader.records.count >= 4 }
        worker.send(SIGTERM)
        #expect(worker.wait() == 0)
        let records = reader.records
        #expect(records.count == 4)
        for record in records where record.topicPartition.topic == "user-updates" {
            #expect(
                record.headers == [
                    KafkaHeader(name: "content-type", value: Array("application/cloudevents+json; charset=UTF-8".utf8))
                ]
            )
            let value = try JSONValue(parsing: record.value ?? [])
            #expect(record.key == value["subject"]?.string.map { Array($0.utf8) })
            let schema = value["type"] == "io.afterlogin.login.denied" ? "login.denied.json" : "user.enriched.json"
            #expect(try self.validator.problems(value, schema) == [])
        }
        let failures = records.filter { $0.topicPartition.topic == "user-update-failures" }
        #expect(failures.count == 2)
        for record in failures {
            let ours = record.headers.filter { $0.name.hasPrefix("afterlogin-") }
            let members = ours.map { ($0.name, JSONValue.string(String(decoding: $0.value ?? [], as: UTF8.self))) }
            #expect(try self.validator.problems(JSONValue(members), "failure.headers.json") == [])
        }
        let tombstone = try #require(failures.first { $0.value == nil })
        #expect(tombstone.key == [7])
        let failed = try #require(failures.first { $0.value != nil })
        #expect(failed.key == [9] && failed.value == Array(HostileChain.event("rejects", user: "user-rejects").utf8))
        #expect(
            failed.headers.prefix(2) == [
                KafkaHeader(name: "trace", value: [1, 2]), KafkaHeader(name: "empty", value: nil),
            ]
        )
        await consumer.close()
        await producer.close()
        await cluster.close()
    }

    @Test func everyReferenceLeadsSomewhere() throws {
        func references(_ value: JSONValue) -> [String] {
            let own = value["$ref"]?.string.map { [$0] } ?? []
            let inner = (value.object?.members.map(\.value) ?? []) + (value.array ?? [])
            return own + inner.flatMap(references)
        }
        #expect(self.validator.names.count == 6)
        for name in self.validator.names {
            let document = try #require(self.validator.resolve("", in: name)?.schema)
            for reference in references(document) {
                #expect(self.validator.resolve(reference, in: name) != nil, "\(name): \(reference)")
            }
        }
    }
}

/// Keeps the records that it is given.
final class RecordReader: KafkaConsumerDelegate {
    private let kept = Mutex<[KafkaRecord]>([])
    var records: [KafkaRecord] { self.kept.withLock { $0 } }

    func partitionsAssigned(_ partitions: [AssignedPartition]) {}
    func recordsReceived(_ records: [KafkaRecord]) -> Bool {
        self.kept.withLock { $0 += records }
        return true
    }
    func partitionsRevoked(_ partitions: [TopicPartition]) {}
    func partitionsLost(_ partitions: [TopicPartition]) {}
    func consumerProblemChanged(_ problem: KafkaError?) {}
    func consumerFailed(_ error: KafkaError) {}
}
