import AfterloginEgress
package import AfterloginKafka
package import AfterloginObservability
package import AfterloginSystem
import AfterloginWaiting

/// Takes records in, runs each login through the pipeline in the order of its user, hands results over, and commits what is done.
///
/// All decisions are those of `Dispatch`, made behind one lock; what it decides is done after the lock is released.
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
    private let state: Mutex<State>
    private let slots = SlotWatch()

    package init(
        _ configuration: DeliverySettings,
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
        // Counters from the start: the rate of one that appears with its first event misses that one.
        for metric in [MetricDefinition.lateResults, .staleResults, .positionsLost] { _ = metrics.series(metric) }
        for reason in FailureDescription.reasons { _ = metrics.series(.failures, reason) }
        self.clock = clock
        let limits = Dispatch.Limits(
            concurrency: configuration.concurrency,
            logins: configuration.admitted.logins,
            bytes: configuration.admitted.bytes,
            evaluations: configuration.evaluations,
            uncommitted: configuration.maxUncommitted,
            mapBytes: source.keepsCompletionMap ? CompletionMap.maxBytes : nil
        )
        self.state = Mutex(State(dispatch: Dispatch(limits: limits), lastProgress: clock.now))
        self.slots.start(
            sweep: { [weak self] in
                guard let self else { return }
                Task { await self.sweepSlots() }
            },
            onReturn: { [weak self] login in self?.update { $0.dispatch.slotTaken(login, $1) } }
        )
    }

    /// Returns when the input has ended and all of it is done, or after `stop` when the drain is over.
    ///
    /// - Throws: what keeps the worker from going on.
    package func run() async throws {
        // Told to stop before it began: nothing is there to drain.
        guard !self.snapshot(\.dispatch.drain.isStopping) else { return }
        try self.source.start(self)
        try await withCheckedThrowingContinuation { continuation in
            let end = self.state.withLock { $0.waited(continuation) }
            if let end { continuation.resume(with: end) }
        }
    }

    /// Begins the drain: nothing new is started; what runs may finish within `drain`.
    package func stop() {
        self.source.stopIntake()
        let deadline = self.clock.now.advanced(by: self.drain)
        self.update { $0.dispatch.stopped(deadline: deadline, $1) }
    }

    /// What is left of the drain for results on their way, but a moment at least.
    var timeToFlush: Duration {
        let left = self.snapshot(\.dispatch.drain.stopDeadline).map { $0 - self.clock.now } ?? self.drain
        return max(left, .seconds(1))
    }

    // MARK: What the source tells

    package func partitionsAssigned(_ partitions: [AssignedPartition]) {
        self.update { $0.assigned(partitions, $1) }
        for partition in partitions where partition.foreignMetadata {
            self.metrics.add(.foreignMetadata)
            self.log.log(
                .warning,
                "\(partition.topicPartition): the metadata of the committed offset is not ours or damaged, and ignored; "
                    + "logins beyond the offset may run again"
            )
        }
        let names = partitions.sorted { $0.topicPartition.description < $1.topicPartition.description }.map {
            "\($0.topicPartition) from \($0.committedOffset.map(String.init) ?? "the beginning, as nothing is committed")"
        }
        self.log.log(.info, "assigned: \(names.isEmpty ? "no partitions" : names.joined(separator: ", "))")
    }

    package func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool {
        var isOpen = false
        self.update { state, now in
            let step = state.dispatch.batchReceived(records, ends: ends, now)
            isOpen = !state.dispatch.intake.isClosed
            return step
        }
        if let first = records.first {
            self.metrics.add(.recordsConsumed, Double(records.count), first.topicPartition.topic)
        }
        return isOpen
    }

    /// One at a time, so that the order of a partition is kept.
    private func decodeAll() {
        while true {
            let batch = self.state.withLock { $0.dispatch.inboxTaken() }
            guard !batch.isEmpty else { return }
            // A part at a time: the first logins of a large batch need not wait for its last.
            for start in stride(from: 0, to: batch.count, by: 32) {
                let decoded = batch[start..<min(start + 32, batch.count)].map { login in
                    login.decoded(self.decoder.decode(login.record))
                }
                self.update { $0.dispatch.decoded(decoded, $1) }
            }
        }
    }

    private static func names(_ partitions: [TopicPartition]) -> String {
        partitions.map(\.description).sorted().joined(separator: ", ")
    }

    package func partitionsRevoked(_ partitions: [TopicPartition]) {
        let deadline = self.clock.now.advanced(by: self.drain)
        self.log.log(
            .info,
            "revoked: \(Self.names(partitions)), as the group rebalances (a worker came, left "
                + "or died, or a topic changed); what is under way there is finished first"
        )
        self.update { $0.dispatch.partitionsRevoked(partitions, deadline: deadline, $1) }
    }

    package func partitionsLost(_ partitions: [TopicPartition]) {
        self.log.log(
            .warning,
            "taken away without notice: \(Self.names(partitions)); no login is lost: what is "
                + "under way there is dropped, and runs again, with its calls, where they are assigned next"
        )
        self.update { $0.dispatch.partitionsLost(partitions, $1) }
    }

    package func topicReplaced(_ partitions: [TopicPartition]) {
        self.metrics.add(.topicsReplaced, Double(partitions.count))
    }

    package func consumerProblemChanged(_ problem: KafkaError?) {
        let now = self.clock.now
        let lasted = self.state.withLock { $0.problemChanged(problem, now) }
        if let problem {
            self.log.log(.error, "Kafka: \(problem); what is not done stays in its topic until that is over")
        } else {
            self.log.log(.info, "Kafka: all is well again\(lasted.map { ", after \($0.forPeople)" } ?? "")")
        }
    }

    package func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?) {
        let now = self.clock.now
        self.state.withLock { $0.standing[partition] = reason.map { State.Standing(reason: $0.message, since: now) } }
        guard let reason else { return }
        self.metrics.add(.positionsLost)
        self.log.log(.error, reason.message)
    }

    package func consumerFailed(_ error: KafkaError) { self.fail(error) }

    package func inputEnded() { self.update { $0.dispatch.inputEnded($1) } }

    // MARK: A login

    /// One of the slots that `concurrency` gives: runs logins as long as there are any.
    private func work(_ first: AdmittedLogin) async {
        var next: AdmittedLogin? = first
        while let login = next { next = await self.process(login) }
    }

    /// Runs one login, and gives the one that takes over its slot.
    private func process(_ login: AdmittedLogin) async -> AdmittedLogin? {
        guard let event = login.event else { return nil }
        let activity = self.slots.began(login)
        let outcome = await self.pipeline.process(login.record, event, login.retry, LoginIdentity(login), activity)
        self.slots.ended(login)
        switch outcome {
        case .result(let result): return self.update(goesOn: true) { $0.finished(login, result, $1) }
        case .stopped: return self.update(goesOn: true) { $0.dispatch.interrupted(login, $1) }
        case .waits(let retry):
            var login = login
            login.retry = retry
            let next = self.update(goesOn: true) { $0.heldBack(login, $1) }
            self.awaits(login)
            return next
        }
    }

    /// Says to the board what the login waits for, beside the time.
    private func awaits(_ login: AdmittedLogin) {
        guard let calls = login.retry.calls, self.isWaiting(login) else { return }
        switch login.retry.wait {
        case .away(let destination, _): self.pipeline.board.wait(calls, for: destination) { self.resume(login) }
        case .kept: self.pipeline.board.keep(calls) { self.resume(login) }
        case .backOff, .host, nil: break
        }
    }

    private func isWaiting(_ login: AdmittedLogin) -> Bool {
        self.snapshot { state in
            if case .waiting = state.dispatch.lanes.standing(of: login) { true } else { false }
        }
    }

    /// What it waited for is there.
    private func resume(_ login: AdmittedLogin) {
        guard self.isWaiting(login) else {
            // Revoked or begun meanwhile: it was chosen for nothing.
            if let calls = login.retry.calls { self.pipeline.board.evaluationEnded(calls) }
            return
        }
        self.update { $0.dispatch.resumed(login, $1) }
    }

    /// Looks who merely waits for an answer: it gives its slot back.
    private func sweepSlots() async {
        repeat {
            await self.sleep(until: self.clock.now.advanced(by: SlotWatch.interval))
            for login in self.slots.idle(after: self.pipeline.board.settings.slotIdle) {
                self.update { $0.dispatch.slotGivenBack(login, $1) }
                // It may have gone on between the two.
                if !self.slots.isIdle(login) { self.update { $0.dispatch.slotTaken(login, $1) } }
            }
        } while self.slots.goesOn()
    }

    /// Hands a result over; false where it must wait.
    private func publish(_ login: AdmittedLogin, _ result: ResultRecord, gathers: Bool) -> Bool {
        guard self.source.leaseIsValid else {
            // After a gap nothing is published until a commit of the current generation has succeeded (KAFKA.md, "A zombie").
            Task { await self.publishWhenLeased(login, result) }
            return false
        }
        self.handOver(result, login, gathers: gathers)
        return true
    }

    private func publishWhenLeased(_ login: AdmittedLogin, _ result: ResultRecord) async {
        while self.snapshot({ $0.dispatch.partitions.isCurrent(login) }) {
            if self.source.leaseIsValid {
                self.handOver(result, login)
                return self.update { $0.dispatch.published([login], $1) }
            }
            await self.sleep(until: self.clock.now.advanced(by: .milliseconds(50)))
        }
        self.update { $0.becameStale(login, $1) }
    }

    private func handOver(_ result: ResultRecord, _ login: AdmittedLogin, gathers: Bool = false) {
        guard result.preceding.isEmpty else { return self.handOverAll(result, login) }
        // The publisher has its bytes; only a failure may have to be handed over again as it is.
        let (kind, failure) = (result.kind, result.kind == .failure ? result : nil)
        self.publisher.publish(result, gathers: gathers) { self.answered($0, kind, failure, login) }
    }

    /// A result with what is written before it: in this order, and at once, as the next login of the user may follow; done when all of it is.
    private func handOverAll(_ result: ResultRecord, _ login: AdmittedLogin) {
        var last = result
        last.preceding = []
        let answers = PublishAnswers(count: result.preceding.count + 1)
        let final = last
        let answered: @Sendable (PublishOutcome, Bool) -> Void = { outcome, isLast in
            guard let all = answers.received(outcome, isLast: isLast) else { return }
            self.answered(all, final.kind, final, login)
        }
        for record in result.preceding {
            self.publisher.publish(record, gathers: false) { outcome in
                if case .refused(let reason) = outcome {
                    self.log.log(.error, "what rules wrote of a login that failed is lost: \(reason)")
                }
                answered(outcome, false)
            }
        }
        self.publisher.publish(final, gathers: false) { answered($0, true) }
    }

    /// `failure` is the record itself, where it is one.
    private func answered(
        _ outcome: PublishOutcome,
        _ kind: ResultRecord.Kind,
        _ failure: ResultRecord?,
        _ login: AdmittedLogin
    ) {
        switch outcome {
        case .acknowledged: self.acknowledged(kind, failure?.reason, login)
        case .refused(let reason): self.refused(failure, login, reason)
        case .dropped: self.update { $0.dropped(login, $1) }
        case .failed(let error): self.fail(error)
        }
    }

    private func acknowledged(_ kind: ResultRecord.Kind, _ reason: String?, _ login: AdmittedLogin) {
        var isLate = false
        self.update { state, now in
            isLate = !state.dispatch.partitions.isCurrent(login)
            return state.acknowledged(login, kind, reason, now)
        }
        if isLate { self.metrics.add(.lateResults) }
        self.processDuration.observe((self.clock.now - login.arrived).inSeconds)
        switch kind {
        case .update: self.finished.updates.add()
        case .denial: self.finished.denials.add()
        case .failure: self.finished.failures.add()
        case .changes: break
        }
        if let reason { self.metrics.add(.failures, 1, reason) }
    }

    /// `failure` is the record that was refused, where it was a failure already.
    private func refused(_ failure: ResultRecord?, _ login: AdmittedLogin, _ reason: String) {
        guard let failure else { return self.handOver(self.pipeline.tooLarge(login.record, reason), login) }
        // Dropping it would lose a login. It waits until the topic takes it, and says so.
        let now = self.clock.now
        var notice: String?
        self.update { state, now in
            let (line, step) = state.refused(login, reason, now)
            notice = line
            return step
        }
        if let notice { self.log.log(.error, notice) }
        let due = now.advanced(by: .seconds(10))
        Task {
            await self.sleep(until: due)
            // By then its partition may be another worker's.
            self.update { $0.handedOverAgain(login, failure, $1) }
        }
    }

    // MARK: Behind the lock, and after it

    private func update(_ event: (inout State, Dispatch.Instant) -> Dispatch.Step) {
        _ = self.update(goesOn: false, event)
    }

    /// Tells an event, and does what follows from it; with `goesOn` one of the logins that may begin is left to the caller.
    private func update(
        goesOn: Bool,
        _ event: (inout State, Dispatch.Instant) -> Dispatch.Step
    ) -> AdmittedLogin? {
        let now = self.clock.now
        var (step, consequence) = self.state.withLock { state in
            let step = event(&state, now)
            return (step, state.consequence(of: step))
        }
        let next = goesOn && !step.starts.isEmpty ? step.starts.removeFirst() : nil
        self.perform(step)
        if consequence.stale > 0 { self.metrics.add(.staleResults, Double(consequence.stale)) }
        if let (waiter, result) = consequence.ended { waiter.resume(with: result) }
        // Handed over before the lane moves on: the publisher keeps the order from here.
        let published = consequence.results
            .filter { self.publish($0.login, $0.result, gathers: consequence.isBehind) }.map(\.login)
        guard !published.isEmpty else { return next }
        let other = self.update(goesOn: goesOn && next == nil) { $0.dispatch.published(published, $1) }
        return next ?? other
    }

    private func perform(_ step: Dispatch.Step) {
        for login in step.starts { Task { await self.work(login) } }
        if step.decodes { Task { self.decodeAll() } }
        if !step.commit.isEmpty { self.commit(step.commit) }
        if let instant = step.wakeAt { self.wake(at: instant) }
        if step.resumesIntake { self.source.resumeIntake() }
        for login in step.drops + step.discards {
            if let calls = login.retry.calls { self.pipeline.board.left(calls) }
        }
        for remark in step.remarks { self.log.log(.warning, remark.description) }
        if step.finishesRevocation { self.source.finishRevocation() }
        // What waits there would be a zombie's.
        if step.purges { self.publisher.purge() }
    }

    private func commit(_ offsets: [OffsetCommit]) {
        self.source.commit(offsets) { result in
            let answer = CommitAnswer(result)
            self.metrics.add(.commits, 1, answer == .stored ? "stored" : "refused")
            self.update { $0.dispatch.commitAnswered(answer, $1) }
            if case .failure(let error) = result { self.log.log(.warning, "a commit was refused: \(error)") }
        }
    }

    /// Looks at the deadlines again then.
    private func wake(at instant: ContinuousClock.Instant) {
        Task {
            await self.sleep(until: instant)
            self.update { $0.dispatch.clockTicked($1) }
        }
    }

    private func sleep(until instant: ContinuousClock.Instant) async {
        try? await self.clock.sleep(until: instant, tolerance: nil)
    }

    private func fail(_ error: any Error) { self.update { state, _ in state.failed(error) } }

    /// For status and readiness.
    func snapshot<Value>(_ read: (State) -> Value) -> Value { self.state.withLock { read($0) } }
}
