import AfterloginKafka
import AfterloginSystem
import Foundation
import Testing

/// Writes numbered logins at 300 a second until it is closed.
final class LoginDrip: Sendable {
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
    func commit(_ offsets: [OffsetCommit]) async -> Result<Void, KafkaError> {
        await withCheckedContinuation { continuation in
            self.commit(offsets) { continuation.resume(returning: $0) }
        }
    }
}

/// Reads logins, and commits each batch at once.
final class ReadingMember: KafkaConsumerDelegate {
    struct State {
        var values: Set<Int> = []
        var assigned: [AssignedPartition] = []
        var next: Int64 = 0
        var end: Int64?
        var replaced = 0
        var failures: [KafkaError] = []
        var standing: [TopicPartition: KafkaError] = [:]
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

    func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool {
        self.state.withLock { state in
            if let end = ends.values.first { state.end = end }
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

    func partitionsRevoked(_ partitions: [TopicPartition]) { self.consumer.withLock { $0 }?.finishRevocation() }
    func partitionsLost(_ partitions: [TopicPartition]) {}
    func topicReplaced(_ partitions: [TopicPartition]) { self.state.withLock { $0.replaced += partitions.count } }
    func consumerProblemChanged(_ problem: KafkaError?) {}
    func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?) {
        self.state.withLock { $0.standing[partition] = reason }
    }
    func consumerFailed(_ error: KafkaError) { self.state.withLock { $0.failures.append(error) } }
}
