import AfterloginJSON
import AfterloginKafka
import AfterloginObservability
import AfterloginRules
import AfterloginSystem
import AfterloginTestSupport
import AfterloginWaiting
import Testing

@testable import AfterloginDelivery
@testable import AfterloginEgress

@Suite(.timeLimit(.minutes(1)))
struct DispatcherTests {
    @Test(arguments: UInt64(1)...8)
    func everyLoginGetsOneResultInTheOrderOfItsUser(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let logins = (0..<400).map { (offset: Int64($0), user: "user-\(Int.random(in: 0..<20, using: &random))") }
        let slow = Set((0..<60).map { _ in String(Int.random(in: 0..<400, using: &random)) })
        let failing = Set((0..<40).map { _ in String(Int.random(in: 0..<400, using: &random)) })
        let bench = DispatchBench(.set(\.delivery.concurrency, 7)) { id, attempt in
            if slow.contains(id) { for _ in 0..<20 { await Task.yield() } }
            if failing.contains(id), attempt < 3 {
                return .failed(
                    RuleFailure(rule: "r", reason: .ruleError, message: "", isRetryable: true)
                )
            }
            return .completed
        }
        let task = await bench.start()
        for start in stride(from: 0, to: 400, by: 37) { bench.send(Array(logins[start..<min(start + 37, 400)])) }
        await bench.waitForCommit(400)
        var last: [String: Int64] = [:]
        var seen: Set<Int64> = []
        for result in bench.publisher.results {
            let offset = try DispatchBench.offset(result)
            let user = logins[Int(offset)].user
            #expect(offset > last[user] ?? -1, "seed \(seed)")
            last[user] = offset
            #expect(seen.insert(offset).inserted, "seed \(seed)")
        }
        #expect(seen.count == 400)
        #expect(bench.chain.mostRunning <= 7)
        bench.worker.stop()
        let tally = try await task.value
        #expect(tally.updates == 400)
    }

    @Test
    func aUserThatWaitsForARetryHoldsNobodyElse() async throws {
        let bench = DispatchBench(
            Change { settings in
                settings.egress.waiting.backoffBase = .seconds(3_600)
                settings.egress.waiting.backoffCap = .seconds(3_600)
            }
        ) {
            id,
            _ in
            id == "0"
                ? .failed(
                    RuleFailure(rule: "r", reason: .ruleError, message: "503", isRetryable: true)
                )
                : .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "b"), (2, "a"), (3, "c")])
        await bench.waitForResults(2)
        #expect(Set(try bench.publisher.results.map(DispatchBench.offset)) == [1, 3])
        // Nothing may be committed but what is done beyond it: offset 0 is not done.
        #expect(bench.source.committed(DispatchBench.partition) ?? 0 == 0)
        #expect(bench.worker.status().waiting == ["r: 503": 1])
        bench.worker.stop()
        _ = try await task.value
        #expect(bench.publisher.results.count == 2)
    }

    @Test
    func aRuleThatGoesOnFailingEndsAsAttemptsExhausted() async throws {
        let bench = DispatchBench(.set(\.egress.waiting.attempts, 3)) { _, _ in
            .failed(RuleFailure(rule: "r", reason: .ruleTimeout, message: "slow", isRetryable: true))
        }
        let task = await bench.start()
        bench.send([(0, "a")])
        await bench.waitForCommit(1)
        let result = try #require(bench.publisher.results.first)
        #expect(result.reason == "attempts-exhausted")
        #expect(result.value == DispatchBench.record(0, "a").value)
        let attempts = result.headers.first { $0.name == "afterlogin-attempts" }?.value
        #expect(attempts == Array("3".utf8))
        #expect(bench.chain.order.count == 3)
        bench.worker.stop()
        _ = try await task.value
    }

    /// What rules wrote of a failed login goes out before the failure, and the offset waits for both.
    @Test(arguments: [PublishOutcome.acknowledged, .refused("too large")])
    func whatPrecedesAFailureIsPublishedBeforeIt(outcome: PublishOutcome) async throws {
        let bench = DispatchBench(writes: true) { _, _ in
            .failed(RuleFailure(rule: "r", reason: .ruleError, message: "no", isRetryable: false))
        }
        let task = await bench.start()
        bench.publisher.hold()
        bench.send([(0, "a"), (1, "a")])
        await bench.waitForResults(4)
        #expect(bench.publisher.results.map(\.kind) == [.changes, .failure, .changes, .failure])
        #expect(bench.source.committed(DispatchBench.partition) ?? 0 == 0)
        bench.publisher.release { $0.kind == .changes ? outcome : .acknowledged }
        await bench.waitForCommit(2)
        #expect(bench.worker.tally.failures == ["rule-error": 2])
        bench.worker.stop()
        _ = try await task.value
    }

    /// The last answer decides when, and the worst what.
    @Test(arguments: [
        ([PublishOutcome.acknowledged, .acknowledged], "acknowledged"), ([.acknowledged, .refused("x")], "refused"),
        ([.refused("x"), .acknowledged], "acknowledged"), ([.dropped, .acknowledged], "dropped"),
        ([.acknowledged, .dropped], "dropped"), ([.dropped, .refused("x")], "dropped"),
    ])
    func aResultOfSeveralRecordsHasOneAnswer(outcomes: [PublishOutcome], name: String) {
        let answers = PublishAnswers(count: outcomes.count)
        for (index, outcome) in outcomes.enumerated() {
            let isLast = index == outcomes.count - 1
            let answer = answers.received(outcome, isLast: isLast)
            #expect((answer != nil) == isLast)
            if let answer { #expect("\(answer)".hasPrefix(name)) }
        }
    }

    @Test
    func anUndecodableRecordFailsAndThePartitionGoesOn() async throws {
        let bench = DispatchBench { _, _ in .completed }
        let task = await bench.start()
        let bytes: [UInt8] = [0xFF, 0x00]
        let records = [
            KafkaRecord(topicPartition: DispatchBench.partition, offset: 0, key: nil, value: bytes),
            KafkaRecord(topicPartition: DispatchBench.partition, offset: 1, key: nil, value: nil),
            DispatchBench.record(2, "a"),
        ]
        _ = bench.source.receiver?.batchReceived(records, ends: [:])
        await bench.waitForCommit(3)
        let failures = bench.publisher.results.filter { $0.kind == .failure }
        #expect(failures.map(\.reason) == ["undecodable", "undecodable"])
        #expect(failures.contains { $0.value == bytes } && failures.contains { $0.value == nil })
        bench.worker.stop()
        #expect(try await task.value.updates == 1)
    }

    @Test
    func intakeStopsAtTheLimitAndOpensAgain() async throws {
        let gate = Gate()
        let bench = DispatchBench(.set(\.delivery.admitted.logins, 10)) { _, _ in
            await gate.wait()
            return .completed
        }
        let task = await bench.start()
        #expect(bench.send((0..<9).map { ($0, "user-\($0)") }))
        #expect(!bench.send([(9, "user-9")]))
        #expect(!bench.worker.status().intakeIsOpen)
        gate.open()
        await bench.source.changed.wait { bench.worker.status().intakeIsOpen }
        await bench.waitForCommit(10)
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func theBytesOfWhatIsAdmittedAreBounded() async throws {
        let gate = Gate()
        let bench = DispatchBench(.set(\.delivery.admitted.bytes, 2_000)) { _, _ in
            await gate.wait()
            return .completed
        }
        let task = await bench.start()
        #expect(!bench.send((0..<8).map { ($0, "user-\($0)") }))
        gate.open()
        await bench.waitForCommit(8)
        #expect(bench.worker.status().admittedBytes == 0)
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func aRevokeWaitsForWhatRunsAndDropsTheRest() async throws {
        let gate = Gate()
        let bench = DispatchBench(.set(\.delivery.concurrency, 1)) { id, _ in
            if id == "0" { await gate.wait() }
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "b"), (2, "a")])
        await gate.waitForGuest()
        bench.source.receiver?.partitionsRevoked([DispatchBench.partition])
        #expect(bench.source.revocationsFinished == 0)
        gate.open()
        await bench.source.changed.wait { bench.source.revocationsFinished == 1 }
        // Committed before the partition went back, and nothing but the one that ran.
        #expect(bench.source.committed(DispatchBench.partition) == 1)
        #expect(try bench.publisher.results.map(DispatchBench.offset) == [0])
        #expect(bench.worker.status().admitted == 0)
        bench.worker.stop()
        _ = try await task.value
    }

    /// What has not begun runs elsewhere; what is done beyond it is in the map of the last commit, and does not come twice.
    @Test
    func aStopFinishesWhatRunsAndCommitsWhatIsDoneBeyond() async throws {
        let gate = Gate()
        let bench = DispatchBench(.set(\.delivery.concurrency, 2)) { id, _ in
            if id == "0" { await gate.wait() }
            return .completed
        }
        let task = await bench.start()
        // 1 waits behind 0, its user's first; 2 is done before, 3 and 4 come too late.
        bench.send([(0, "a"), (1, "a"), (2, "b")])
        await bench.waitForResults(1)
        await gate.waitForGuest()
        bench.worker.stop()
        bench.send([(3, "c"), (4, "a")])
        gate.open()
        _ = try await task.value
        #expect(Set(try bench.publisher.results.map(DispatchBench.offset)) == [0, 2])
        let last = try #require(bench.source.commits.last?.last)
        #expect(last == OffsetCommit(topicPartition: DispatchBench.partition, offset: 1, map: Array("A".utf8)))

        let next = DispatchBench { _, _ in .completed }
        let other = await next.start(from: last)
        next.send([(1, "a"), (2, "b"), (3, "c")])
        await next.waitForCommit(4)
        #expect(Set(try next.publisher.results.map(DispatchBench.offset)) == [1, 3])
        next.worker.stop()
        _ = try await other.value
    }

    @Test
    func aResultOfALostAssignmentIsDropped() async throws {
        let gate = Gate()
        let bench = DispatchBench { id, _ in
            if id == "0" { await gate.wait() }
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a")])
        await gate.waitForGuest()
        bench.source.receiver?.partitionsLost([DispatchBench.partition])
        // The same partition comes back to the same worker: the old completion must not count for the new assignment.
        bench.source.receiver?.partitionsAssigned(
            [AssignedPartition(topicPartition: DispatchBench.partition, committedOffset: nil)]
        )
        gate.open()
        bench.send([(0, "a")])
        await bench.waitForCommit(1)
        #expect(bench.publisher.results.count == 1)
        #expect(bench.worker.tally.stale == 1)
        bench.worker.stop()
        _ = try await task.value
    }

    /// Its partition came back while it ran: what waits behind it in its lane is of the new assignment, and runs.
    @Test
    func anAttemptOfALostAssignmentTakesNobodyAlong() async throws {
        let gate = Gate()
        let isFirst = Mutex(true)
        let bench = DispatchBench { _, _ in
            guard isFirst.withLock({ exchange(&$0, with: false) }) else { return .completed }
            await gate.wait()
            return .failed(
                RuleFailure(rule: "r", reason: .ruleError, message: "503", isRetryable: true)
            )
        }
        let task = await bench.start()
        bench.send([(0, "a")])
        await gate.waitForGuest()
        bench.source.receiver?.partitionsLost([DispatchBench.partition])
        bench.source.receiver?.partitionsAssigned(
            [AssignedPartition(topicPartition: DispatchBench.partition, committedOffset: nil)]
        )
        bench.send([(0, "a"), (1, "a")])
        // Behind the old attempt, once the other user's is done.
        bench.send([(2, "b")])
        await bench.waitForResults(1)
        gate.open()
        await bench.waitForCommit(3)
        #expect(try bench.publisher.results.map(DispatchBench.offset) == [2, 0, 1])
        bench.worker.stop()
        _ = try await task.value
    }

    /// Else the lag of a partition that ends in a transaction's marker would never be 0.
    @Test
    func theEndOfAPartitionIsCommittedWhenAllBeforeIsDone() async throws {
        let gate = Gate()
        let bench = DispatchBench { _, _ in
            await gate.wait()
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "b")])
        _ = bench.source.receiver?.batchReceived([], ends: [DispatchBench.partition: 3])
        await gate.waitForGuest()
        #expect(bench.source.commits.isEmpty)
        gate.open()
        await bench.waitForCommit(3)
        // Markers only, and nothing that waits.
        _ = bench.source.receiver?.batchReceived([], ends: [DispatchBench.partition: 5])
        await bench.waitForCommit(5)
        bench.source.see(end: 5, of: DispatchBench.partition)
        #expect(bench.worker.status().assignment.map(\.lag) == [0])
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func aPartitionThatHasGoneHasNoLag() async throws {
        let bench = DispatchBench { _, _ in .completed }
        let task = await bench.start()
        bench.source.see(end: 7, of: DispatchBench.partition)
        func lags() -> [MetricSnapshot.Series] {
            bench.worker.updateGauges()
            return bench.metrics.snapshot().first { $0.definition.name == MetricDefinition.lag.name }?.series ?? []
        }
        #expect(lags().map(\.labels) == [["logins", "0"]])
        bench.source.receiver?.partitionsRevoked([DispatchBench.partition])
        await bench.source.changed.wait { bench.source.revocationsFinished == 1 }
        #expect(lags().isEmpty)
        #expect(!bench.worker.readiness().isReady)
        bench.source.receiver?.partitionsAssigned([])
        #expect(bench.worker.readiness().isReady)
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func aDrainThatMissesItsDeadlineSaysSo() async throws {
        let gate = Gate()
        let bench = DispatchBench(.set(\.delivery.drain, .milliseconds(20))) { _, _ in
            await gate.wait()
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "b")])
        await gate.waitForGuest()
        await bench.chain.changed.wait { bench.chain.order.count == 2 }
        bench.source.receiver?.partitionsRevoked([DispatchBench.partition])
        await bench.source.changed.wait { bench.source.revocationsFinished == 1 }
        #expect(bench.lines.contains("the drain missed its deadline: 2 logins are not done"))
        gate.open()
        bench.worker.stop()
        _ = try await task.value
        #expect(bench.publisher.results.isEmpty)
    }

    @Test
    func whoIsToldToStopBeforeItBeganDoesNotBegin() async throws {
        let bench = DispatchBench { _, _ in .completed }
        bench.worker.stop()
        let tally = try await bench.worker.run()
        #expect(tally == Dispatcher.Tally())
        #expect(bench.source.receiver == nil)
    }

    @Test
    func nothingIsCommittedBeforeItIsAcknowledged() async throws {
        let bench = DispatchBench { _, _ in .completed }
        bench.publisher.hold()
        let task = await bench.start()
        bench.send([(0, "a"), (1, "a")])
        await bench.waitForResults(2)
        #expect(bench.source.commits.isEmpty)
        bench.publisher.release()
        await bench.waitForCommit(2)
        bench.worker.stop()
        _ = try await task.value
    }

    #if !THREAD_SANITIZER
    /// A real client of librdkafka, which the thread sanitizer does not bear.
    @Test
    func resultsThatAreNotAcknowledgedInTimeMakeTheWorkerUnready() async throws {
        let cluster = try InProcessCluster()
        var configuration = DeliverySettings()
        configuration.kafka.brokers = cluster.bootstrapServers
        configuration.drain = .milliseconds(100)
        for topic in [configuration.results.updates, configuration.results.failures] {
            try cluster.createTopic(topic, partitions: 1)
        }
        let log = Log(level: .error, redactor: Redactor(), format: .json) { _ in }
        let source = MemorySource()
        let worker = Worker(
            configuration: configuration,
            chain: ScriptedChain { _, _ in .completed },
            chainNames: ["scripted"],
            board: DestinationBoard(EgressSettings().waiting(forOutages: true), log: log),
            log: log,
            metrics: Metrics(),
            source: source,
            publisher: try KafkaResultPublisher(configuration, log: log, metrics: Metrics(), longestDelivery: .zero)
        )
        let task = Task { try await worker.run() }
        await source.changed.wait { source.receiver != nil }
        source.receiver?.partitionsAssigned([
            AssignedPartition(topicPartition: DispatchBench.partition, committedOffset: nil)
        ])
        _ = source.receiver?.batchReceived([DispatchBench.record(0, "a")], ends: [:])
        await source.changed.wait { source.committed(DispatchBench.partition) == 1 }
        #expect(worker.readiness() == .ready)
        // An answer that never comes, on a connection that stays.
        try cluster.setRoundTripTime(.seconds(600), broker: 1)
        _ = source.receiver?.batchReceived([DispatchBench.record(1, "a")], ends: [:])
        while worker.readiness().isReady { await Task.yield() }
        #expect(worker.readiness().reason.hasPrefix("results can't be written: no acknowledgement for"))
        worker.stop()
        _ = try await task.value
        #expect(source.committed(DispatchBench.partition) == 1)
        await cluster.close()
    }
    #endif

    @Test
    func nothingMoreIsBegunWhileTooManyResultsAreNotAcknowledged() async throws {
        let bench = DispatchBench(
            Change { settings in
                settings.delivery.concurrency = 1
                settings.delivery.maxUncommitted = 3
            }
        ) { _, _ in .completed }
        bench.publisher.hold()
        let task = await bench.start()
        bench.send((0..<10).map { (Int64($0), "user-\($0)") })
        await bench.waitForResults(3)
        // A fourth would have been begun by the very call that handed over the third.
        bench.send([(10, "user-10")])
        #expect(bench.chain.order == ["0", "1", "2"])
        bench.publisher.release()
        await bench.waitForCommit(11)
        #expect(bench.chain.order.count == 11)
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func aResultThatIsTooLargeBecomesAFailure() async throws {
        let bench = DispatchBench { _, _ in .completed }
        bench.publisher.hold()
        let task = await bench.start()
        bench.send([(0, "a")])
        await bench.waitForResults(1)
        bench.publisher.release(.refused("user-updates does not take it"))
        await bench.waitForCommit(1)
        #expect(bench.publisher.results.last?.reason == "result-too-large")
        bench.worker.stop()
        #expect(try await task.value.failures == ["result-too-large": 1])
    }

    /// Dropping it would lose a login; other logins' results must not hide it.
    @Test
    func aFailureThatItsTopicRefusesIsNamedUntilItsPartitionGoes() async throws {
        let bench = DispatchBench { _, _ in .completed }
        let task = await bench.start()
        bench.publisher.hold()
        let undecodable = KafkaRecord(topicPartition: DispatchBench.partition, offset: 0, key: nil, value: [0xFF])
        _ = bench.source.receiver?.batchReceived([undecodable], ends: [:])
        await bench.waitForResults(1)
        bench.publisher.release(.refused("user-update-failures does not take it"))
        bench.send([(1, "b")])
        await bench.waitForResults(2)
        while bench.worker.tally.updates == 0 { await Task.yield() }
        let readiness = bench.worker.readiness()
        #expect(readiness.isReady && readiness.reason.hasPrefix("ready; degraded: 1 failure is not written since 2"))
        #expect(readiness.reason.hasSuffix("user-update-failures does not take it"))
        #expect(bench.source.committed(DispatchBench.partition) ?? 0 == 0)
        bench.source.receiver?.partitionsLost([DispatchBench.partition])
        bench.source.receiver?.partitionsAssigned([])
        #expect(bench.worker.readiness().isReady)
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func failuresThatTheirTopicRefusesHoldNeitherOthersNorADrain() async throws {
        let bench = DispatchBench(
            Change { settings in
                settings.delivery.maxUncommitted = 3
                settings.delivery.drain = .seconds(600)
            }
        ) { _, _ in .completed }
        bench.publisher.refuse { $0.kind == .failure ? "user-update-failures does not take it" : nil }
        let task = await bench.start()
        let records = (0..<9).map {
            KafkaRecord(topicPartition: DispatchBench.partition, offset: $0, key: nil, value: [0xFF])
        }
        _ = bench.source.receiver?.batchReceived(records, ends: [:])
        await bench.waitForResults(9)
        bench.send((9..<30).map { (Int64($0), "user-\($0)") })
        await bench.waitForResults(30)
        // They still hold the commit: nothing is lost.
        #expect(bench.source.committed(DispatchBench.partition) ?? 0 == 0)
        bench.source.receiver?.partitionsRevoked([DispatchBench.partition])
        await bench.source.changed.wait { bench.source.revocationsFinished == 1 }
        #expect(!bench.lines.contains("the drain missed its deadline"))
        bench.worker.stop()
        #expect(try await task.value.updates == 21)
    }

    @Test
    func aTopicThatRefusesManyFailuresIsOneLineOfTheLog() async throws {
        let bench = DispatchBench { _, _ in .completed }
        let task = await bench.start()
        bench.publisher.hold()
        let records = (0..<30).map {
            KafkaRecord(topicPartition: DispatchBench.partition, offset: $0, key: nil, value: [0xFF])
        }
        _ = bench.source.receiver?.batchReceived(records, ends: [:])
        await bench.waitForResults(30)
        bench.publisher.release(.refused("user-update-failures does not take it"))
        #expect(bench.lines.split(separator: "\n").count { $0.contains("does not take it") } == 1, "\(bench.lines)")
        bench.source.receiver?.partitionsLost([DispatchBench.partition])
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func whatATopicRefusesIsSaidOnceAMinuteWithTheNumberOfThoseWhoWait() {
        var notice = RefusalNotice()
        let start = ContinuousClock.now
        #expect(notice.refused("too large", waiting: 1, now: start)?.hasPrefix("too large; 1 login waits") == true)
        #expect(notice.refused("too large", waiting: 2, now: start + .seconds(59)) == nil)
        let later = notice.refused("too large", waiting: 60, now: start + .seconds(60))
        #expect(later?.hasPrefix("too large; 60 logins wait") == true)
        #expect(notice.refused("too large", waiting: 60, now: start + .seconds(61)) == nil)
        notice.ended()
        #expect(notice.refused("too large", waiting: 1, now: start + .seconds(62)) != nil)
    }

    @Test
    func anOutageCountsNoAttemptAndEndsInAnUpdate() async throws {
        let destination = Destination.answers(rule: "r", host: "api.example", port: 443)
        let isFirst = Mutex(true)
        let bench = DispatchBench(.set(\.egress.waiting.attempts, 1)) { _, _ in
            isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst ? .away(destination) : .completed
            }
        }
        let task = await bench.start()
        // Away once and for all: until a call gets through.
        let (ticket, end) = await bench.goAway(destination)
        bench.send([(0, "a")])
        while bench.worker.status().waiting != ["\(destination) is away": 1] { await Task.yield() }
        #expect(bench.worker.status().running == 0)
        #expect(bench.worker.readiness().reason.hasPrefix("ready; degraded: \(destination) is away since"))
        end(ticket)
        await bench.waitForCommit(1)
        bench.worker.stop()
        #expect(try await task.value.updates == 1)
    }

    /// `concurrency` counts who works: one that merely waits for an answer gives its slot back after a second.
    @Test
    func aLoginThatHangsGivesItsSlotToAnother() async throws {
        let gate = Gate()
        let bench = DispatchBench(.set(\.delivery.concurrency, 1)) { id, _ in
            if id == "0" { await gate.wait() }
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "b")])
        await gate.waitForGuest()
        await bench.waitForResults(1)
        #expect(try bench.publisher.results.map(DispatchBench.offset) == [1])
        gate.open()
        await bench.waitForCommit(2)
        bench.worker.stop()
        #expect(try await task.value.updates == 2)
    }

    @Test
    func nothingIsPublishedWhileTheLeaseIsBroken() async throws {
        let bench = DispatchBench { _, _ in .completed }
        let task = await bench.start()
        bench.source.breakLease(true)
        bench.send([(0, "a")])
        await bench.source.changed.wait { bench.source.leaseQuestions >= 2 }
        #expect(bench.publisher.results.isEmpty)
        bench.source.breakLease(false)
        await bench.waitForCommit(1)
        bench.worker.stop()
        _ = try await task.value
    }
}
