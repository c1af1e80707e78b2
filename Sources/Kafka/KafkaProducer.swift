import CRDKafka
import Synchronization

/// An idempotent producer (`acks=all`, `message.timeout.ms` 0) on a thread of its own (`afterlogin.producer`).
package final class KafkaProducer: Sendable {
    package typealias Completion = @Sendable (Result<(partition: Int32, offset: Int64), KafkaError>) -> Void

    /// Behind one lock; completions are called after it is released.
    private struct State: ~Copyable {
        var client: RDKafkaHandle?
        /// Sends each message in a batch of its own; made when the first batch was too large.
        var lone: RDKafkaHandle?
        var machine = StateMachine()
        var completions: [UInt: Entry] = [:]
        var lastSequence: UInt = 0
        /// Ended without librdkafka; the thread tells it.
        var finished: [(Completion, KafkaError)] = []
        var flushes: [Flush] = []
        var phase = Phase.open
        var closers: [CheckedContinuation<Void, Never>] = []
        var problem: KafkaError?
        /// What librdkafka complained about; a problem when no broker answers a probe.
        var suspicion: KafkaError?
        var fatal: KafkaError?
    }

    private struct Entry {
        var completion: Completion
        /// As the caller asked; the report names the partition that was chosen.
        var partition: Int32?
        var isAlone = false
        let since = BootTime.now
    }

    private struct Flush {
        var deadline: BootTime
        var continuation: CheckedContinuation<Int, Never>
    }

    private enum Phase {
        case open
        case closing
        case closed
    }

    private let configuration: KafkaProducerConfiguration
    private let waker: Waker
    private let state: Mutex<State>

    package init(configuration: KafkaProducerConfiguration) throws(KafkaError) {
        self.configuration = configuration
        self.waker = try Waker()
        let client = try Self.makeClient(configuration, isLone: false)
        let queue = RDKafkaQueue.main(of: client)
        queue.wake(self.waker)
        self.state = Mutex(State(client: consume client))
        let loop = ProducerLoop(of: self, queue: queue, waker: self.waker)
        NamedThread.start("afterlogin.producer") { loop.run() }
    }

    private static func makeClient(
        _ configuration: KafkaProducerConfiguration,
        isLone: Bool
    ) throws(KafkaError) -> RDKafkaHandle {
        let settings = RDKafkaConfiguration()
        try settings.set(
            PropertyPolicy(role: .producer, version: rd_kafka_version()).merged(with: configuration.properties)
        )
        try settings.set("bootstrap.servers", configuration.brokers)
        if isLone { try settings.set("batch.num.messages", "1") }
        settings.enableEvents(RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)
        let client = try settings.makeHandle(RD_KAFKA_PRODUCER)
        unsafe rd_kafka_set_log_queue(client.pointer, nil)
        return client
    }

    /// Hands the message to librdkafka at once (order of calls is order of records of one key).
    ///
    /// `completion` is called once, on the producer's thread, with the partition and offset when the broker has
    /// acknowledged it.
    ///
    /// Delivery time-outs, `_UNKNOWN_PARTITION` and other troubles of the cluster are retried inside, without end (`problem` tells); a message that is too large is sent again alone, and
    /// only then fails with `MSG_SIZE_TOO_LARGE`. The order of one key is kept as `StateMachine` says. When librdkafka's queue is full the message waits outside, never the caller.
    package func produce(
        _ message: KafkaMessage,
        completion: @escaping @Sendable (Result<(partition: Int32, offset: Int64), KafkaError>) -> Void
    ) {
        let mustWake = self.state.withLock { state in
            guard state.phase == .open, state.fatal == nil else {
                state.finished.append((completion, state.fatal ?? KafkaError(RD_KAFKA_RESP_ERR__DESTROY)))
                return true
            }
            state.lastSequence += 1
            let sequence = state.lastSequence
            state.completions[sequence] = Entry(completion: completion, partition: message.partition)
            switch state.machine.submitted(sequence, message) {
            case .hold: return false
            case .send:
                return self.send(StateMachine.Send(sequence: sequence, message: message, isAlone: false), &state)
            }
        }
        guard mustWake else { return }
        if self.isClosed {
            // The thread is gone.
            NamedThread.start("afterlogin.producer") { self.callFinished() }
        } else {
            self.waker.wake()
        }
    }

    package func produce(_ message: KafkaMessage) async throws(KafkaError) -> (partition: Int32, offset: Int64) {
        let result = await withCheckedContinuation { continuation in
            self.produce(message) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Waits until all is acknowledged or the deadline has passed; returns how many are still open.
    package func flush(deadline: Duration) async -> Int {
        await withCheckedContinuation { continuation in
            let open: Int? = self.state.withLock { state in
                if state.completions.isEmpty || state.phase == .closed { return state.completions.count }
                state.flushes.append(Flush(deadline: BootTime.now.advanced(by: deadline), continuation: continuation))
                return nil
            }
            if let open { continuation.resume(returning: open) } else { self.waker.wake() }
        }
    }

    /// Drops what waits in the queue and was not sent (after a lost assignment): those fail with `_PURGE_QUEUE`.
    package func purge() {
        self.state.withLock { state in
            self.drop(state.machine.purged(), KafkaError(RD_KAFKA_RESP_ERR__PURGE_QUEUE), &state)
            if let client = unsafe state.client?.pointer { unsafe _ = rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE) }
            if let lone = unsafe state.lone?.pointer { unsafe _ = rd_kafka_purge(lone, RD_KAFKA_PURGE_F_QUEUE) }
        }
        self.waker.wake()
    }

    /// Ends the producer within twice `closeDeadline`; what is not acknowledged fails with `_DESTROY` or `_PURGE_…` (so `flush` first).
    package func close() async {
        await withCheckedContinuation { continuation in
            let isClosed = self.state.withLock { state in
                if state.phase == .closed { return true }
                state.phase = .closing
                state.closers.append(continuation)
                return false
            }
            if isClosed { continuation.resume() } else { self.waker.wake() }
        }
    }

    /// Calls back from the thread: a sign that it turns.
    ///
    /// At once after `close`.
    package func ping(_ answer: @escaping @Sendable () -> Void) {
        let isClosed = self.state.withLock { state in
            guard state.phase != .closed else { return true }
            state.finished.append(({ _ in answer() }, KafkaError(RD_KAFKA_RESP_ERR_NO_ERROR)))
            return false
        }
        if isClosed { answer() } else { self.waker.wake() }
    }

    /// Messages handed over and not yet acknowledged.
    package var pendingCount: Int { self.state.withLock { $0.completions.count } }

    /// What keeps messages from being written (no broker, no such topic, no permission), or the error that ended the producer; nil when all is well.
    ///
    /// librdkafka says nothing where a partition has no leader or too few replicas: it sends again until it works.
    package var problem: KafkaError? {
        self.state.withLock { state in
            if let problem = state.fatal ?? state.problem { return problem }
            guard let oldest = state.completions.values.map(\.since).min() else { return nil }
            let age = oldest.until(.now)
            guard age > Self.longestDelivery else { return nil }
            return KafkaError(
                RD_KAFKA_RESP_ERR__TIMED_OUT,
                "no acknowledgement for \(age.components.seconds) s: a partition has no leader or too few replicas in sync, or the brokers are slow"
            )
        }
    }

    /// An acknowledgement that takes longer is a problem.
    private static let longestDelivery = Duration.seconds(10)

    private var isClosed: Bool { self.state.withLock { $0.phase == .closed } }

    // MARK: Behind the lock

    /// Returns true when the thread has something to do at once.
    private func send(_ send: StateMachine.Send, _ state: inout State) -> Bool {
        let code = send.isAlone ? self.sendAlone(send, &state) : state.client.produce(send)
        switch code {
        case RD_KAFKA_RESP_ERR_NO_ERROR: return false
        case RD_KAFKA_RESP_ERR__QUEUE_FULL:
            state.machine.queueWasFull(send)
            return false
        default:
            // librdkafka refused it by itself, so no neighbour can be the reason.
            let kind = DeliveryFailure(code)
            self.failed(send, kind == .tooLarge ? .permanent : kind, KafkaError(code), &state)
            return true
        }
    }

    private func sendAlone(_ send: StateMachine.Send, _ state: inout State) -> rd_kafka_resp_err_t {
        if state.lone == nil {
            do throws(KafkaError) {
                state.lone = try Self.makeClient(self.configuration, isLone: true)
            } catch {
                return RD_KAFKA_RESP_ERR__FAIL
            }
        }
        state.completions[send.sequence]?.isAlone = true
        return state.lone.produce(send)
    }

    private func failed(_ send: StateMachine.Send, _ kind: DeliveryFailure, _ error: KafkaError, _ state: inout State) {
        switch state.machine.failed(send, kind, now: .now) {
        case .fail: self.drop([send.sequence], error, &state)
        case .sendAgain: if kind == .transient { state.problem = error.about(topic: send.message.topic) }
        }
    }

    private func drop(_ sequences: [UInt], _ error: KafkaError, _ state: inout State) {
        for sequence in sequences {
            guard let entry = state.completions.removeValue(forKey: sequence) else { continue }
            state.finished.append((entry.completion, error))
        }
    }

    // MARK: What the thread uses

    /// The queue of the second client, when it has been made.
    func takeLoneQueue() -> RDKafkaQueue? {
        self.state.withLock { state in
            switch state.lone {
            case .some(let lone): RDKafkaQueue.main(of: lone)
            case nil: nil
            }
        }
    }

    /// Takes a delivery report apart, under one lock, and calls the completions after it.
    func reported(_ event: borrowing RDKafkaEvent) {
        var done: [(Completion, Int32, Int64)] = []
        self.state.withLock { state in
            event.forEachMessage { message in
                let sequence = message.opaque
                guard let entry = state.completions[sequence] else { return }
                if message.error == RD_KAFKA_RESP_ERR_NO_ERROR {
                    state.completions[sequence] = nil
                    state.machine.delivered(sequence)
                    done.append((entry.completion, message.partition, message.offset))
                } else {
                    let send = StateMachine.Send(
                        sequence: sequence,
                        message: message.message(partition: entry.partition),
                        isAlone: entry.isAlone
                    )
                    self.failed(send, DeliveryFailure(message.error), KafkaError(message.error), &state)
                }
            }
            // Another topic's success says nothing about what is held.
            if !done.isEmpty, !state.machine.isHolding { state.problem = nil }
        }
        for (completion, partition, offset) in done { completion(.success((partition, offset))) }
    }

    /// What waits outside librdkafka goes in where it can, in order; then completions and flushes.
    ///
    /// Returns when to come again.
    func turn(_ now: BootTime) -> BootTime? {
        let next: BootTime? = self.state.withLock { state in
            guard state.phase == .open else { return nil }
            for send in state.machine.due(now) { _ = self.send(send, &state) }
            while let send = state.machine.firstOverflow {
                let code = state.client.produce(send)
                if code == RD_KAFKA_RESP_ERR__QUEUE_FULL { break }
                state.machine.firstOverflowSent()
                if code != RD_KAFKA_RESP_ERR_NO_ERROR {
                    let kind = DeliveryFailure(code)
                    self.failed(send, kind == .tooLarge ? .permanent : kind, KafkaError(code), &state)
                }
            }
            return state.machine.nextDue
        }
        self.callFinished()
        let flush = self.resumeFlushes(now)
        guard let next, let flush else { return next ?? flush }
        return min(next, flush)
    }

    private func callFinished() {
        let finished = self.state.withLock { state in exchange(&state.finished, with: []) }
        for (completion, error) in finished { completion(.failure(error)) }
    }

    private func resumeFlushes(_ now: BootTime) -> BootTime? {
        let (over, open, next) = self.state.withLock { state in
            let open = state.completions.count
            var over: [CheckedContinuation<Int, Never>] = []
            state.flushes.removeAll { flush in
                guard open == 0 || flush.deadline <= now || state.phase == .closed else { return false }
                over.append(flush.continuation)
                return true
            }
            return (over, open, state.flushes.map(\.deadline).min())
        }
        for continuation in over { continuation.resume(returning: open) }
        return next
    }

    func failed(_ error: KafkaError) {
        self.state.withLock { state in
            if let fatal = state.client.fatal ?? state.lone.fatal {
                state.fatal = fatal
                self.drop(state.machine.purged(), fatal, &state)
            } else {
                state.suspicion = error.moreTelling(than: state.suspicion)
            }
        }
    }

    func log(_ line: KafkaLogLine) { self.configuration.log?(line) }

    var isClosing: Bool { self.state.withLock { $0.phase == .closing } }

    var needsProbe: Bool { self.state.withLock { $0.problem != nil || $0.suspicion != nil } }

    /// Asks whether a broker answers, without a delivery to tell it.
    ///
    /// Blocks.
    ///
    /// Outside the lock, which `produce` takes; the client cannot go away, for only this thread ends it.
    func probe() {
        let address = self.state.withLock { state in unsafe UInt(bitPattern: state.client?.pointer) }
        guard let client = unsafe OpaquePointer(bitPattern: address) else { return }
        var metadata: UnsafePointer<rd_kafka_metadata>?
        let isAnswered = unsafe rd_kafka_metadata(client, 0, nil, &metadata, 500) == RD_KAFKA_RESP_ERR_NO_ERROR
        if isAnswered { unsafe rd_kafka_metadata_destroy(metadata) }
        self.state.withLock { state in
            if !isAnswered {
                state.problem = state.suspicion ?? state.problem
            } else if !state.machine.isHolding {
                state.problem = nil
            }
            state.suspicion = nil
        }
    }

    /// Nothing is sent any more; the reports come on the queue.
    func purgeForClose() {
        self.state.withLock { state in
            self.drop(state.machine.purged(), KafkaError(RD_KAFKA_RESP_ERR__DESTROY), &state)
            let flags = RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT
            if let client = unsafe state.client?.pointer { unsafe _ = rd_kafka_purge(client, flags) }
            if let lone = unsafe state.lone?.pointer { unsafe _ = rd_kafka_purge(lone, flags) }
        }
    }

    /// The last act of the thread; its queues are gone.
    func end() {
        let lone = self.state.withLock { $0.lone.take() }
        lone.destroy(self.waker, self.configuration.closeDeadline)
        let client = self.state.withLock { $0.client.take() }
        client.destroy(self.waker, self.configuration.closeDeadline)
        let closers = self.state.withLock { state in
            self.drop(Array(state.completions.keys), KafkaError(RD_KAFKA_RESP_ERR__DESTROY), &state)
            state.phase = .closed
            return exchange(&state.closers, with: [])
        }
        self.callFinished()
        _ = self.resumeFlushes(.now)
        for closer in closers { closer.resume() }
    }
}
