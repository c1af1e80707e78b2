package import Kafka
import Synchronization

/// Takes records in, runs each login through the pipeline in the order of its user, hands results over, and commits what is done.
///
/// All decisions are `DispatchState`'s and `CommitSchedule`'s, made behind one lock; what they decide is done after the lock is released.
package final class Dispatcher: RecordReceiver {
    struct State {
        var dispatch: DispatchState
        var schedule: CommitSchedule
        /// Read and not yet decoded.
        var inbox: [AdmittedLogin] = []
        var isDecoding = false
        var commitTimer: ContinuousClock.Instant?
        var revocation: Revocation?
        /// The group gave this member its share, which may be nothing.
        var isAssigned = false
        var problem: KafkaError?
        /// Failures that their topic refuses, until it takes them.
        var refusals: [Place: String] = [:]
        var hasInputEnded = false
        var stopDeadline: ContinuousClock.Instant?
        var lastProgress = ContinuousClock.now
        var tally = Tally()
        var end: Result<Void, any Error>?
        var waiter: CheckedContinuation<Void, any Error>?
    }

    struct Place: Hashable {
        var partition: TopicPartition
        var offset: Int64
    }

    struct Revocation {
        var partitions: [TopicPartition]
        var deadline: ContinuousClock.Instant
    }

    /// What the logins ended in, since the start.
    package struct Tally: Sendable, Hashable {
        package var updates = 0
        package var denials = 0
        /// By reason.
        package var failures: [String: Int] = [:]
        package var retries = 0
        package var outages = 0
        package var stale = 0
    }

    private struct Actions {
        var starts: [AdmittedLogin] = []
        var commit: [OffsetCommit] = []
        var wakeAt: ContinuousClock.Instant?
        var resumesIntake = false
        var finishesRevocation = false
        /// A drain missed its deadline: so many logins were begun and are not done.
        var abandoned = 0
        var ended: (CheckedContinuation<Void, any Error>, Result<Void, any Error>)?
    }

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
    private let state: Mutex<State>

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
        self.state = Mutex(
            State(
                dispatch: DispatchState(limits: limits),
                schedule: CommitSchedule(limit: configuration.maxUncommitted)
            )
        )
    }

    /// Returns when the input has ended and all of it is done, or after `stop` when the drain is over.
    ///
    /// - Throws: what keeps the worker from going on.
    package func run() async throws {
        // Told to stop before it began: nothing is there to drain.
        guard !self.snapshot(\.dispatch.isStopping) else { return }
        try self.source.start(self)
        try await withCheckedThrowingContinuation { continuation in
            self.update { $0.waiter = continuation }
        }
    }

    /// Begins the drain: nothing new is started; what runs may finish within `drain`.
    package func stop() {
        self.source.stopIntake()
        let deadline = self.clock.now.advanced(by: self.drain)
        self.update { state in
            guard !state.dispatch.isStopping else { return }
            state.dispatch.stopping()
            state.stopDeadline = deadline
        }
        self.wake(at: deadline)
    }

    /// What is left of the drain for results on their way, but a moment at least.
    var timeToFlush: Duration {
        let left = self.snapshot(\.stopDeadline).map { $0 - self.clock.now } ?? self.drain
        return max(left, .seconds(1))
    }

    // MARK: What the source tells

    package func partitionsAssigned(_ partitions: [AssignedPartition]) {
        self.update { state in
            state.isAssigned = true
            state.lastProgress = self.clock.now
            for partition in partitions { state.dispatch.assigned(partition) }
        }
        let names = partitions.map {
            "\($0.topicPartition) from \($0.committedOffset.map(String.init) ?? "the beginning")"
        }
        self.log.log(.info, "assigned: \(names.isEmpty ? "no partitions" : names.joined(separator: ", "))")
    }

    package func recordsReceived(_ records: [KafkaRecord]) -> Bool {
        let now = self.clock.now
        var decodes = false
        let isOpen = self.state.withLock { state in
            for record in records {
                guard let login = state.dispatch.received(record, now: now) else { continue }
                state.inbox.append(login)
            }
            decodes = !state.isDecoding && !state.inbox.isEmpty
            if decodes { state.isDecoding = true }
            return state.dispatch.intakeIsOpen()
        }
        if let first = records.first {
            self.metrics.add(.recordsConsumed, Double(records.count), first.topicPartition.topic)
        }
        if decodes { Task { self.decodeAll() } }
        return isOpen
    }

    /// One at a time, so that the order of a partition is kept.
    private func decodeAll() {
        while true {
            let batch = self.state.withLock { state in
                if state.inbox.isEmpty { state.isDecoding = false }
                return exchange(&state.inbox, with: [])
            }
            guard !batch.isEmpty else { return }
            // A part at a time: the first logins of a large batch need not wait for its last.
            for start in stride(from: 0, to: batch.count, by: 32) {
                let decoded = batch[start..<min(start + 32, batch.count)].map { login in
                    login.decoded(self.decoder.decode(login.record))
                }
                self.update { state in for login in decoded { state.dispatch.decoded(login) } }
            }
        }
    }

    package func partitionsRevoked(_ partitions: [TopicPartition]) {
        let deadline = self.clock.now.advanced(by: self.drain)
        self.log.log(.info, "revoked: \(partitions.map(\.description).joined(separator: ", ")); draining")
        self.update { state in
            state.revocation = Revocation(partitions: partitions, deadline: deadline)
            state.dispatch.revoking(partitions)
        }
        self.wake(at: deadline)
    }

    package func partitionsLost(_ partitions: [TopicPartition]) {
        self.log.log(
            .warning,
            "lost: \(partitions.map(\.description).joined(separator: ", ")); nothing of them is committed"
        )
        var isEmpty = false
        self.update { state in
            state.dispatch.removed(partitions)
            let lost = Set(partitions)
            state.refusals = state.refusals.filter { !lost.contains($0.key.partition) }
            if let revoked = state.revocation?.partitions, revoked.allSatisfy(lost.contains) { state.revocation = nil }
            isEmpty = state.dispatch.partitions.isEmpty
            if isEmpty {
                state.schedule.reset()
                state.isAssigned = false
            }
        }
        // What waits in the producer would be a zombie's.
        if isEmpty { self.publisher.purge() }
    }

    package func consumerProblemChanged(_ problem: KafkaError?) {
        self.state.withLock { $0.problem = problem }
        if let problem {
            self.log.log(.error, "Kafka: \(problem)")
        } else {
            self.log.log(.info, "Kafka: all is well again")
        }
    }

    package func consumerFailed(_ error: KafkaError) { self.end(.failure(error)) }

    package func endsReached(_ ends: [TopicPartition: Int64]) {
        self.update { state in
            for (partition, offset) in ends {
                state.schedule.advanced(state.dispatch.endReached(partition, at: offset))
            }
        }
    }

    package func inputEnded() { self.update { $0.hasInputEnded = true } }

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
        case .stopped: self.update { $0.dispatch.givenUp(login) }
        case .retry(let retry, let pause, let reason):
            let due = self.clock.now.advanced(by: pause)
            guard let login = self.park(login, retry, reason, { $0.retries += 1 }) else { return nil }
            Task {
                try? await self.sleep(until: due)
                self.update { $0.dispatch.retryDue(login) }
            }
        case .outage(let outage, let retry):
            guard let login = self.park(login, retry, outage.reason, { $0.outages += 1 }) else { return nil }
            Task {
                await outage.waitUntilOver()
                self.update { $0.dispatch.retryDue(login) }
            }
        }
        return nil
    }

    private func park(
        _ login: AdmittedLogin,
        _ retry: RetryState,
        _ reason: String,
        _ count: (inout Tally) -> Void
    ) -> AdmittedLogin? {
        var login = login
        login.retry = retry
        var isParked = false
        self.update { state in
            count(&state.tally)
            isParked = state.dispatch.retryLater(login, reason: reason)
        }
        return isParked ? login : nil
    }

    private func publish(_ result: ResultRecord, _ login: AdmittedLogin) async -> AdmittedLogin? {
        guard await self.mayPublish(login) else {
            self.metrics.add(.staleResults)
            self.update { state in
                state.tally.stale += 1
                state.dispatch.abandoned(login, wasRunning: true)
            }
            return nil
        }
        // Handed over before the lane moves on: the publisher keeps the order from here.
        self.handOver(result, login)
        var next: AdmittedLogin?
        self.update { state in
            state.dispatch.published(login)
            next = state.dispatch.next()
        }
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
            case .dropped: self.update { $0.dispatch.abandoned(login, wasRunning: false) }
            case .failed(let error): self.end(.failure(error))
            }
        }
    }

    private func acknowledged(_ kind: ResultRecord.Kind, _ reason: String?, _ login: AdmittedLogin) {
        let now = self.clock.now
        self.update { state in
            state.lastProgress = now
            if !state.refusals.isEmpty { state.refusals[login.place] = nil }
            switch kind {
            case .update: state.tally.updates += 1
            case .denial: state.tally.denials += 1
            case .failure: state.tally.failures[reason ?? "", default: 0] += 1
            }
            state.schedule.advanced(state.dispatch.acknowledged(login))
        }
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
        self.state.withLock { $0.refusals[login.place] = reason }
        let due = self.clock.now.advanced(by: .seconds(10))
        Task {
            try? await self.sleep(until: due)
            // By then its partition may be another worker's.
            if self.snapshot({ $0.dispatch.isCurrent(login) }) { return self.handOver(failure, login) }
            self.update { state in
                state.refusals[login.place] = nil
                state.dispatch.abandoned(login, wasRunning: false)
            }
        }
    }

    // MARK: Behind the lock, and after it

    private func update(_ change: (inout State) -> Void) {
        let now = self.clock.now
        let actions = self.state.withLock { state in
            change(&state)
            return self.decide(&state, now)
        }
        self.perform(actions)
    }

    private func decide(_ state: inout State, _ now: ContinuousClock.Instant) -> Actions {
        var actions = Actions()
        while let login = state.dispatch.next() { actions.starts.append(login) }
        actions.resumesIntake = state.dispatch.intakeIsClosed && state.dispatch.intakeIsOpen()
        let isUrgent = state.revocation != nil || state.dispatch.isStopping || state.hasInputEnded
        switch state.schedule.next(now, isUrgent: isUrgent) {
        case .none: break
        case .commit:
            actions.commit = state.dispatch.commits()
            if actions.commit.isEmpty { state.schedule.answered(now, succeeded: true, count: 0) }
        case .wait(let until):
            if state.commitTimer.map({ $0 > until }) ?? true {
                state.commitTimer = until
                actions.wakeAt = until
            }
        }
        if let revocation = state.revocation, self.isOver(revocation, state, now) {
            state.revocation = nil
            actions.abandoned = state.dispatch.unfinished(of: revocation.partitions)
            state.dispatch.removed(revocation.partitions)
            state.refusals = state.refusals.filter { state.dispatch.partitions[$0.key.partition] != nil }
            if state.dispatch.partitions.isEmpty { state.isAssigned = false }
            actions.finishesRevocation = true
        }
        if state.end == nil, self.isFinished(state, now) {
            state.end = .success(())
            actions.abandoned = state.dispatch.unfinished(of: state.dispatch.partitions.keys)
        }
        if let end = state.end, let waiter = state.waiter.take() { actions.ended = (waiter, end) }
        return actions
    }

    private func isOver(_ revocation: Revocation, _ state: State, _ now: ContinuousClock.Instant) -> Bool {
        if now >= revocation.deadline { return true }
        guard state.dispatch.unfinished(of: revocation.partitions) == 0 else { return false }
        let revoked = Set(revocation.partitions)
        return !state.dispatch.commits().contains { revoked.contains($0.topicPartition) }
    }

    private func isFinished(_ state: State, _ now: ContinuousClock.Instant) -> Bool {
        if let deadline = state.stopDeadline {
            if now >= deadline { return true }
            return state.dispatch.unfinished(of: state.dispatch.partitions.keys) == 0
                && state.dispatch.commits().isEmpty
        }
        return state.hasInputEnded && state.dispatch.admitted == 0 && state.dispatch.commits().isEmpty
    }

    private func perform(_ actions: Actions) {
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
            self.update { state in
                switch result {
                case .success:
                    state.dispatch.committed(offsets)
                    state.schedule.answered(now, succeeded: true, count: 0)
                case .failure(let error):
                    let failed = Set(error.partitions)
                    // An error without partitions: any subset may have been stored, so all are committed again.
                    if !failed.isEmpty {
                        state.dispatch.committed(offsets.filter { !failed.contains($0.topicPartition) })
                    }
                    state.schedule.answered(now, succeeded: false, count: state.dispatch.commits().count)
                }
            }
            if case .failure(let error) = result { self.log.log(.warning, "a commit was refused: \(error)") }
        }
    }

    /// Looks at the deadlines again then.
    private func wake(at instant: ContinuousClock.Instant) {
        Task {
            try? await self.sleep(until: instant)
            self.update { state in
                if let timer = state.commitTimer, timer <= instant { state.commitTimer = nil }
            }
        }
    }

    private func sleep(until instant: ContinuousClock.Instant) async throws {
        try await self.clock.sleep(until: instant, tolerance: nil)
    }

    private func end(_ result: Result<Void, any Error>) {
        self.update { state in if state.end == nil { state.end = result } }
    }

    /// For status and readiness.
    func snapshot<Value>(_ read: (State) -> Value) -> Value { self.state.withLock { read($0) } }
}

extension AdmittedLogin {
    fileprivate var place: Dispatcher.Place { .init(partition: self.topicPartition, offset: self.offset) }
}

extension Result {
    fileprivate var isSuccess: Bool {
        if case .success = self { true } else { false }
    }
}
