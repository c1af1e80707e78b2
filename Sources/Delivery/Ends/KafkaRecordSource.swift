package import AfterloginKafka
package import AfterloginObservability
import AfterloginSystem

/// A member of a consumer group as a source.
package final class KafkaRecordSource: RecordSource {
    private let consumer: KafkaConsumer
    private let relay = Relay()

    package init(_ configuration: DeliverySettings, log: Log) throws(KafkaError) {
        self.consumer = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: configuration.kafka.brokers,
                group: configuration.kafka.group,
                topics: configuration.kafka.input,
                properties: configuration.kafka.properties,
                // The dispatcher ends a drain itself; this is for the case that it doesn't.
                revocationDeadline: configuration.drain + .seconds(5),
                log: log.kafka
            ),
            delegate: self.relay
        )
    }

    package func start(_ receiver: any RecordReceiver) {
        self.relay.receiver.withLock { $0 = receiver }
        self.consumer.start()
    }

    package func resumeIntake() { self.consumer.resumeIntake() }
    package func stopIntake() { self.consumer.stopIntake() }
    package func finishRevocation() { self.consumer.finishRevocation() }
    package func commit(
        _ offsets: [OffsetCommit],
        completion: @escaping @Sendable (Result<Void, KafkaError>) -> Void
    ) {
        self.consumer.commit(offsets, completion: completion)
    }
    package var keepsCompletionMap: Bool { true }
    package func close() async {
        await self.consumer.close()
        self.relay.receiver.withLock { $0 = nil }
    }
    package var leaseIsValid: Bool { self.consumer.leaseIsValid }
    package func highWatermarks() -> [TopicPartition: Int64] { self.consumer.highWatermarks() }
    package func ping(_ answer: @escaping @Sendable () -> Void) { self.consumer.ping(answer) }
}

/// Passes the consumer's calls to a receiver that is made after the consumer.
private final class Relay: KafkaConsumerDelegate {
    let receiver = Mutex<(any RecordReceiver)?>(nil)
    private var current: (any RecordReceiver)? { self.receiver.withLock { $0 } }

    func partitionsAssigned(_ partitions: [AssignedPartition]) { self.current?.partitionsAssigned(partitions) }
    func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool {
        self.current?.batchReceived(records, ends: ends) ?? false
    }
    func partitionsRevoked(_ partitions: [TopicPartition]) { self.current?.partitionsRevoked(partitions) }
    func partitionsLost(_ partitions: [TopicPartition]) { self.current?.partitionsLost(partitions) }
    func topicReplaced(_ partitions: [TopicPartition]) { self.current?.topicReplaced(partitions) }
    func consumerProblemChanged(_ problem: KafkaError?) { self.current?.consumerProblemChanged(problem) }
    func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?) {
        self.current?.partitionStands(partition, reason)
    }
    func consumerFailed(_ error: KafkaError) { self.current?.consumerFailed(error) }
}

extension Log {
    /// Of librdkafka: each try of a connection that does not come about, and of a producer to begin.
    ///
    /// What it comes to is told as a problem, by us.
    private static let attempts: Set<String> = ["FAIL", "GETPID"]

    /// librdkafka's lines among ours.
    package var kafka: KafkaLog {
        { line in
            if line.isOurs { return self.log(.warning, line.text) }
            if Self.attempts.contains(line.facility) {
                return self.log(.debug, line.text, [("librdkafka", line.facility)])
            }
            let level: Level = line.level <= 3 ? .error : line.level <= 4 ? .warning : line.level <= 6 ? .info : .debug
            // What librdkafka calls an error is mended by itself most of the time; what matters is told as a problem.
            self.log(min(level, .warning) == .warning ? .info : .debug, line.text, [("librdkafka", line.facility)])
        }
    }
}
