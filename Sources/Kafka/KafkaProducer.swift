import AfterloginCRDKafka
import AfterloginSystem

/// An idempotent producer (`acks=all`, `message.timeout.ms` 0) on a thread of its own (`afterlogin.producer`).
///
/// A client of librdkafka that can't go on (a fatal error, as after `OUT_OF_ORDER_SEQUENCE_NUMBER`) is ended, and another one takes over what it had not got acknowledged.
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
        /// Where it is one topic's: this one.
        var problemTopic: String?
        /// What librdkafka complained about; a problem when no broker answers a probe.
        var suspicion: KafkaError?
        /// What librdkafka was given and has not reported yet.
        var underWay = 0
        /// Up to here everything that was not written has been given up.
        var purgedThrough: UInt = 0
        var renewal: Renewal?
        var renewedAt: BootTime?
        /// Since something was acknowledged.
        var renewals = 0
    }

    /// The clients have ended with a fatal error; they report what they still have, and then others take over.
    private struct Renewal {
        /// When what is on its way to a broker is given up, too: it may be written all the same, and then appears twice.
        var patience: BootTime
        var notBefore: BootTime
    }

    private struct Entry {
        var completion: Completion
        /// As the caller asked; the report names the partition that was chosen.
        var partition: Int32?
        var isAlone = false
        let since: BootTime
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
        self.state = Mutex(State(client: try Self.makeClient(configuration, isLone: false)))
        NamedThread.start("afterlogin.producer") { ProducerLoop(of: self, waker: self.waker).run() }
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

    /// Hands the message to librdkafka (order of calls is order of records of one key): at once, or, where it `gathers`, within 8 ms and together with others.
    ///
    /// `completion` is called once, on the producer's thread, with the partition and offset when the broker has
    /// acknowledged it.
    ///
    /// Delivery time-outs, `_UNKNOWN_PARTITION` and other troubles of the cluster are retried inside, without end (`problem` tells); a message that is too large is sent again alone, and
    /// only then fails with `MSG_SIZE_TOO_LARGE`. The order of one key is kept as `StateMachine` says. When librdkafka's queue is full the message waits outside, never the caller.
    package func produce(
        _ message: KafkaMessage,
        gathers: Bool = false,
        completion: @escaping @Sendable (Result<(partition: Int32, offset: Int64), KafkaError>) -> Void
    ) {
        let mustWake = self.state.withLock { state in
            guard state.phase == .open else {
                state.finished.append((completion, KafkaError(RD_KAFKA_RESP_ERR__DESTROY)))
                return true
            }
            state.lastSequence += 1
            let sequence = state.lastSequence
            let now = BootTime.now
            state.completions[sequence] = Entry(completion: completion, partition: message.partition, since: now)
            switch state.machine.submitted(sequence, message, gathers: gathers, now: now) {
            case .hold: return false
            case .gather: return true
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

    /// Drops what waits in the queue and was not sent (after a lost assignment), and what is not written at the first attempt: those fail with `_PURGE_QUEUE`.
    package func purge() {
        self.state.withLock { state in
            state.purgedThrough = state.lastSequence
            self.drop(state.machine.purged(), KafkaError(RD_KAFKA_RESP_ERR__PURGE_QUEUE), &state)
            self.purge(RD_KAFKA_PURGE_F_QUEUE, &state)
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

    /// What keeps messages from being written (no broker, no such topic, no permission, a fatal error); nil when all is well.
    ///
    /// librdkafka says nothing where a partition has no leader or too few replicas: it sends again until it works.
    package var problem: KafkaError? {
        self.state.withLock { state in
            if let problem = state.problem { return problem }
            guard let oldest = state.completions.values.map(\.since).min() else { return nil }
            let age = oldest.until(.now)
            guard age > self.configuration.longestDelivery else { return nil }
            return KafkaError(
                RD_KAFKA_RESP_ERR__TIMED_OUT,
                "no acknowledgement for \(age.components.seconds) s: a partition has no leader or too few replicas in sync, or the brokers are slow, frozen or cut off"
            )
        }
    }

    private var isClosed: Bool { self.state.withLock { $0.phase == .closed } }

    // MARK: Behind the lock

    /// Returns true when the thread has something to do at once.
    private func send(_ send: StateMachine.Send, _ state: inout State) -> Bool {
        let code = send.isAlone ? self.sendAlone(send, &state) : state.client.produce(send)
        switch code {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            state.underWay += 1
            return false
        case RD_KAFKA_RESP_ERR__QUEUE_FULL:
            state.machine.queueWasFull(send, now: .now)
            return false
        case RD_KAFKA_RESP_ERR__FATAL:
            state.machine.queueWasFull(send, now: .now)
            self.renewWhenFatal(&state)
            return true
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
        case .sendAgain:
            if kind == .transient, state.renewal == nil {
                state.problem = error.about(topic: send.message.topic)
                state.problemTopic = send.message.topic
            }
        }
    }

    private func drop(_ sequences: [UInt], _ error: KafkaError, _ state: inout State) {
        for sequence in sequences {
            guard let entry = state.completions.removeValue(forKey: sequence) else { continue }
            state.finished.append((entry.completion, error))
        }
    }

    // MARK: What the thread uses

    func takeQueue() -> RDKafkaQueue? { self.state.withLock { $0.client.mainQueue } }

    /// The queue of the second client, when it has been made.
    func takeLoneQueue() -> RDKafkaQueue? { self.state.withLock { $0.lone.mainQueue } }

    /// Takes a delivery report apart, under one lock, and calls the completions after it.
    func reported(_ event: borrowing RDKafkaEvent) {
        var done: [(Completion, Int32, Int64)] = []
        self.state.withLock { state in
            event.forEachMessage { message in
                state.underWay -= 1
                let sequence = message.opaque
                guard let entry = state.completions[sequence] else { return }
                if message.error == RD_KAFKA_RESP_ERR_NO_ERROR {
                    state.completions[sequence] = nil
                    let topic = state.machine.delivered(sequence)
                    if state.renewal == nil {
                        state.renewals = 0
                        // It takes what it refused; the rest of what is held may take a while.
                        if let topic, topic == state.problemTopic { state.problem = nil }
                    }
                    done.append((entry.completion, message.partition, message.offset))
                } else {
                    let send = StateMachine.Send(
                        sequence: sequence,
                        message: message.message(partition: entry.partition),
                        isAlone: entry.isAlone
                    )
                    self.reportedFailed(send, message.error, &state)
                }
            }
            // Another topic's success says nothing about what is held.
            if !done.isEmpty, !state.machine.isHolding, state.renewal == nil { state.problem = nil }
        }
        for (completion, partition, offset) in done { completion(.success((partition, offset))) }
    }

    private func reportedFailed(_ send: StateMachine.Send, _ code: rd_kafka_resp_err_t, _ state: inout State) {
        guard send.sequence > state.purgedThrough else {
            return self.failed(send, .permanent, KafkaError(RD_KAFKA_RESP_ERR__PURGE_QUEUE), &state)
        }
        var kind = DeliveryFailure(code)
        // The client's end says nothing about the message.
        if kind == .permanent, self.renewWhenFatal(&state) { kind = .transient }
        self.failed(send, kind, KafkaError(code), &state)
    }

    /// What waits outside librdkafka goes in where it can, in order; then completions and flushes.
    ///
    /// Returns when to come again.
    func turn(_ now: BootTime) -> BootTime? {
        let next: BootTime? = self.state.withLock { state in
            guard state.phase == .open else { return nil }
            for send in state.machine.due(now) { _ = self.send(send, &state) }
            while let send = state.machine.firstOverflow(now: now) {
                let code = state.client.produce(send)
                if code == RD_KAFKA_RESP_ERR__QUEUE_FULL {
                    state.machine.overflowHasNoRoom()
                    break
                }
                if code == RD_KAFKA_RESP_ERR__FATAL {
                    self.renewWhenFatal(&state)
                    break
                }
                state.machine.firstOverflowSent()
                if code == RD_KAFKA_RESP_ERR_NO_ERROR {
                    state.underWay += 1
                } else {
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
            if !self.renewWhenFatal(&state) { state.suspicion = error.moreTelling(than: state.suspicion) }
        }
    }

    // MARK: Another client

    /// Begins to replace the clients when one of them has ended with a fatal error; true while that is under way.
    @discardableResult
    private func renewWhenFatal(_ state: inout State) -> Bool {
        if state.renewal != nil { return true }
        guard let fatal = state.client.fatal ?? state.lone.fatal else { return false }
        let now = BootTime.now
        let pause = Duration.seconds(state.renewals == 0 ? 0 : min(1 << min(state.renewals, 5), 30))
        state.renewal = Renewal(patience: now.advanced(by: .seconds(5)), notBefore: now.advanced(by: pause))
        state.renewals += 1
        state.machine.isSuspended = true
        (state.problem, state.problemTopic) = (fatal, nil)
        self.log(
            KafkaLogLine(
                level: 3,
                facility: "RENEW",
                text: "the producer ended, and another one takes over: \(fatal)",
                isOurs: true
            )
        )
        return true
    }

    /// For tests: ends the client with a fatal error, as librdkafka does by itself.
    func endClient(number: Int32) {
        self.state.withLock { state in
            if let client = unsafe state.client?.pointer {
                unsafe _ = rd_kafka_test_fatal_error(client, rd_kafka_resp_err_t(number), "test")
            }
        }
    }

    /// Takes from clients that have ended what they still have; true when all is reported, and others may take over.
    func renewalIsDue(_ now: BootTime) -> Bool {
        self.state.withLock { state in
            guard let renewal = state.renewal else { return false }
            // librdkafka does so once by itself, but what a broker answers after that may go back into its queue.
            let flags = RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING
            self.purge(now < renewal.patience ? flags : flags | RD_KAFKA_PURGE_F_INFLIGHT, &state)
            return state.underWay == 0 && now >= renewal.notBefore
        }
    }

    /// Ends the clients, whose queues are gone, and makes another one.
    func renew() {
        self.endClients()
        self.state.withLock { state in
            do throws(KafkaError) {
                state.client = try Self.makeClient(self.configuration, isLone: false)
                state.renewal = nil
                state.renewedAt = .now
                state.machine.isSuspended = false
            } catch {
                state.renewal?.notBefore = BootTime.now.advanced(by: .seconds(1))
            }
        }
    }

    private func endClients() {
        let lone = self.state.withLock { $0.lone.take() }
        lone.destroy(self.waker, self.configuration.closeDeadline)
        let client = self.state.withLock { $0.client.take() }
        client.destroy(self.waker, self.configuration.closeDeadline)
    }

    private func purge(_ flags: Int32, _ state: inout State) {
        if let client = unsafe state.client?.pointer { unsafe _ = rd_kafka_purge(client, flags) }
        if let lone = unsafe state.lone?.pointer { unsafe _ = rd_kafka_purge(lone, flags) }
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
            // What a client ends of may take a moment to show with the next one.
            let wasRenewed = state.renewedAt.map { BootTime.now < $0.advanced(by: .seconds(5)) } ?? false
            if !isAnswered {
                if let suspicion = state.suspicion { (state.problem, state.problemTopic) = (suspicion, nil) }
            } else if state.completions.isEmpty, state.renewal == nil, !wasRenewed {
                // Where something is to be written, that tells: any broker answers this.
                state.problem = nil
            }
            state.suspicion = nil
        }
    }

    /// Nothing is sent any more; the reports come on the queue.
    func purgeForClose() {
        self.state.withLock { state in
            self.drop(state.machine.purged(), KafkaError(RD_KAFKA_RESP_ERR__DESTROY), &state)
            self.purge(RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT, &state)
        }
    }

    /// The last act of the thread; its queues are gone.
    func end() {
        self.endClients()
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
