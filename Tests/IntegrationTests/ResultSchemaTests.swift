import AfterloginJSON
import AfterloginKafka
import AfterloginSystem
import Foundation
import Testing

@Suite("Results and their schemas", .timeLimit(.minutes(3)))
struct ResultSchemaTests {
    private let validator: SchemaValidator

    init() throws { self.validator = try SchemaValidator(folder: "\(Executables.repository)/deploy/schemas") }

    private static let input = ["fine", "writes", "denied", "rejects", "never", "loop", "nonsense", "call", "claims"]

    @Test func everyLineOfARunFitsItsSchema() throws {
        let chain = try HostileChain()
        let events = Self.input.map { HostileChain.event($0, user: "user-\($0)") } + ["{"]
        let process = try chain.run(events.joined(separator: "\n"))
        let lines = try ResultLines(process.standardOutputText)
        #expect(lines.updates.count == 2 && lines.denials.count == 1 && lines.failures.count == 7)
        for value in lines.updates { #expect(try self.validator.problems(value, "user.enriched.json") == []) }
        for value in lines.denials { #expect(try self.validator.problems(value, "login.denied.json") == []) }
        for value in lines.failures { #expect(try self.validator.problems(value, "failure.line.json") == []) }
        #expect(lines.changes.count == 1)
        let changes = try #require(lines.changes.first)
        #expect(try self.validator.problems(changes, "login.failed.json") == [])
        #expect(changes["data"]?["changes"]?["app_metadata"]?["set"] == ["claimed": true])
        #expect(changes["data"]?["failure"]?["message"]?.string == "already claimed")
        for place in [[], ["data"], ["data", "failure"], ["data", "changes", "app_metadata"]] {
            try self.expectRefusals(of: changes, at: place, "login.failed.json")
        }
        // Lines count from 1, as editors do.
        let lineNumbers = lines.failures.compactMap { $0["failure"]?["line"]?.int }
        #expect(Set(lineNumbers) == [4, 5, 6, 7, 8, 9, 10], "\(lineNumbers)")
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
        // One kind is not the other.
        #expect(try self.validator.problems(denial, "user.enriched.json") != [])
        let update = try #require(lines.update(of: "user-writes"))
        for place in [[], ["data"], ["data", "login"], ["data", "rules", "0"], ["data", "changes", "app_metadata"]] {
            try self.expectRefusals(of: update, at: place, "user.enriched.json")
            try self.expectRefusals(
                of: denial,
                at: place.filter { _ in !place.contains("changes") },
                "login.denied.json"
            )
        }
        try self.expectRefusals(of: denial, at: ["data", "denial"], "login.denied.json")
        let failure = try #require(lines.failures.first { $0["failure"]?["rule"] != nil })
        for place in [[], ["failure"]] { try self.expectRefusals(of: failure, at: place, "failure.line.json") }
    }

    @Test func aLoginThatIsTooOldSaysSo() throws {
        let process = try HostileChain().run(
            HostileChain.event("call", user: "a"),
            "--set",
            "rules.attempts=3",
            "--set",
            "rules.max_age=1ms"
        )
        let lines = try ResultLines(process.standardOutputText)
        #expect(lines.failure(of: "a")?["reason"]?.string == "too-old", "\(lines.failures)")
        for value in lines.failures { #expect(try self.validator.problems(value, "failure.line.json") == []) }
    }

    @Test func aKeywordThatTheValidatorDoesNotKnowIsAnError() throws {
        let folder = try TemporaryFolder()
        try folder.write(#"{"type": "number", "multipleOf": 2}"#, to: "even.json")
        let validator = try SchemaValidator(folder: folder.path)
        #expect(throws: SchemaValidator.UnknownKeyword.self) { try validator.problems(4, "even.json") }
    }

    /// Each member taken away or made a number must be noticed, but for those that may be missing.
    ///
    /// - Parameters:
    ///   - value: What fits the schema as it is.
    ///   - place: The object in it whose members are changed.
    ///   - schema: The document.
    ///   - isOpen: Whether members that the schema does not name are let pass.
    /// - Throws: Where the value has no such object.
    private func expectRefusals(
        of value: JSONValue,
        at place: [String],
        _ schema: String,
        isOpen: Bool = false
    ) throws {
        let optional: Set = [
            "traceparent", "key", "warnings", "rule", "place", "afterlogin-rule", "afterlogin-place",
            "afterlogin-first-attempt", "afterlogin-last-attempt", "afterlogin-timestamp",
        ]
        let object = try #require(value.member(at: place))
        let members = try #require(object.object?.members)
        #expect(!members.isEmpty)
        for (name, member) in members {
            func problems(_ change: (inout JSONValue) -> Void) throws -> [String] {
                var changed = object
                change(&changed)
                return try self.validator.problems(value.replacing(place[...], by: changed), schema)
            }
            if !optional.contains(name) {
                #expect(try problems { $0[name] = nil } != [], "\(schema): without \(name) in \(place)")
            }
            // No member takes both a truth value and an array.
            let wrong: JSONValue = member.bool == nil ? true : []
            #expect(try problems { $0[name] = wrong } != [], "\(schema): \(name) in \(place) of another type")
        }
        var more = object
        more["unknown"] = true
        let problems = try self.validator.problems(value.replacing(place[...], by: more), schema)
        #expect(problems.isEmpty == isOpen, "\(schema): something more in \(place)")
    }

    @Test func recordsOnTopicsFitTheirSchemas() async throws {
        let cluster = try InProcessCluster()
        for topic in ["logins", "user-updates", "user-update-failures"] {
            try cluster.createTopic(topic, partitions: 2)
        }
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        for mode in ["writes", "denied", "rejects", "large", "claims"] {
            let value = Array(HostileChain.event(mode, user: "user-\(mode)").utf8)
            let headers = [KafkaHeader(name: "trace", value: [1, 2]), KafkaHeader(name: "empty", value: nil)]
            _ = try await producer.produce(KafkaMessage(topic: "logins", key: [9], value: value, headers: headers))
        }
        _ = try await producer.produce(KafkaMessage(topic: "logins", key: [7], value: nil))
        let chain = try HostileChain()
        let worker = try chain.start(
            "kafka.brokers=\(cluster.bootstrapServers)",
            "kafka.group=schemas",
            "kafka.properties.message.max.bytes=1000000"
        )
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
        // One of them with what its rule wrote before it failed.
        try worker.waitUntil("six results") { reader.records.count >= 7 }
        worker.send(SIGTERM)
        #expect(worker.wait() == 0)
        let records = reader.records
        #expect(records.count == 7)
        for record in records where record.topicPartition.topic == "user-updates" {
            #expect(
                record.headers == [
                    KafkaHeader(name: "content-type", value: Array("application/cloudevents+json; charset=UTF-8".utf8))
                ]
            )
            let value = try JSONValue(parsing: record.value ?? [])
            #expect(record.key == value["subject"]?.string.map { Array($0.utf8) })
            let type = try #require(value["type"]?.string?.split(separator: ".").suffix(2).joined(separator: "."))
            #expect(try self.validator.problems(value, "\(type).json") == [])
        }
        let failures = records.filter { $0.topicPartition.topic == "user-update-failures" }
        #expect(failures.count == 4)
        for record in failures {
            let ours = record.headers.filter { $0.name.hasPrefix("afterlogin-") }
            let members = ours.map { ($0.name, JSONValue.string(String(decoding: $0.value ?? [], as: UTF8.self))) }
            let headers = JSONValue(members)
            #expect(try self.validator.problems(headers, "failure.headers.json") == [])
            try self.expectRefusals(of: headers, at: [], "failure.headers.json", isOpen: true)
        }
        let tombstone = try #require(failures.first { $0.value == nil })
        #expect(tombstone.key == [7])
        func failure(_ reason: String) -> KafkaRecord? {
            let header = KafkaHeader(name: "afterlogin-reason", value: Array(reason.utf8))
            return failures.first { $0.headers.contains(header) }
        }
        // What the topic does not take leaves the original, which it does take.
        #expect(failure("result-too-large")?.value == Array(HostileChain.event("large", user: "user-large").utf8))
        let failed = try #require(
            failures.first { $0.value == Array(HostileChain.event("rejects", user: "user-rejects").utf8) }
        )
        #expect(failed.headers.contains(KafkaHeader(name: "afterlogin-reason", value: Array("rule-error".utf8))))
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
        #expect(self.validator.names.count == 7)
        for name in self.validator.names {
            let document = try #require(self.validator.resolve("", in: name)?.schema)
            for reference in references(document) {
                #expect(self.validator.resolve(reference, in: name) != nil, "\(name): \(reference)")
            }
        }
    }
}

extension JSONValue {
    /// Names of members, and numbers of elements.
    fileprivate func member(at place: [String]) -> JSONValue? {
        place.reduce(self) { value, step in value?[step] ?? Int(step).flatMap { value?.array?[$0] } }
    }

    fileprivate func replacing(_ place: ArraySlice<String>, by other: JSONValue) -> JSONValue {
        guard let step = place.first else { return other }
        if let index = Int(step), var elements = self.array {
            elements[index] = elements[index].replacing(place.dropFirst(), by: other)
            return .array(elements)
        }
        var copy = self
        copy[step] = self[step]?.replacing(place.dropFirst(), by: other)
        return copy
    }
}

/// Keeps the records that it is given.
final class RecordReader: KafkaConsumerDelegate {
    private let kept = Mutex<[KafkaRecord]>([])
    var records: [KafkaRecord] { self.kept.withLock { $0 } }

    func partitionsAssigned(_ partitions: [AssignedPartition]) {}
    func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool {
        self.kept.withLock { $0 += records }
        return true
    }
    func partitionsRevoked(_ partitions: [TopicPartition]) {}
    func partitionsLost(_ partitions: [TopicPartition]) {}
    func consumerProblemChanged(_ problem: KafkaError?) {}
    func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?) {}
    func consumerFailed(_ error: KafkaError) {}
}
