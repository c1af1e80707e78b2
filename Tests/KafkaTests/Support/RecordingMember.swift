import AfterloginKafka
import AfterloginSystem
import Testing

/// A group member that remembers what happened to it, and lets a test wait for it.
final class RecordingMember: KafkaConsumerDelegate {
    struct History {
        var assigned: [AssignedPartition] = []
        var owned: Set<TopicPartition> = []
        var records: [KafkaRecord] = []
        var batches: [Int] = []
        var ends: [TopicPartition: Int64] = [:]
        var revoked: [[TopicPartition]] = []
        var lost: [TopicPartition] = []
        var problems: [KafkaError?] = []
        var failures: [KafkaError] = []
        var standing: [TopicPartition: KafkaError] = [:]
        /// Batches that are still taken; nil: all.
        var appetite: Int?
    }

    private struct Waiter {
        var isTrue: @Sendable (History) -> Bool
        var continuation: CheckedContinuation<History, Never>
    }

    private struct State {
        var history = History()
        var waiters: [Waiter] = []
    }

    private let state = Mutex(State())
    /// Called on a revoke, on the consumer's thread; nil: the test finishes the revocation.
    private let onRevoke: (@Sendable (RecordingMember, [TopicPartition]) -> Void)?
    private let consumerBox = Mutex<KafkaConsumer?>(nil)

    init(appetite: Int? = nil, onRevoke: (@Sendable (RecordingMember, [TopicPartition]) -> Void)? = nil) {
        self.onRevoke = onRevoke
        self.state.withLock { $0.history.appetite = appetite }
    }

    /// Makes the consumer and starts it; the session is as short as the in-process cluster allows.
    func join(
        _ brokers: String,
        group: String,
        topics: [String],
        properties: [String: String] = [:],
        revocationDeadline: Duration = .seconds(20),
        maxBatch: Int = 500,
        fingerprintInterval: Duration = .seconds(10)
    ) throws -> KafkaConsumer {
        let consumer = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: brokers,
                group: group,
                topics: topics,
                properties: ["session.timeout.ms": "6000"].merging(properties) { $1 },
                revocationDeadline: revocationDeadline,
                maxBatch: maxBatch,
                fingerprintInterval: fingerprintInterval
            ),
            delegate: self
        )
        self.consumerBox.withLock { $0 = consumer }
        consumer.start()
        return consumer
    }

    var consumer: KafkaConsumer? { self.consumerBox.withLock { $0 } }
    var history: History { self.state.withLock { $0.history } }

    /// Waits for a fact; the suite's time limit bounds it.
    @discardableResult
    func until(_ isTrue: @escaping @Sendable (History) -> Bool) async -> History {
        await withCheckedContinuation { continuation in
            let now: History? = self.state.withLock { state in
                if isTrue(state.history) { return state.history }
                state.waiters.append(Waiter(isTrue: isTrue, continuation: continuation))
                return nil
            }
            if let now { continuation.resume(returning: now) }
        }
    }

    func eat(_ batches: Int?) { self.state.withLock { $0.history.appetite = batches } }

    @discardableResult
    private func happened<Value>(_ change: (inout History) -> Value) -> Value {
        let (value, ready, history) = self.state.withLock { state in
            let value = change(&state.history)
            let ready = state.waiters.filter { $0.isTrue(state.history) }
            let history = state.history
            state.waiters.removeAll { $0.isTrue(history) }
            return (value, ready, history)
        }
        for waiter in ready { waiter.continuation.resume(returning: history) }
        return value
    }

    func partitionsAssigned(_ partitions: [AssignedPartition]) {
        self.happened {
            $0.assigned += partitions
            $0.owned.formUnion(partitions.map(\.topicPartition))
        }
    }

    func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool {
        self.happened { history in
            history.ends.merge(ends) { $1 }
            guard !records.isEmpty else { return true }
            history.records += records
            history.batches.append(records.count)
            guard let appetite = history.appetite else { return true }
            history.appetite = appetite - 1
            return appetite > 1
        }
    }

    func partitionsRevoked(_ partitions: [TopicPartition]) {
        self.happened {
            $0.revoked.append(partitions)
            $0.owned.subtract(partitions)
        }
        self.onRevoke?(self, partitions)
    }

    func partitionsLost(_ partitions: [TopicPartition]) {
        self.happened {
            $0.lost += partitions
            $0.owned.subtract(partitions)
        }
    }

    func consumerProblemChanged(_ problem: KafkaError?) { self.happened { $0.problems.append(problem) } }

    func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?) {
        self.happened { $0.standing[partition] = reason }
    }

    func consumerFailed(_ error: KafkaError) { self.happened { $0.failures.append(error) } }
}

extension KafkaConsumer {
    func commit(_ offsets: [OffsetCommit]) async -> Result<Void, KafkaError> {
        await withCheckedContinuation { continuation in
            self.commit(offsets) { continuation.resume(returning: $0) }
        }
    }
}

extension KafkaMessage {
    init(_ topic: String, partition: Int32? = nil, key: String? = nil, _ value: String, headers: [KafkaHeader] = []) {
        self.init(
            topic: topic,
            partition: partition,
            key: key.map { Array($0.utf8) },
            value: Array(value.utf8),
            headers: headers
        )
    }
}

extension KafkaProducer {
    /// Produces all, then waits for all; results in the order given.
    func produceAll(_ messages: [KafkaMessage]) async -> [Result<Int64, KafkaError>] {
        guard !messages.isEmpty else { return [] }
        let collector = ResultCollector(count: messages.count)
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            collector.whenComplete { continuation.resume() }
            for (index, message) in messages.enumerated() {
                self.produce(message) { collector.finished(index, $0.map(\.offset)) }
            }
        }
        return collector.results
    }
}

/// Gathers the results of many calls.
private final class ResultCollector: Sendable {
    private struct State {
        var results: [Int: Result<Int64, KafkaError>] = [:]
        var onComplete: (@Sendable () -> Void)?
    }

    private let count: Int
    private let state = Mutex(State())

    init(count: Int) { self.count = count }

    var results: [Result<Int64, KafkaError>] {
        self.state.withLock { state in (0..<self.count).compactMap { state.results[$0] } }
    }

    func whenComplete(_ body: @escaping @Sendable () -> Void) { self.state.withLock { $0.onComplete = body } }

    func finished(_ index: Int, _ result: Result<Int64, KafkaError>) {
        let onComplete = self.state.withLock { state in
            state.results[index] = result
            return state.results.count == self.count ? state.onComplete : nil
        }
        onComplete?()
    }
}

/// As `#expect`, for calls that change a value, which that macro does not take.
func check(_ isTrue: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(isTrue, sourceLocation: sourceLocation)
}
