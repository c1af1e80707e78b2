import AfterloginKafka
import AfterloginSystem
import Foundation
import Testing

/// How often the topic is made again; 20 for a thorough look.
private let rounds = ProcessInfo.processInfo.environment["AFTERLOGIN_TOPIC_ROUNDS"].flatMap { Int($0) } ?? 2

@Suite(
    "A topic that is made again within a moment",
    .enabled(if: KafkaBroker.isAvailable, "needs KAFKA_HOME"),
    .timeLimit(.minutes(15)),
    .serialized
)
struct SameTopicTests {
    private let topic = "logins"
    private let partition = TopicPartition(topic: "logins", partition: 0)

    private func makeTopic(_ broker: KafkaBroker) async throws {
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        _ = try await admin.create([TopicSpecification(name: self.topic, partitions: 1)], timeout: .seconds(20))
        await admin.close()
    }

    @Test func everyNewLoginIsReadByARunningWorker() async throws {
        let broker = try KafkaBroker()
        try await self.makeTopic(broker)
        let surgery = try TopicSurgery(broker.bootstrapServers)
        let feed = try LoginDrip(broker.bootstrapServers, topic: self.topic)
        let member = ReadingMember()
        let consumer = try member.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(2))
        for round in 0..<rounds {
            // Random, so that the new log is shorter than the position, as long, or longer, when somebody looks.
            let position = Int.random(in: 100...700)
            let start = member.state.withLock { $0.values.count }
            try await broker.wait("a position") { member.state.withLock { $0.values.count } >= start + position }
            try surgery.replace(self.topic, partitions: 1)
            // At once longer than before: nothing that librdkafka does shows an error.
            if round % 2 == 0 { feed.write(Int(member.state.withLock { $0.next }) * 2) }
            try await broker.wait("more than before") { try await feed.end() >= position * 2 }
            let written = try await feed.pausedWhile { try await self.everything(broker) }
            try await self.wait(broker, for: written, member, "round \(round), position \(position)")
        }
        #expect(member.state.withLock { $0.failures }.isEmpty)
        #expect(member.state.withLock { $0.replaced } > 0)
        await consumer.close()
        await feed.close()
    }

    /// It committed its old position once more after the topic was made again, and ended before it saw that.
    @Test(arguments: [true, false])
    func everyNewLoginIsReadByAWorkerThatWasStopped(newIsLonger: Bool) async throws {
        let broker = try KafkaBroker()
        try await self.makeTopic(broker)
        let surgery = try TopicSurgery(broker.bootstrapServers)
        let feed = try LoginDrip(broker.bootstrapServers, topic: self.topic)
        let first = ReadingMember()
        let consumer = try first.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(3_600))
        try await broker.wait("a position") { first.state.withLock { $0.next } >= 300 }
        consumer.stopIntake()
        _ = await consumer.commit([])
        let position = first.state.withLock { $0.next }
        try await feed.pausedWhile { try surgery.replace(self.topic, partitions: 1) }
        if newIsLonger { feed.write(Int(position) * 2) }
        let commit = OffsetCommit(topicPartition: self.partition, offset: position, map: Array("old".utf8))
        try await broker.wait("a commit of the old position") {
            if case .success = await consumer.commit([commit]) { true } else { false }
        }
        await consumer.close()

        let second = ReadingMember()
        let next = try second.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(3_600))
        try await broker.wait("an assignment") { !second.state.withLock { $0.assigned.isEmpty } }
        let written = try await feed.pausedWhile { try await self.everything(broker) }
        try await self.wait(broker, for: written, second, "position \(position)")
        let state = second.state.withLock { $0 }
        #expect(state.assigned == [AssignedPartition(topicPartition: self.partition, committedOffset: nil)])
        #expect(state.replaced == 1 && state.lines.count == 1 && state.failures.isEmpty)
        await next.close()
        await feed.close()
    }

    /// Retention took all that was read; what follows is read once, from where the group stands.
    @Test func aLogThatLostWhatWasReadIsTheSame() async throws {
        let broker = try KafkaBroker()
        try await self.makeTopic(broker)
        let surgery = try TopicSurgery(broker.bootstrapServers)
        let feed = try LoginDrip(broker.bootstrapServers, topic: self.topic)
        let first = ReadingMember()
        let consumer = try first.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(1))
        try await broker.wait("a position") { first.state.withLock { $0.next } >= 300 }
        let position = try await feed.pausedWhile {
            let end = try await Int64(feed.end())
            try await broker.wait("all of it") { first.state.withLock { $0.next } >= end }
            await consumer.close()
            try surgery.removeRecords(of: self.topic, below: end)
            return end
        }
        let second = ReadingMember()
        let next = try second.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(1))
        try await broker.wait("more") { second.state.withLock { $0.values.count } >= 100 }
        let state = second.state.withLock { $0 }
        #expect(state.assigned.map(\.committedOffset) == [position] && state.replaced == 0 && state.lines.isEmpty)
        #expect(state.values.isDisjoint(with: first.state.withLock { $0.values }))
        await next.close()
        await feed.close()
    }

    /// Retention took what was not read yet: nobody knows what is right, but it is the same topic, and other partitions are well.
    @Test func aPositionThatIsGoneFromTheSameLogStopsItsPartitionOnly() async throws {
        let broker = try KafkaBroker()
        try await self.makeTopic(broker)
        let surgery = try TopicSurgery(broker.bootstrapServers)
        let feed = try LoginDrip(broker.bootstrapServers, topic: self.topic)
        let first = ReadingMember(commits: false)
        let consumer = try first.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(1))
        try await broker.wait("a position") { first.state.withLock { $0.next } >= 300 }
        let answer = await consumer.commit([OffsetCommit(topicPartition: self.partition, offset: 100)])
        #expect(throws: Never.self) { try answer.get() }
        await consumer.close()
        await feed.close()
        try surgery.removeRecords(of: self.topic, below: 200)
        try surgery.extend(self.topic, to: 2)
        let second = ReadingMember()
        let next = try second.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(1))
        try await broker.wait("the end of it") { !second.state.withLock { $0.standing.isEmpty } }
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: broker.bootstrapServers))
        let message = KafkaMessage(topic: self.topic, partition: 1, key: nil, value: Array("777777".utf8))
        _ = try await producer.produce(message)
        try await broker.wait("the other partition's login") { second.state.withLock { !$0.values.isEmpty } }
        let state = second.state.withLock { $0 }
        #expect(state.failures.isEmpty && state.replaced == 0 && state.values == [777_777])
        #expect(state.standing.keys.map(\.self) == [self.partition])
        let message100 = try #require(state.standing[self.partition]?.message)
        #expect(message100.contains("\(self.partition) stands: it was to be read from offset 100"), "\(message100)")
        #expect(message100.contains("(earliest 200, latest ") && message100.contains("auto.offset.reset"))
        await next.close()
        // Nothing of it was skipped: the group is where it was.
        #expect(try surgery.committed("workers", self.topic).offset == 100)
        await producer.close()
    }

    @Test(arguments: ["another program's note", "", "al1;#00000000"])
    func whatOthersCommittedIsIgnoredAndSaid(text: String) async throws {
        let broker = try KafkaBroker()
        try await self.makeTopic(broker)
        let surgery = try TopicSurgery(broker.bootstrapServers)
        let feed = try LoginDrip(broker.bootstrapServers, topic: self.topic)
        try await broker.wait("some") { try await feed.end() > 10 }
        try surgery.commit("workers", self.topic, 7, text)
        let member = ReadingMember(commits: false)
        let consumer = try member.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(1))
        try await broker.wait("a position") { member.state.withLock { $0.next } > 7 }
        let start = AssignedPartition(
            topicPartition: self.partition,
            committedOffset: 7,
            foreignMetadata: !text.isEmpty
        )
        #expect(member.state.withLock { $0.assigned } == [start])
        // What is committed now is ours, and names a record that was taken.
        let commit = OffsetCommit(topicPartition: self.partition, offset: 8, map: Array("9-12".utf8))
        consumer.stopIntake()
        guard case .success = await consumer.commit([commit]) else {
            Issue.record("not committed")
            return
        }
        await consumer.close()
        let (offset, metadata) = try surgery.committed("workers", self.topic)
        #expect(offset == 8 && metadata.hasPrefix("al1;m4:9-12;f"), "\(metadata)")
        let second = ReadingMember()
        let next = try second.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(1))
        try await broker.wait("an assignment") { !second.state.withLock { $0.assigned.isEmpty } }
        let again = AssignedPartition(
            topicPartition: self.partition,
            committedOffset: 8,
            committedMap: Array("9-12".utf8)
        )
        #expect(second.state.withLock { $0.assigned } == [again])
        await next.close()
        await feed.close()
    }

    /// What lies in them waits until then: a topic's metadata are asked for every 10 s.
    @Test func newPartitionsAreFoundAndReadFromTheirBeginning() async throws {
        let broker = try KafkaBroker()
        try await self.makeTopic(broker)
        let member = ReadingMember()
        let consumer = try member.join(broker.bootstrapServers, topic: self.topic, interval: .seconds(10))
        try await broker.wait("an assignment") { !member.state.withLock { $0.assigned.isEmpty } }
        try TopicSurgery(broker.bootstrapServers).extend(self.topic, to: 2)
        let start = ContinuousClock.now
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: broker.bootstrapServers))
        _ = try await producer.produce(KafkaMessage(topic: self.topic, partition: 1, key: nil, value: Array("7".utf8)))
        try await broker.wait("the login") { member.state.withLock { $0.values.contains(7) } }
        #expect(ContinuousClock.now - start < .seconds(20))
        await producer.close()
        await consumer.close()
    }

    private func wait(
        _ broker: KafkaBroker,
        for written: Set<Int>,
        _ member: ReadingMember,
        _ scene: String
    ) async throws {
        do {
            try await broker.wait("all of it") { member.state.withLock { $0.values.isSuperset(of: written) } }
        } catch {
            let (missing, failures) = member.state.withLock { (written.subtracting($0.values), $0.failures) }
            Issue.record("\(scene): \(missing.count) of \(written.count) never read \(failures)")
            throw error
        }
    }

    /// All that is in the topic, read by somebody else.
    private func everything(_ broker: KafkaBroker) async throws -> Set<Int> {
        let reader = ReadingMember(commits: false)
        let consumer = try reader.join(
            broker.bootstrapServers,
            topic: self.topic,
            group: "reader-\(UUID())",
            interval: .seconds(3_600)
        )
        try await broker.wait("the end") { reader.state.withLock { $0.end != nil } }
        await consumer.close()
        return reader.state.withLock { $0.values }
    }
}
