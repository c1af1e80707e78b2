package import Kafka
import Synchronization

/// Takes records in, runs each login through the pipeline in the order of its user, hands results over, and commits what is done.
///
/// All decisions are its `StateMachine`'s, made behind one lock; what it decides is done after the lock is released.
package final class Dispatcher: RecordReceiver {
    private let pipeline: LoginPipeline
    private let decoder: any EventDecoder
    private let source: any RecordSource
    private let publisher: any ResultPublisher
    private let drain: Duration
    private let log: Log
    private let metrics: Metrics
    private let processDuration: MetricSeries
    private let finished: (updates: MetricSeries, denials: MetricSeries, failures: MetricSeries)
    let clock: any WorkerClock
    private let state: Mutex<StateMachine>

    package init(
        _ configuration: Configuration,
        pipeline: LoginPipeline,
        decoder: any EventDecoder = NativeEventDecoder(),
        source: any RecordSource,
        publisher: any ResultPublisher,
        log: Log,
        metrics: Metrics,
        clock: any WorkerClock = ContinuousClock()
    ) {
        self.pipeline = pipeline
        self.decoder = decoder
        self.source = source
        self.publisher = publisher
        self.drain = configuration.drain
        self.log = log
        self.metrics = metrics
        self.processDuration = metrics.series(.processDuration)
        self.finished = (
            metrics.series(.loginsFinished, ResultRecord.Kind.update.rawValue),
            metrics.series(.loginsFinished, ResultRecord.Kind.denial.rawValue),
            metrics.series(.loginsFinished, ResultRecord.Kind.failure.rawValue)
        )
        self.clock = clock
        let limits = DispatchState.Limits(
            concurrency: configuration.concurrency,
            logins: configuration.admitted.logins,
            bytes: configuration.admitted.bytes,
            unacknowledged: configuration.maxUncommitted
        )
        self.state = Mutex(StateMachine(limits, clock.now))
    }

    /// Returns when the input has ended and all of it is done, or after `stop` when the drain is over.
    ///
    /// - Throws: what keeps the worker from going on.
    package func run() async throws {
        // Told to stop before it began: nothing is there to drain.
        guard !self.snapshot(\.dispatch.isStopping) else { return }
        try self.source.start(self)
        try await withCheckedThrowingContinuation { continuation in
            self.update { $0.waiting(continuation) }
        }
    }

    /// Begins the drain: nothing new is started; what runs may finish within `drain`.
    package func stop() {
        self.source.stopIntake()
        let deadline = self.clock.now.advanced(by: self.drain)
        self.update { $0.stopped(deadline) }
        self.wake(at: deadline)
    }

    /// What is left of the drain for results on their way, but a moment at least.
    var timeToFlush: Duration {
        let left = self.snapshot(\.stopDeadline).map { $0 - self.clock.now } ?? self.drain
        return max(left, .seconds(1))
    }

    // MARK: What the source tells

    package func partitionsAssigned(_ partitions: [AssignedPartition]) {
        let now = self.clock.now
        self.update { $0.partitionsAssigned(partitions, now) }
        let names = partitions.map {
            "\($0.topicPartition) from \($0.committedOffset.map(String.init) ?? "the beginning")"
        }
        self.log.log(.info, "assigned: \(names.isEmpty ? "no partitions" : names.joined(separator: ", "))")
    }

    package func recordsReceived(_ records: [KafkaRecord]) -> Bool {
        let now = self.clock.now
        let (decodes, isOpen) = self.state.withLock { $0.recordsReceived(records, now) }
        if let first = records.first {
            self.metrics.add(.recordsConsumed, Double(records.count), first.topicPartition.topic)
        }
        if decodes { Task { self.decodeAll() } }
        return isOpen
    }

    /// One at a time, so that the order of a partition is kept.
    private func decodeAll() {
        while true {
            let batch = self.state.withLock { $0.takeInbox() }
            guard !batch.isEmpty else { return }
            // A part at a time: the first logins of a large batch need not wait for its last.
            for start in stride(from: 0, to: batch.count, by: 32) {
                let decoded = batch[start..<min(start + 32, batch.count)].map { login in
                    login.decoded(self.decoder.decode(login.record))
                }
                self.update { $0.decoded(decoded) }
            }
        }
    }

    package func partitionsRevoked(_ partitions: [TopicPartition]) {
        let deadline = self.clock.now.advanced(by: self.drain)
        self.log.log(.info, "revoked: \(partitions.map(\.description).joined(separator: ", ")); draining")
        self.update { $0.partitionsRevoked(partitions, deadline) }
        self.wake(at: deadline)
    }

    package func partitionsLost(_ partitions: [TopicPartition]) {
        self.log.log(
            .warning,
            "lost: \(partitions.map(\.description).joined(separator: ", ")); nothing of them is committed"
        )
        var isEmpty = false
        self.update { isEmpty = $0.partitionsLost(partitions) }
        // What waits in the producer would be a zombie's.
        if isEmpty { self.publisher.purge() }
    }

    package func consumerProblemChanged(_ problem: KafkaError?) {
        self.state.withLock { $0.problemChanged(problem) }
        if let problem {
            self.log.log(.error, "Kafka: \(problem)")
        } else {
            self.log.log(.info, "Kafka: all is well again")
        }
    }

    package func consumerFailed(_ error: KafkaError) { self.end(.failure(error)) }

    package func endsReached(_ ends: [TopicPartition: Int64]) {
        self.update { $0.endsReached(ends) }
    }

    package func inputEnded() { self.update { $0.inputEnded() } }

    // MARK: A login

    /// One of the slots that `concurrency` gives: runs logins as long as there are any.
    private func work(_ first: AdmittedLogin) async {
        var next: AdmittedLogin? = first
        while let login = next { next = await self.process(login) }
    }

    /// Runs one login, and gives the one that takes over its slot.
    private func process(_ login: AdmittedLogin) async -> AdmittedLogin? {
        guard let event = login.event else { return nil }
        switch await self.pipeline.process(login.record, event, login.retry) {
        case .result(let result): return await self.publish(result, login)
        case .stopped: self.update { $0.givenUp(login) }
        case .retry(let retry, let pause, let reason):
            let due = self.clock.now.advanced(by: pause)
            guard let login = self.park(login, .retry(reason), retry) else { return nil }
            Task {
                try? await self.sleep(until: due)
                self.update { $0.retryDue(login) }
            }
        case .outage(let outage, let retry):
            guard let login = self.park(login, .outage(outage.reason), retry) else { return nil }
            Task {
                await outage.waitUntilOver()
                self.update { $0.retryDue(login) }
            }
        }
        return nil
    }

    private func park(
        _ login: AdmittedLogin,
        _ delay: StateMachine.Delay,
        _ retry: RetryState
    ) -> AdmittedLogin? {
        var login = login
        login.retry = retry
        var isParked = false
        self.update { isParked = $0.delayed(login, delay) }
        return isParked ? login : nil
    }

    private func publish(_ result: ResultRecord, _ login: AdmittedLogin) async -> AdmittedLogin? {
        guard await self.mayPublish(login) else {
            self.metrics.add(.staleResults)
            self.update { $0.becameStale(login) }
            return nil
        }
        // Handed over before the lane moves on: the publisher keeps the order from here.
        self.handOver(result, login)
        var next: AdmittedLogin?
        self.update { next = $0.published(login) }
        return next
    }

    private func mayPublish(_ login: AdmittedLogin) async -> Bool {
        while true {
            guard self.state.withLock({ $0.dispatch.isCurrent(login) }) else { return false }
            // After a gap nothing is published until a commit of the current generation has succeeded (KAFKA.md, "A zombie").
            if self.source.leaseIsValid { return true }
            try? await self.sleep(until: self.clock.now.advanced(by: .milliseconds(50)))
        }
    }

    private func handOver(_ result: ResultRecord, _ login: AdmittedLogin) {
        // The publisher has its bytes; only a failure may have to be handed over again as it is.
        let (kind, failure) = (result.kind, result.kind == .failure ? result : nil)
        self.publisher.publish(result) { outcome in
            switch outcome {
            case .acknowledged: self.acknowledged(kind, failure?.reason, login)
            case .refused(let reason): self.refused(failure, login, reason)
            case .dropped: self.update { $0.dropped(login) }
            case .failed(let error): self.end(.failure(error))
            }
        }
    }

    private func acknowledged(_ kind: ResultRecord.Kind, _ reason: String?, _ login: AdmittedLogin) {
        let now = self.clock.now
        self.update { $0.acknowledged(login, kind, reason, now) }
        self.processDuration.observe((now - login.arrived).inSeconds)
        switch kind {
        case .update: self.finished.updates.add()
        case .denial: self.finished.denials.add()
        case .failure: self.finished.failures.add()
        }
        if let reason { self.metrics.add(.failures, 1, reason) }
    }

    /// `failure` is the record that was refused, where it was a failure already.
    private func refused(_ failure: ResultRecord?, _ login: AdmittedLogin, _ reason: String) {
        guard let failure else { return self.handOver(self.pipeline.tooLarge(login.record, reason), login) }
        // Dropping it would lose a login. It waits until the topic takes it, and says so.
        self.log.log(.error, "\(reason); trying again in 10 s")
        self.state.withLock { $0.refused(login, reason) }
        let due = self.clock.now.advanced(by: .seconds(10))
        Task {
            try? await self.sleep(until: due)
            // By then its partition may be another worker's.
            if self.snapshot({ $0.dispatch.isCurrent(login) }) { return self.handOver(failure, login) }
            self.update { $0.dropped(login) }
        }
    }

    // MARK: Behind the lock, and after it

    private func update(_ change: (inout StateMachine) -> Void) {
        let now = self.clock.now
        let actions = self.state.withLock { state in
            change(&state)
            return state.actions(now)
        }
        self.perform(actions)
    }

    private func perform(_ actions: StateMachine.Actions) {
        for login in actions.starts { Task { await self.work(login) } }
        if !actions.commit.isEmpty { self.commit(actions.commit) }
        if let instant = actions.wakeAt { self.wake(at: instant) }
        if actions.resumesIntake { self.source.resumeIntake() }
        if actions.abandoned > 0 {
            self.log.log(
                .warning,
                "the drain missed its deadline: \(actions.abandoned) logins are not done, and run again"
            )
        }
        if actions.finishesRevocation { self.source.finishRevocation() }
        if let (waiter, result) = actions.ended { waiter.resume(with: result) }
    }

    private func commit(_ offsets: [OffsetCommit]) {
        self.source.commit(offsets) { result in
            let now = self.clock.now
            self.metrics.add(.commits, 1, result.isSuccess ? "stored" : "refused")
            self.update { $0.commitAnswered(offsets, result, now) }
            if case .failure(let error) = result { self.log.log(.warning, "a commit was refused: \(error)") }
        }
    }

    /// Looks at the deadlines again then.
    private func wake(at instant: ContinuousClock.Instant) {
        Task {
            try? await self.sleep(until: instant)
            self.update { $0.timerFired(instant) }
        }
    }

    private func sleep(until instant: ContinuousClock.Instant) async throws {
        try await self.clock.sleep(until: instant, tolerance: nil)
    }

    private func end(_ result: Result<Void, any Error>) {
        self.update { $0.ended(result) }
    }

    /// For status and readiness.
    func snapshot<Value>(_ read: (StateMachine) -> Value) -> Value { self.state.withLock { read($0) } }
}

extension Result {
    fileprivate var isSuccess: Bool {
        if case .success = self { true } else { false }
    }
}
