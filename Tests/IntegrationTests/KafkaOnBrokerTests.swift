import AfterloginKafka
import AfterloginSystem
import Foundation
import Testing

@Suite(
    "The Kafka target on a real broker",
    .enabled(if: KafkaBroker.isAvailable, "needs KAFKA_HOME"),
    .timeLimit(.minutes(3)),
    .serialized
)
struct KafkaOnBrokerTests {
    @Test func topicsAreMadeDescribedAndMissed() async throws {
        let broker = try KafkaBroker()
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        let wanted = TopicSpecification(name: "new", partitions: 3, configuration: ["max.message.bytes": "12345"])
        #expect(try await admin.create([wanted], timeout: .seconds(20)) == ["new": nil])
        let again = try await admin.create([wanted], timeout: .seconds(20))
        #expect(again["new"]??.code == "TOPIC_ALREADY_EXISTS")
        let wrong = TopicSpecification(name: "wrong", partitions: 1, configuration: ["no.such.setting": "1"])
        #expect(try await admin.create([wrong], timeout: .seconds(20))["wrong"]??.code == "INVALID_CONFIG")
        let found = try await admin.describe(
            topics: ["new", "missing"],
            withConfiguration: true,
            timeout: .seconds(20)
        )
        #expect(found["new"]??.partitions == 3)
        #expect(found["new"]??.configuration["max.message.bytes"] == "12345")
        #expect(found["missing"] == .some(nil))
        #expect(try await admin.brokers(timeout: .seconds(20)) == [broker.bootstrapServers])
        try self.expectTopicsOfRun(broker)
        await admin.close()
        let nobody = try KafkaAdmin(brokers: "127.0.0.1:1", properties: [:])
        let start = ContinuousClock.now
        await #expect(throws: KafkaError.self) { try await nobody.brokers(timeout: .seconds(2)) }
        #expect(ContinuousClock.now - start < .seconds(20))
        await nobody.close()
    }

    /// `doctor` and `topics` before and after what `run` needs is made.
    private func expectTopicsOfRun(_ broker: KafkaBroker) throws {
        func run(_ command: String, _ words: String...) throws -> (code: Int32, text: String) {
            let process = try ChildProcess(
                Executables.afterlogin,
                [command, "--set", "kafka.brokers=\(broker.bootstrapServers)", "--set", "kafka.input=in"] + words
            )
            return (process.wait(), process.standardOutputText)
        }
        let hint = "does not exist; run: afterlogin topics --create"
        let before = try run("doctor")
        #expect(before.code == 1 && before.text.contains("problem  topic in: \(hint)"), "\(before.text)")
        #expect(try run("topics").code != 0)
        #expect(try run("topics", "--create", "--partitions", "2").code == 0)
        #expect(try run("topics").code == 0)
        #expect(try run("doctor").text.contains("topic user-update-failures: 2 partitions"))
    }

    @Test func aRevokedPartitionIsHandedOverWithItsLastCommit() async throws {
        let broker = try KafkaBroker()
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        _ = try await admin.create([TopicSpecification(name: "shared", partitions: 2)], timeout: .seconds(20))
        await admin.close()
        let configuration = KafkaConsumerConfiguration(
            brokers: broker.bootstrapServers,
            group: "g",
            topics: ["shared"],
            properties: ["session.timeout.ms": "6000"],
            revocationDeadline: .seconds(20)
        )
        let (first, second) = (DrainingMember(), DrainingMember())
        let one = try KafkaConsumer(configuration: configuration, delegate: first)
        one.start()
        try await broker.wait("both partitions") { first.assigned.withLock { $0.count } == 2 }
        let two = try KafkaConsumer(configuration: configuration, delegate: second)
        two.start()
        try await broker.wait("the revoke") { !first.revoked.withLock { $0.isEmpty } }
        // Still a member: this commit counts, and nobody else starts before it.
        let commits = first.revoked.withLock { $0 }.map {
            OffsetCommit(topicPartition: $0, offset: 0, map: [0x6D])
        }
        let answer = await withCheckedContinuation { continuation in
            one.commit(commits) { continuation.resume(returning: $0) }
        }
        #expect(throws: Never.self) { try answer.get() }
        #expect(second.assigned.withLock { $0.isEmpty })
        one.finishRevocation()
        try await broker.wait("one partition each") { !second.assigned.withLock { $0.isEmpty } }
        let taken = second.assigned.withLock { $0 }
        #expect(taken.count == 1 && taken[0].committedOffset == 0 && taken[0].committedMap == [0x6D])
        await two.close()
        await one.close()
    }

    /// The rest of what was held is written one after the other, which took 12 s for 4,000 results.
    @Test func aTopicThatIsBackIsNoProblemFromTheFirstMessageOnThatItTakes() async throws {
        let broker = try KafkaBroker()
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        let topic = TopicSpecification(name: "gone", partitions: 1)
        let configuration = KafkaProducerConfiguration(
            brokers: broker.bootstrapServers,
            properties: ["topic.metadata.propagation.max.ms": "0"]
        )
        let producer = try KafkaProducer(configuration: configuration)
        let problems = Mutex<[KafkaError?]>([])
        for number in 0..<500 {
            producer.produce(KafkaMessage(topic: "gone", key: [1], value: [UInt8(number % 256)])) { _ in
                problems.withLock { $0.append(producer.problem) }
            }
        }
        try await broker.wait("the problem") { producer.problem?.message.contains("topic gone") == true }
        _ = try await admin.create([topic], timeout: .seconds(20))
        try await broker.wait("all") { problems.withLock { $0.count } == 500 }
        #expect(problems.withLock { $0 }.allSatisfy { $0 == nil })
        await admin.close()
        await producer.close()
    }

    @Test func oneThatIsTooLargeFailsAloneAmongItsNeighbours() async throws {
        let broker = try KafkaBroker()
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        let topic = TopicSpecification(name: "small", partitions: 1, configuration: ["max.message.bytes": "2000"])
        _ = try await admin.create([topic], timeout: .seconds(20))
        await admin.close()
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: broker.bootstrapServers))
        let results = await withTaskGroup(of: (Int, KafkaError?).self) { group in
            for number in 0..<40 {
                let size = number == 17 ? 5_000 : 100
                // Random, so that no compression makes it small.
                let value = (0..<size).map { _ in UInt8.random(in: .min ... .max) }
                group.addTask {
                    do throws(KafkaError) {
                        _ = try await producer.produce(KafkaMessage(topic: "small", key: [1], value: value))
                        return (number, nil)
                    } catch {
                        return (number, error)
                    }
                }
            }
            return await group.reduce(into: [Int: KafkaError?]()) { $0[$1.0] = $1.1 }
        }
        #expect(results.count == 40)
        for (number, error) in results {
            #expect(
                number == 17 ? error?.code == "MSG_SIZE_TOO_LARGE" : error == nil,
                "\(number): \(String(describing: error))"
            )
        }
        await producer.close()
    }

    /// Batches stay below what a topic takes, so that one does not fail, and its messages are not passed by later ones of their key.
    @Test func theOrderOfAKeyIsKeptInATopicThatTakesLittle() async throws {
        let broker = try KafkaBroker()
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        let topic = TopicSpecification(name: "little", partitions: 1, configuration: ["max.message.bytes": "80000"])
        _ = try await admin.create([topic], timeout: .seconds(20))
        await admin.close()
        // All that fits into one batch is sent as one.
        let producer = try KafkaProducer(
            configuration: KafkaProducerConfiguration(
                brokers: broker.bootstrapServers,
                properties: ["linger.ms": "100"]
            )
        )
        let offsets = Mutex<[Int: Int64]>([:])
        for number in 0..<300 {
            let value = (0..<1_000).map { _ in UInt8.random(in: .min ... .max) }
            producer.produce(KafkaMessage(topic: "little", key: [1], value: value)) { report in
                offsets.withLock { $0[number] = try? report.get().offset }
            }
        }
        #expect(await producer.flush(deadline: .seconds(60)) == 0)
        let inOrder = offsets.withLock { offsets in (0..<300).map { offsets[$0] ?? -1 } }
        #expect(inOrder == inOrder.sorted() && inOrder.first == 0)
        await producer.close()
    }

    /// A broker may answer with records beyond the end that the same answer names: that is not a shrunk partition.
    @Test func aPartitionThatGrowsWhileItIsReadIsKept() async throws {
        let broker = try KafkaBroker()
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        _ = try await admin.create([TopicSpecification(name: "busy", partitions: 1)], timeout: .seconds(20))
        await admin.close()
        let producer = try KafkaProducer(
            configuration: KafkaProducerConfiguration(brokers: broker.bootstrapServers, properties: ["linger.ms": "0"])
        )
        let member = CommittingMember()
        let consumer = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: broker.bootstrapServers,
                group: "g",
                topics: ["busy"],
                properties: ["session.timeout.ms": "6000"]
            ),
            delegate: member
        )
        member.consumer.withLock { $0 = consumer }
        consumer.start()
        for number in 0..<40_000 {
            producer.produce(KafkaMessage(topic: "busy", partition: 0, key: nil, value: [UInt8(number % 256)])) { _ in }
            if number % 20 == 0 { await Task.yield() }
            if producer.pendingCount > 20 { _ = await producer.flush(deadline: .seconds(10)) }
        }
        try await broker.wait("all of them") { member.values.withLock { $0.count } >= 40_000 }
        #expect(member.lost.withLock { $0 } == 0)
        await consumer.close()
        await producer.close()
    }

    /// So soon that nobody has seen that it was gone; librdkafka goes back by itself, and does not say so.
    @Test func aPartitionThatIsReadFromItsBeginningAgainIsAnotherOne() async throws {
        let broker = try KafkaBroker()
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        _ = try await admin.create([TopicSpecification(name: "soon", partitions: 1)], timeout: .seconds(20))
        let member = CommittingMember()
        let consumer = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: broker.bootstrapServers,
                group: "g",
                topics: ["soon"],
                properties: ["session.timeout.ms": "6000", "auto.offset.reset": "earliest"]
            ),
            delegate: member
        )
        member.consumer.withLock { $0 = consumer }
        consumer.start()
        func produce(_ values: ClosedRange<UInt8>) async throws {
            let producer = try KafkaProducer(
                configuration: KafkaProducerConfiguration(brokers: broker.bootstrapServers)
            )
            for value in values {
                _ = try await producer.produce(KafkaMessage(topic: "soon", partition: 0, key: nil, value: [value]))
            }
            await producer.close()
        }
        try await produce(0...9)
        try await broker.wait("ten records") { member.values.withLock { $0.count } == 10 }
        try broker.deleteTopic("soon")
        try await broker.wait("it can be made again") {
            let made = try await admin.create([TopicSpecification(name: "soon", partitions: 1)], timeout: .seconds(20))
            return made["soon"] == .some(nil) || made["soon"]??.code == "TOPIC_ALREADY_EXISTS"
        }
        try await produce(100...104)
        try await broker.wait("all of the new topic") { member.values.withLock { $0.count } >= 15 }
        #expect(member.values.withLock { $0 } == Array(0...9) + Array(100...104))
        #expect(member.lost.withLock { $0 } == 1)
        await consumer.close()
        await admin.close()
    }

    @Test func aTopicThatWasDeletedAndMadeAgainIsReadFromItsBeginning() async throws {
        let broker = try KafkaBroker()
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        _ = try await admin.create([TopicSpecification(name: "again", partitions: 1)], timeout: .seconds(20))
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: broker.bootstrapServers))
        for number in 0..<5 {
            _ = try await producer.produce(KafkaMessage(topic: "again", partition: 0, key: nil, value: [UInt8(number)]))
        }
        await producer.close()
        let member = CommittingMember()
        let consumer = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: broker.bootstrapServers,
                group: "g",
                topics: ["again"],
                properties: ["session.timeout.ms": "6000", "topic.metadata.refresh.interval.ms": "1000"],
                revocationDeadline: .seconds(5)
            ),
            delegate: member
        )
        member.consumer.withLock { $0 = consumer }
        consumer.start()
        try await broker.wait("five records") { member.values.withLock { $0.count } == 5 }
        try broker.deleteTopic("again")
        try await broker.wait("the loss is told") { member.lost.withLock { $0 } > 0 }
        try await broker.wait("it can be made again") {
            let made = try await admin.create([TopicSpecification(name: "again", partitions: 1)], timeout: .seconds(20))
            return made["again"] == .some(nil) || made["again"]??.code == "TOPIC_ALREADY_EXISTS"
        }
        let second = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: broker.bootstrapServers))
        // More than before: an old offset in the new topic would skip the first ones.
        for number in 100..<112 {
            _ = try await second.produce(KafkaMessage(topic: "again", partition: 0, key: nil, value: [UInt8(number)]))
        }
        try await broker.wait("all of the new topic") { member.values.withLock { $0.count } >= 17 }
        #expect(member.values.withLock { $0 } == [0, 1, 2, 3, 4] + Array(100..<112))
        await second.close()
        await consumer.close()
        await admin.close()
    }
}

/// Leaves the end of a revocation to the test.
final class DrainingMember: KafkaConsumerDelegate {
    let assigned = Mutex<[AssignedPartition]>([])
    let revoked = Mutex<[TopicPartition]>([])

    func partitionsAssigned(_ partitions: [AssignedPartition]) { self.assigned.withLock { $0 += partitions } }
    func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool { true }
    func partitionsRevoked(_ partitions: [TopicPartition]) { self.revoked.withLock { $0 += partitions } }
    func partitionsLost(_ partitions: [TopicPartition]) {}
    func consumerProblemChanged(_ problem: KafkaError?) {}
    func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?) {}
    func consumerFailed(_ error: KafkaError) {}
}

/// Commits what it reads at once.
final class CommittingMember: KafkaConsumerDelegate {
    let consumer = Mutex<KafkaConsumer?>(nil)
    let values = Mutex<[UInt8]>([])
    let lost = Mutex(0)

    func partitionsAssigned(_ partitions: [AssignedPartition]) {}
    func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool {
        self.values.withLock { $0 += records.compactMap { $0.value?.first } }
        let commits = records.suffix(1).map { OffsetCommit(topicPartition: $0.topicPartition, offset: $0.offset + 1) }
        self.consumer.withLock { $0 }?.commit(commits) { _ in }
        return true
    }
    func partitionsRevoked(_ partitions: [TopicPartition]) { self.consumer.withLock { $0 }?.finishRevocation() }
    func partitionsLost(_ partitions: [TopicPartition]) { self.lost.withLock { $0 += partitions.count } }
    func consumerProblemChanged(_ problem: KafkaError?) {}
    func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?) {}
    func consumerFailed(_ error: KafkaError) {}
}

extension KafkaBroker {
    /// Looks again and again, for a minute at most.
    func wait(_ fact: String, _ holds: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(60)
        while try await !holds() {
            guard ContinuousClock.now < end else {
                throw ChildProcess.Unfinished(description: "waited in vain: \(fact)")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
