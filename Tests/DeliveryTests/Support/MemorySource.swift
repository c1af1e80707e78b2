import AfterloginDelivery
import AfterloginKafka
import AfterloginSystem
import AfterloginTestSupport

/// A consumer group member in memory: the test plays the group.
final class MemorySource: RecordSource {
    private struct State {
        var receiver: (any RecordReceiver)?
        var commits: [[OffsetCommit]] = []
        var revocationsFinished = 0
        var isStopped = false
        var leaseIsValid = true
        var leaseQuestions = 0
        var ends: [TopicPartition: Int64] = [:]
    }

    private let state = Mutex(State())
    let changed = Signal()

    func start(_ receiver: any RecordReceiver) {
        self.state.withLock { $0.receiver = receiver }
        self.changed.send()
    }

    var receiver: (any RecordReceiver)? { self.state.withLock { $0.receiver } }
    var commits: [[OffsetCommit]] { self.state.withLock { $0.commits } }
    var revocationsFinished: Int { self.state.withLock { $0.revocationsFinished } }
    func committed(_ partition: TopicPartition) -> Int64? {
        self.commits.flatMap { $0 }.last { $0.topicPartition == partition }?.offset
    }
    var leaseQuestions: Int { self.state.withLock { $0.leaseQuestions } }
    func breakLease(_ isBroken: Bool) { self.state.withLock { $0.leaseIsValid = !isBroken } }

    func resumeIntake() { self.changed.send() }
    func stopIntake() { self.state.withLock { $0.isStopped = true } }
    func finishRevocation() {
        self.state.withLock { $0.revocationsFinished += 1 }
        self.changed.send()
    }
    func commit(_ offsets: [OffsetCommit], completion: @escaping @Sendable (Result<Void, KafkaError>) -> Void) {
        self.state.withLock { $0.commits.append(offsets) }
        Task { completion(.success(())) }
        self.changed.send()
    }
    let keepsCompletionMap = true
    func close() async {}
    var leaseIsValid: Bool {
        defer { self.changed.send() }
        return self.state.withLock { state in
            state.leaseQuestions += 1
            return state.leaseIsValid
        }
    }
    /// As fetches would have seen it.
    func see(end: Int64, of partition: TopicPartition) { self.state.withLock { $0.ends[partition] = end } }
    func highWatermarks() -> [TopicPartition: Int64] { self.state.withLock { $0.ends } }
}

/// Keeps results; acknowledges at once, or when the test says so.
final class MemoryPublisher: ResultPublisher {
    struct Published: Sendable {
        var result: ResultRecord
        var completion: @Sendable (PublishOutcome) -> Void
    }

    private let state = Mutex<(all: [ResultRecord], held: [Published], holds: Bool)>(([], [], false))
    /// What the topics refuse for good, and why.
    private let refusal = Mutex<@Sendable (ResultRecord) -> String?>({ _ in nil })
    private let isSent = Mutex(false)
    let changed = Signal()

    func refuse(_ refusal: @escaping @Sendable (ResultRecord) -> String?) {
        self.refusal.withLock { $0 = refusal }
    }

    var results: [ResultRecord] { self.state.withLock { $0.all } }
    /// From now on nothing is acknowledged before `release`.
    func hold() { self.state.withLock { $0.holds = true } }
    func release(_ outcome: PublishOutcome = .acknowledged) {
        let held = self.state.withLock { state in
            state.holds = false
            defer { state.held = [] }
            return state.held
        }
        for published in held { published.completion(outcome) }
    }

    /// The same, each as the test says.
    func release(_ outcome: (ResultRecord) -> PublishOutcome) {
        let held = self.state.withLock { state in
            state.holds = false
            defer { state.held = [] }
            return state.held
        }
        for published in held { published.completion(outcome(published.result)) }
    }

    func publish(_ result: ResultRecord, gathers: Bool, completion: @escaping @Sendable (PublishOutcome) -> Void) {
        let isHeld = self.state.withLock { state in
            state.all.append(result)
            if state.holds { state.held.append(Published(result: result, completion: completion)) }
            return state.holds
        }
        let outcome = self.refusal.withLock { $0 }(result).map { PublishOutcome.refused($0) } ?? .acknowledged
        if !isHeld { Task { completion(outcome) } }
        self.changed.send()
    }
    func purge() { if !self.isSent.withLock({ $0 }) { self.release(.dropped) } }
    /// What is held is on its way to the broker: no purge reaches it.
    func sent() { self.isSent.withLock { $0 = true } }
    func close(deadline: Duration) async {}
    var problem: String? { nil }
}
