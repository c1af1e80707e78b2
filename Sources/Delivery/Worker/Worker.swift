package import AfterloginEgress
import AfterloginKafka
package import AfterloginObservability
package import AfterloginRules
import AfterloginSystem

/// The whole path of a login as one service: source, dispatcher, pipeline, publisher.
package final class Worker: Sendable {
    private let dispatcher: Dispatcher
    private let source: any RecordSource
    private let publisher: any ResultPublisher
    private let board: DestinationBoard
    private let log: Log
    private let metrics: Metrics
    private let notices: LoginNotices
    private let started = ContinuousClock.now

    package init(
        configuration: DeliverySettings,
        chain: any ChainEvaluator,
        chainNames: [String],
        board: DestinationBoard,
        waitsForOutages: Bool = true,
        log: Log,
        metrics: Metrics,
        source: any RecordSource,
        publisher: any ResultPublisher
    ) {
        self.source = source
        self.publisher = publisher
        self.board = board
        self.log = log
        self.metrics = metrics
        self.notices = LoginNotices(log: log, failures: configuration.results.failures)
        self.dispatcher = Dispatcher(
            configuration,
            pipeline: LoginPipeline(
                configuration,
                chain: chain,
                chainNames: chainNames,
                board: board,
                waitsForOutages: waitsForOutages,
                metrics: metrics,
                notices: self.notices
            ),
            source: source,
            publisher: publisher,
            log: log,
            metrics: metrics
        )
    }

    /// Runs until `stop`, or until the input has ended and all of it is done.
    ///
    /// - Returns: What the logins ended in.
    /// - Throws: What keeps the worker from going on, after what can be saved is saved.
    @discardableResult
    package func run() async throws -> Dispatcher.Tally {
        let result: Result<Void, any Error>
        let watch = Task { await self.watch() }
        defer { watch.cancel() }
        do {
            try await self.dispatcher.run()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        // In reverse order of the path: what was handed over is written first, then the group is left.
        await self.publisher.close(deadline: self.dispatcher.timeToFlush)
        await self.source.close()
        try result.get()
        return self.dispatcher.snapshot(\.tally)
    }

    /// Begins the drain; `run` returns when it is over.
    package func stop() { self.dispatcher.stop() }

    package var isStopping: Bool { self.dispatcher.snapshot { $0.dispatch.drain.stopDeadline != nil } }

    package var tally: Dispatcher.Tally { self.dispatcher.snapshot(\.tally) }

    /// Whether logins are handled as they should be, and why not.
    ///
    /// Where logins wait for what is away the worker is ready: a restart would not help.
    ///
    /// - Parameter others: What of the worker's surroundings is wrong beside.
    /// - Returns: What `/readyz` answers.
    package func readiness(beside others: [Degradation] = []) -> Readiness {
        let problem = self.publisher.problem
        let troubles = self.board.troubles()
        let isAwaited = troubles.contains { $0.waiting > 0 }
        var readiness = self.dispatcher.snapshot { state -> Readiness in
            if state.dispatch.drain.stopDeadline != nil { return .notReady("draining: the worker was told to stop") }
            if state.dispatch.drain.revocation != nil { return .notReady("draining: partitions were revoked") }
            if let problem = state.problem { return .notReady("Kafka: \(problem)") }
            if let problem { return .notReady(problem) }
            if let standing = state.standing.values.first, state.dispatch.partitions.isEmpty {
                return .notReady(standing.reason)
            }
            if !state.dispatch.partitions.isAssigned {
                return .notReady("no assignment: the worker starts, or its group rebalances")
            }
            let still = ContinuousClock.now - state.lastProgress
            guard state.dispatch.intake.admitted > 0, still > Self.longestStandstill else { return .ready }
            let reason =
                state.dispatch.lanes.waitingReasons.max { $0.value < $1.value }?.key ?? "rules are still running"
            if isAwaited { return .ready }
            return .notReady("no login has finished for \(still.components.seconds) s: \(reason)")
        }
        readiness.reason = self.log.redactor.redact(readiness.reason)
        guard readiness.isReady, let degraded = (others + self.degradations(troubles)).text else { return readiness }
        let intake = self.dispatcher.snapshot { IntakeWatch.Look($0.dispatch) }
        let stands = intake.stands ? "; intake stands: \(intake.admitted) logins are admitted" : ""
        let reason = self.log.redactor.redact("ready; degraded: \(degraded)\(stands)")
        return Readiness(isReady: true, reason: reason)
    }

    /// What is wrong although a restart would not mend it.
    package func degradations() -> [Degradation] { self.degradations(self.board.troubles()) }

    private func degradations(_ troubles: [OutageStatus]) -> [Degradation] {
        let now = self.dispatcher.clock.now
        let (spell, standing, refusal) = self.dispatcher.snapshot { ($0.failureShare.spell, $0.standing, $0.refusal) }
        let refused = refusal.map {
            let what = $0.count == 1 ? "1 failure is" : "\($0.count) failures are"
            return Degradation(.failuresRefused, "\(what) not written", lasts: now - $0.since, details: $0.reason)
        }
        let stands = standing.sorted { $0.key.description < $1.key.description }.map {
            Degradation(
                .partitionStands,
                "\($0.key) is not read",
                lasts: now - $0.value.since,
                details: $0.value.reason
            )
        }
        let away = troubles.sorted { $0.waiting > $1.waiting }.map { Degradation($0) }
        return [spell.map { Degradation($0, now: now) }, refused].compactMap(\.self) + stands + away
    }

    // MARK: What the log tells of the whole

    /// Looks every two seconds, until it is cancelled; what a last, short minute brought is in the tally at the end.
    private func watch() async {
        var intake = IntakeWatch()
        var report = MinuteReport(now: .now)
        var publishing: (problem: String, since: ContinuousClock.Instant)?
        var failing: FailureShare.Spell?
        var absence = AssignmentWatch()
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(2))
            self.tell(intake: &intake)
            self.tell(publishing: &publishing)
            self.tell(failing: &failing)
            self.tell(absence: &absence)
            guard report.isDue(.now) else { continue }
            self.notices.minuteEnded()
            var (tally, load) = self.dispatcher.snapshot { ($0.tally, MinuteReport.Load($0.dispatch)) }
            load.degraded = self.degradations().text
            load.unread = self.status().assignment.compactMap(\.lag).reduce(0, +)
            if let line = report.looked(tally, load, now: .now) { self.log.log(.info, line) }
        }
    }

    /// Says that results can't be written, when that begins, becomes another reason, and ends.
    private func tell(publishing: inout (problem: String, since: ContinuousClock.Instant)?) {
        let problem = self.publisher.problem
        defer { publishing = problem.map { ($0, publishing?.since ?? .now) } }
        switch (publishing, problem) {
        case (nil, let problem?): self.log.log(.error, "\(problem); logins wait for it, and nothing is lost")
        case (let before?, nil):
            self.log.log(.info, "results are written again, after \((ContinuousClock.now - before.since).forPeople)")
        case (nil, nil), (_?, _?): break
        }
    }

    /// Says that the group takes long to share out its partitions: nothing is read meanwhile.
    private func tell(absence: inout AssignmentWatch) {
        let (isAssigned, isStopping) = self.dispatcher.snapshot {
            ($0.dispatch.partitions.isAssigned || !$0.standing.isEmpty, $0.dispatch.drain.isStopping)
        }
        guard let lasted = absence.looked(isAssigned: isAssigned || isStopping, now: .now) else { return }
        self.log.log(
            .warning,
            "no partitions for \(lasted.forPeople): nothing is read until the group has shared them out; it waits for a member that "
                + "does not answer as long as session.timeout.ms says"
        )
    }

    /// Says that nearly all logins fail, when that begins and when it ends.
    private func tell(failing: inout FailureShare.Spell?) {
        let spell = self.dispatcher.snapshot(\.failureShare.spell)
        defer { failing = spell }
        switch (failing, spell) {
        case (nil, let spell?):
            self.log.log(
                .error,
                "nearly all logins fail: \(spell.failures) of the last \(FailureShare.window), most of them as \(spell.reason), "
                    + "since \(Timestamp.text(ago: self.dispatcher.clock.now - spell.since)); the lines \"login failed\" name rule and place"
            )
        case (let before?, nil):
            let lasted = (self.dispatcher.clock.now - before.since).forPeople
            self.log.log(.info, "logins are done again: nearly all of them failed for \(lasted)")
        case (nil, nil), (_?, _?): break
        }
    }

    /// Says for whom intake stands, once while it does.
    private func tell(intake: inout IntakeWatch) {
        let look = self.dispatcher.snapshot { IntakeWatch.Look($0.dispatch) }
        switch intake.looked(look) {
        case nil: break
        case .goesOn: self.log.log(.info, "intake goes on")
        case .stands:
            let awaited = self.board.troubles().filter { $0.waiting > 0 }.map { Degradation($0) }
            let reasons = awaited.text ?? "retries are under way"
            self.log.log(
                .error,
                "intake stands for all users: \(look.admitted) logins are admitted (admitted.logins, "
                    + "admitted.bytes); \(reasons); rules are told after egress.patience, at once for hosts in "
                    + "egress.optional"
            )
        }
    }

    /// What must turn for logins to be handled, by the name of its thread.
    package var threads: [(name: String, ask: Heartbeat.Ask)] {
        [
            ("afterlogin.consumer", { self.source.ping($0) }), ("afterlogin.producer", { self.publisher.ping($0) }),
            // On the cooperative pool, behind the dispatcher's lock.
            (
                "dispatcher",
                { answer in
                    Task {
                        self.dispatcher.snapshot { _ in }
                        answer()
                    }
                }
            ),
        ]
    }

    /// Longer than a rule may take with its retries inside, by default.
    private static let longestStandstill = Duration.seconds(60)

    package func status() -> WorkerStatus {
        let watermarks = self.source.highWatermarks()
        let now = ContinuousClock.now
        var status = self.dispatcher.snapshot { state in
            WorkerStatus(
                uptime: now - self.started,
                assignment: state.dispatch.partitions.all.map { held in
                    WorkerStatus.Partition(
                        partition: held.name,
                        epoch: held.epoch,
                        committed: held.committed,
                        lag: watermarks[held.name].map { max(0, $0 - (held.position ?? 0)) }
                    )
                }.sorted {
                    ($0.partition.topic, $0.partition.partition) < ($1.partition.topic, $1.partition.partition)
                },
                running: state.dispatch.lanes.working + state.dispatch.lanes.idle,
                waiting: state.dispatch.lanes.waitingReasons,
                admitted: state.dispatch.intake.admitted,
                admittedBytes: state.dispatch.intake.admittedBytes,
                uncommitted: state.dispatch.partitions.uncovered,
                oldest: state.dispatch.lanes.all.compactMap(\.first?.arrived).min().map { now - $0 },
                intakeIsOpen: !state.dispatch.intake.isClosed,
                tally: state.tally,
                problem: state.problem?.description
            )
        }
        // They name destinations, and those hosts and audiences that rules have chosen.
        let reasons = status.waiting.map { (self.log.redactor.redact($0.key), $0.value) }
        status.waiting = Dictionary(reasons, uniquingKeysWith: +)
        return status
    }

    /// Brings the gauges up to date; called before metrics are read.
    package func updateGauges() {
        let status = self.status()
        self.metrics.set(.loginsRunning, Double(status.running))
        self.metrics.set(.loginsWaiting, Double(status.waiting.values.reduce(0, +)))
        self.metrics.set(.loginsAdmitted, Double(status.admitted))
        self.metrics.set(.bytesAdmitted, Double(status.admittedBytes))
        self.metrics.set(.uncommitted, Double(status.uncommitted))
        self.metrics.set(.ready, self.readiness().isReady ? 1 : 0)
        // Of a partition that went to another worker nothing is said any more.
        let lags = status.assignment.compactMap { partition in
            partition.lag.map { ([partition.partition.topic, String(partition.partition.partition)], Double($0)) }
        }
        self.metrics.replace(.lag, lags)
    }
}
