package import AfterloginKafka
import AfterloginSystem

/// An independent reader of input and result topics, from their beginning, with a consumer of its own.
///
/// Reads along while a worker works, or afterwards; it never commits, and the worker knows nothing of it.
package final class ResultAudit: KafkaConsumerDelegate {
    /// Where to read.
    package struct Topics: Sendable {
        package var logins = ["logins"]
        package var updates = "user-updates"
        package var failures = "user-update-failures"

        package init(
            logins: [String] = ["logins"],
            updates: String = "user-updates",
            failures: String = "user-update-failures"
        ) {
            self.logins = logins
            self.updates = updates
            self.failures = failures
        }
    }

    private struct State {
        var ledger = AuditLedger()
        var assigned: Set<TopicPartition> = []
        /// The next offset of each partition.
        var positions: [TopicPartition: Int64] = [:]
        var lastRecord = ContinuousClock.now
        var failure: KafkaError?
        var consumer: KafkaConsumer?

        var quiet: Duration { self.lastRecord.duration(to: .now) }

        func hasReached(_ watermarks: [TopicPartition: Int64]) -> Bool {
            guard !self.assigned.isEmpty else { return false }
            return self.assigned.allSatisfy { partition in
                guard let watermark = watermarks[partition], watermark >= 0 else { return false }
                return self.positions[partition, default: 0] >= watermark
            }
        }
    }

    private let topics: Topics
    private let state = Mutex(State())

    /// Starts to read.
    ///
    /// - Parameters:
    ///   - brokers: Of the topics.
    ///   - topics: Their names; they exist.
    ///   - group: Must be new, as offsets that somebody committed would be believed.
    ///   - properties: For librdkafka.
    /// - Throws: `KafkaError` for an unknown property.
    package init(
        brokers: String,
        topics: Topics = Topics(),
        group: String = "audit-\(UInt64.random(in: .min ... .max))",
        properties: [String: String] = [:]
    ) throws(KafkaError) {
        self.topics = topics
        let configuration = KafkaConsumerConfiguration(
            brokers: brokers,
            group: group,
            topics: topics.logins + [topics.updates, topics.failures],
            properties: ["session.timeout.ms": "10000", "fetch.wait.max.ms": "50"].merging(properties) { $1 }
        )
        let consumer = try KafkaConsumer(configuration: configuration, delegate: self)
        self.state.withLock { $0.consumer = consumer }
        consumer.start()
    }

    /// Logins that have a result so far.
    package var resultCount: Int { self.state.withLock { $0.ledger.resultCount } }
    package var resultTimes: [Int64] { self.state.withLock { $0.ledger.resultTimes } }
    package func report(latencySince start: Int64 = .min) -> AuditReport {
        self.state.withLock { $0.ledger }.report(latencySince: start)
    }

    /// Waits until so many logins have a result.
    ///
    /// - Returns: Whether they came in time.
    package func waitForResults(_ count: Int, patience: Duration) async -> Bool {
        let end = ContinuousClock.now + patience
        while self.resultCount < count {
            guard ContinuousClock.now < end, (try? await Task.sleep(for: .milliseconds(20))) != nil else {
                return false
            }
        }
        return true
    }

    /// Waits until everything that stands in the topics has been read.
    ///
    /// That is: nothing came for 1.5 s (watermarks are up to a second old), and all watermarks are reached; or nothing came for 6 s, for topics
    /// whose watermark cannot be reached (markers of transactions stand at their end).
    ///
    /// - Throws: `KafkaError` where the consumer gave up.
    package func readToEnd(patience: Duration = .seconds(60)) async throws -> Bool {
        let end = ContinuousClock.now + patience
        while ContinuousClock.now < end {
            // Not under the lock: the consumer has one of its own.
            let watermarks = self.state.withLock { $0.consumer }?.highWatermarks() ?? [:]
            let isAtEnd = try self.state.withLock { state in
                if let failure = state.failure { throw failure }
                return !state.assigned.isEmpty && state.quiet > .seconds(6)
                    || state.hasReached(watermarks) && state.quiet > .milliseconds(1_500)
            }
            if isAtEnd { return true }
            try await Task.sleep(for: .milliseconds(50))
        }
        return false
    }

    package func close() async {
        let consumer = self.state.withLock { $0.consumer.take() }
        await consumer?.close()
    }

    // MARK: The consumer's thread

    package func partitionsAssigned(_ partitions: [AssignedPartition]) {
        self.state.withLock { state in
            state.assigned.formUnion(partitions.map(\.topicPartition))
            state.lastRecord = .now
        }
    }

    package func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool {
        self.state.withLock { state in
            for record in records where record.offset >= state.positions[record.topicPartition, default: 0] {
                state.positions[record.topicPartition] = record.offset + 1
                switch record.topicPartition.topic {
                case self.topics.updates: state.ledger.updateRead(record)
                case self.topics.failures: state.ledger.failureRead(record)
                default: state.ledger.loginRead(record)
                }
            }
            state.lastRecord = .now
        }
        return true
    }

    /// Nobody else is in the group, but the broker may have been away.
    ///
    /// What is read twice counts once.
    package func partitionsRevoked(_ partitions: [TopicPartition]) {
        self.partitionsLost(partitions)
        self.state.withLock { $0.consumer }?.finishRevocation()
    }

    package func partitionsLost(_ partitions: [TopicPartition]) {
        self.state.withLock { $0.assigned.subtract(partitions) }
    }

    package func consumerProblemChanged(_ problem: KafkaError?) {}

    package func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?) {
        if let reason { self.state.withLock { $0.failure = reason } }
    }

    package func consumerFailed(_ error: KafkaError) { self.state.withLock { $0.failure = error } }
}
