import Foundation
import Kafka
import Synchronization
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
            let gap = try surgery.replace(self.topic, partitions: 1)
            #expect(gap < .milliseconds(500))
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
        _ = try await feed.pausedWhile { try surgery.replace(self.topic, partitions: 1) }
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

/// Writes numbered logins at 300 a second until it is closed.
private final class LoginDrip: Sendable {
    private struct State {
        var next = 0
        var isPaused = false
        var isClosed = false
    }

    private let producer: KafkaProducer
    private let topic: String
    private let state = Mutex(State())
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(_ brokers: String, topic: String) throws {
        self.topic = topic
        self.producer = try KafkaProducer(
            configuration: KafkaProducerConfiguration(
                brokers: brokers,
                properties: ["topic.metadata.refresh.interval.ms": "500", "retry.backoff.ms": "20"]
            )
        )
        self.task.withLock { $0 = Task { await self.run() } }
    }

    private func run() async {
        let start = ContinuousClock.now
        for tick in 1... {
            guard !self.state.withLock({ $0.isClosed }) else { return }
            self.write(3)
            try? await Task.sleep(until: start + .milliseconds(10) * tick)
        }
    }

    func write(_ count: Int) {
        for _ in 0..<count {
            let number: Int? = self.state.withLock { state in
                guard !state.isPaused else { return nil }
                state.next += 1
                return state.next
            }
            guard let number else { return }
            let message = KafkaMessage(topic: self.topic, partition: 0, key: nil, value: Array("\(number)".utf8))
            self.producer.produce(message) { _ in }
        }
    }

    /// Where the topic ends now: one more login, and where it came to lie.
    func end() async throws -> Int {
        let number = self.state.withLock { state in
            state.next += 1
            return state.next
        }
        let message = KafkaMessage(topic: self.topic, partition: 0, key: nil, value: Array("\(number)".utf8))
        return Int(try await self.producer.produce(message).offset) + 1
    }

    func pausedWhile<Value>(_ body: () async throws -> Value) async throws -> Value {
        self.state.withLock { $0.isPaused = true }
        #expect(await self.producer.flush(deadline: .seconds(30)) == 0)
        let value = try await body()
        self.state.withLock { $0.isPaused = false }
        return value
    }

    func close() async {
        self.state.withLock { $0.isClosed = true }
        await self.task.withLock { $0 }?.value
        await self.producer.close()
    }
}

extension KafkaConsumer {
    /// Answered when all commits before are.
    fileprivate func commit(_ offsets: [OffsetCommit]) async -> Result<Void, KafkaError> {
        await withCheckedContinuation { continuation in
            self.commit(offsets) { continuation.resume(returning: $0) }
        }
    }
}

/// Reads logins, and commits each batch at once.
private final class ReadingMember: KafkaConsumerDelegate {
    struct State {
        var values: Set<Int> = []
        var assigned: [AssignedPartition] = []
        var next: Int64 = 0
        var end: Int64?
        var replaced = 0
        var failures: [KafkaError] = []
        var lines: [String] = []
    }

    let state = Mutex(State())
    private let consumer = Mutex<KafkaConsumer?>(nil)
    private let commits: Bool

    init(commits: Bool = true) { self.commits = commits }

    func join(
        _ brokers: String,
        topic: String,
        group: String = "workers",
        interval: Duration
    ) throws -> KafkaConsumer {
        let consumer = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: brokers,
                group: group,
                topics: [topic],
                properties: ["session.timeout.ms": "6000"],
                fingerprintInterval: interval,
                log: { line in
                    if line.facility == "TOPIC" { self.state.withLock { $0.lines.append(line.text) } }
                }
            ),
            delegate: self
        )
        self.consumer.withLock { $0 = consumer }
        consumer.start()
        return consumer
    }

    func partitionsAssigned(_ partitions: [AssignedPartition]) { self.state.withLock { $0.assigned += partitions } }

    func recordsReceived(_ records: [KafkaRecord]) -> Bool {
        self.state.withLock { state in
            for record in records {
                if let number = record.value.flatMap({ Int(String(decoding: $0, as: UTF8.self)) }) {
                    state.values.insert(number)
                }
                state.next = record.offset + 1
            }
        }
        guard self.commits else { return true }
        let commits = records.suffix(1).map { OffsetCommit(topicPartition: $0.topicPartition, offset: $0.offset + 1) }
        self.consumer.withLock { $0 }?.commit(commits) { _ in }
        return true
    }

    func endsReached(_ ends: [TopicPartition: Int64]) { self.state.withLock { $0.end = ends.values.first } }
    func partitionsRevoked(_ partitions: [TopicPartition]) { self.consumer.withLock { $0 }?.finishRevocation() }
    func partitionsLost(_ partitions: [TopicPartition]) {}
    func topicReplaced(_ partitions: [TopicPartition]) { self.state.withLock { $0.replaced += partitions.count } }
    func consumerProblemChanged(_ problem: KafkaError?) {}
    func consumerFailed(_ error: KafkaError) { self.state.withLock { $0.failures.append(error) } }
}
