import JSON
import Kafka
import Synchronization
import TestSupport
import Testing

@testable import Afterlogin

@Suite(.timeLimit(.minutes(1)))
struct DispatcherTests {
    private static let partition = TopicPartition(topic: "logins", partition: 0)

    /// A chain that does what the test says for a login, by its id.
    private final class ScriptedChain: ChainEvaluator {
        typealias Script = @Sendable (_ id: String, _ attempt: Int) async -> ChainVerdict
        private let script: Script
        private let state = Mutex<(running: Int, most: Int, order: [String])>((0, 0, []))
        let changed = Signal()

        init(_ script: @escaping Script) { self.script = script }

        var mostRunning: Int { self.state.withLock { $0.most } }
        var order: [String] { self.state.withLock { $0.order } }

        func evaluate(_ state: ChainState, id: String, time: String) async -> (ChainState, ChainVerdict) {
            self.state.withLock { state in
                state.running += 1
                state.most = max(state.most, state.running)
                state.order.append(id)
            }
            self.changed.send()
            let verdict = await self.script(id, state.attempt)
            self.state.withLock { $0.running -= 1 }
            var state = state
            if case .failed(let failure) = verdict {
                state.reports.append(
                    RuleReport(name: failure.rule, outcome: .failed, milliseconds: 0, calls: 0, attempts: state.attempt)
                )
            }
            return (state, verdict)
        }
    }

    /// What a test wants otherwise than by default.
    private struct Change {
        var apply: (inout Configuration) -> Void
        static var none: Self { Self { _ in } }
        static func set<Value>(
            _ path: WritableKeyPath<Configuration, Value>,
            _ value: Value
        ) -> Self {
            Self { $0[keyPath: path] = value }
        }
    }

    private struct Bench {
        let source = MemorySource()
        let publisher = MemoryPublisher()
        let chain: ScriptedChain
        let worker: Worker
        let metrics = Metrics()
        private let log = LogLines()
        var lines: String { self.log.text }

        init(_ change: Change = .none, _ script: @escaping ScriptedChain.Script) {
            var configuration = Configuration()
            configuration.rules.backoff = .init(base: .milliseconds(1), cap: .milliseconds(5))
            change.apply(&configuration)
            self.chain = ScriptedChain(script)
            self.worker = Worker(
                configuration: configuration,
                chain: self.chain,
                chainNames: ["scripted"],
                log: Log(level: .warning, redactor: Redactor(), format: .json, write: self.log.append),
                metrics: self.metrics,
                source: self.source,
                publisher: self.publisher
            )
        }

        /// Starts the worker with the partition assigned.
        func start() async -> Task<Dispatcher.Tally, any Error> {
            let task = Task { try await self.worker.run() }
            await self.source.changed.wait { self.source.receiver != nil }
            self.source.receiver?.partitionsAssigned(
                [AssignedPartition(topicPartition: DispatcherTests.partition, committedOffset: nil)]
            )
            return task
        }

        @discardableResult
        func send(_ logins: [(offset: Int64, user: String)]) -> Bool {
            self.source.receiver?.recordsReceived(logins.map { DispatcherTests.record($0.offset, $0.user) }) ?? false
        }

        func waitForResults(_ count: Int) async {
            await self.publisher.changed.wait { self.publisher.results.count >= count }
        }

        func waitForCommit(_ offset: Int64) async {
            await self.source.changed.wait { self.source.committed(DispatcherTests.partition) == offset }
        }
    }

    private static func record(_ offset: Int64, _ user: String) -> KafkaRecord {
        KafkaRecord(
            topicPartition: self.partition,
            offset: offset,
            timestamp: 1_800_000_000_000,
            key: Array(user.utf8),
            value: Array(#"{"id":"\#(offset)","user":{"user_id":"\#(user)"}}"#.utf8)
        )
    }

    private static func offset(_ result: ResultRecord) throws -> Int64 {
        let value = try JSONText(validating: #require(result.value))
        let id = value["data"]?["login"]?["id"]?.string ?? value["id"]?.string
        return try #require(id.flatMap { Int64($0) })
    }

    @Test(arguments: UInt64(1)...8)
    func everyLoginGetsOneResultInTheOrderOfItsUser(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let logins = (0..<400).map { (offset: Int64($0), user: "user-\(Int.random(in: 0..<20, using: &random))") }
        let slow = Set((0..<60).map { _ in String(Int.random(in: 0..<400, using: &random)) })
        let failing = Set((0..<40).map { _ in String(Int.random(in: 0..<400, using: &random)) })
        let bench = Bench(.set(\.concurrency, 7)) { id, attempt in
            if slow.contains(id) { for _ in 0..<20 { await Task.yield() } }
            if failing.contains(id), attempt < 3 {
                return .failed(
                    RuleFailure(rule: "r", reason: .ruleError, message: "", isRetryable: true, retryAfter: nil)
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
            let offset = try Self.offset(result)
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
        let bench = Bench(.set(\.rules.backoff, Configuration.Backoff(base: .seconds(3_600), cap: .seconds(3_600)))) {
            id,
            _ in
            id == "0"
                ? .failed(
                    RuleFailure(rule: "r", reason: .ruleError, message: "503", isRetryable: true, retryAfter: nil)
                )
                : .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "b"), (2, "a"), (3, "c")])
        await bench.waitForResults(2)
        #expect(Set(try bench.publisher.results.map(Self.offset)) == [1, 3])
        // Nothing may be committed: offset 0 is not done.
        #expect(bench.source.commits.isEmpty)
        #expect(bench.worker.status().waiting == ["r: 503": 1])
        bench.worker.stop()
        _ = try await task.value
        #expect(bench.publisher.results.count == 2)
    }

    @Test
    func aRuleThatGoesOnFailingEndsAsAttemptsExhausted() async throws {
        let bench = Bench(.set(\.rules.attempts, 3)) { _, _ in
            .failed(RuleFailure(rule: "r", reason: .ruleTimeout, message: "slow", isRetryable: true, retryAfter: nil))
        }
        let task = await bench.start()
        bench.send([(0, "a")])
        await bench.waitForCommit(1)
        let result = try #require(bench.publisher.results.first)
        #expect(result.reason == "attempts-exhausted")
        #expect(result.value == Self.record(0, "a").value)
        let attempts = result.headers.first { $0.name == "afterlogin-attempts" }?.value
        #expect(attempts == Array("3".utf8))
        #expect(bench.chain.order.count == 3)
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func anUndecodableRecordFailsAndThePartitionGoesOn() async throws {
        let bench = Bench { _, _ in .completed }
        let task = await bench.start()
        let bytes: [UInt8] = [0xFF, 0x00]
        let records = [
            KafkaRecord(topicPartition: Self.partition, offset: 0, key: nil, value: bytes),
            KafkaRecord(topicPartition: Self.partition, offset: 1, key: nil, value: nil), Self.record(2, "a"),
        ]
        _ = bench.source.receiver?.recordsReceived(records)
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
        let bench = Bench(.set(\.admitted.logins, 10)) { _, _ in
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
        let bench = Bench(.set(\.admitted.bytes, 2_000)) { _, _ in
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
        let bench = Bench(.set(\.concurrency, 1)) { id, _ in
            if id == "0" { await gate.wait() }
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "b"), (2, "a")])
        await gate.waitForGuest()
        bench.source.receiver?.partitionsRevoked([Self.partition])
        #expect(bench.source.revocationsFinished == 0)
        gate.open()
        await bench.source.changed.wait { bench.source.revocationsFinished == 1 }
        // Committed before the partition went back, and nothing but the one that ran.
        #expect(bench.source.committed(Self.partition) == 1)
        #expect(try bench.publisher.results.map(Self.offset) == [0])
        #expect(bench.worker.status().admitted == 0)
        bench.worker.stop()
        _ = try await task.value
    }

    /// Else everything after offset 1 would be done again by the next worker.
    @Test
    func aStopFinishesWhatIsOlderThanWhatHasBegun() async throws {
        let gate = Gate()
        let bench = Bench(.set(\.concurrency, 2)) { id, _ in
            if id == "0" { await gate.wait() }
            return .completed
        }
        let task = await bench.start()
        // 1 waits behind 0, its user's first; 2 is done before, 3 and 4 are later than all that has begun.
        bench.send([(0, "a"), (1, "a"), (2, "b")])
        await bench.waitForResults(1)
        await gate.waitForGuest()
        bench.worker.stop()
        bench.send([(3, "c"), (4, "a")])
        gate.open()
        _ = try await task.value
        #expect(Set(try bench.publisher.results.map(Self.offset)) == [0, 1, 2])
        #expect(bench.source.committed(Self.partition) == 3)
    }

    @Test
    func aResultOfALostAssignmentIsDropped() async throws {
        let gate = Gate()
        let bench = Bench { id, _ in
            if id == "0" { await gate.wait() }
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a")])
        await gate.waitForGuest()
        bench.source.receiver?.partitionsLost([Self.partition])
        // The same partition comes back to the same worker: the old completion must not count for the new assignment.
        bench.source.receiver?.partitionsAssigned(
            [AssignedPartition(topicPartition: Self.partition, committedOffset: nil)]
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
        let bench = Bench { _, _ in
            guard isFirst.withLock({ exchange(&$0, with: false) }) else { return .completed }
            await gate.wait()
            return .failed(
                RuleFailure(rule: "r", reason: .ruleError, message: "503", isRetryable: true, retryAfter: nil)
            )
        }
        let task = await bench.start()
        bench.send([(0, "a")])
        await gate.waitForGuest()
        bench.source.receiver?.partitionsLost([Self.partition])
        bench.source.receiver?.partitionsAssigned(
            [AssignedPartition(topicPartition: Self.partition, committedOffset: nil)]
        )
        bench.send([(0, "a"), (1, "a")])
        // Behind the old attempt, once the other user's is done.
        bench.send([(2, "b")])
        await bench.waitForResults(1)
        gate.open()
        await bench.waitForCommit(3)
        #expect(try bench.publisher.results.map(Self.offset) == [2, 0, 1])
        bench.worker.stop()
        _ = try await task.value
    }

    /// Else the lag of a partition that ends in a transaction's marker would never be 0.
    @Test
    func theEndOfAPartitionIsCommittedWhenAllBeforeIsDone() async throws {
        let gate = Gate()
        let bench = Bench { _, _ in
            await gate.wait()
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "b")])
        bench.source.receiver?.endsReached([Self.partition: 3])
        await gate.waitForGuest()
        #expect(bench.source.commits.isEmpty)
        gate.open()
        await bench.waitForCommit(3)
        // Markers only, and nothing that waits.
        bench.source.receiver?.endsReached([Self.partition: 5])
        await bench.waitForCommit(5)
        bench.source.see(end: 5, of: Self.partition)
        #expect(bench.worker.status().assignment.map(\.lag) == [0])
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func aPartitionThatHasGoneHasNoLag() async throws {
        let bench = Bench { _, _ in .completed }
        let task = await bench.start()
        bench.source.see(end: 7, of: Self.partition)
        func lags() -> [MetricSnapshot.Series] {
            bench.worker.updateGauges()
            return bench.metrics.snapshot().first { $0.definition.name == MetricDefinition.lag.name }?.series ?? []
        }
        #expect(lags().map(\.labels) == [["logins", "0"]])
        bench.source.receiver?.partitionsRevoked([Self.partition])
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
        let bench = Bench(.set(\.drain, .milliseconds(20))) { _, _ in
            await gate.wait()
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "b")])
        await gate.waitForGuest()
        await bench.chain.changed.wait { bench.chain.order.count == 2 }
        bench.source.receiver?.partitionsRevoked([Self.partition])
        await bench.source.changed.wait { bench.source.revocationsFinished == 1 }
        #expect(bench.lines.contains("the drain missed its deadline: 2 logins are not done"))
        gate.open()
        bench.worker.stop()
        _ = try await task.value
        #expect(bench.publisher.results.isEmpty)
    }

    @Test
    func whoIsToldToStopBeforeItBeganDoesNotBegin() async throws {
        let bench = Bench { _, _ in .completed }
        bench.worker.stop()
        let tally = try await bench.worker.run()
        #expect(tally == Dispatcher.Tally())
        #expect(bench.source.receiver == nil)
    }

    @Test
    func nothingIsCommittedBeforeItIsAcknowledged() async throws {
        let bench = Bench { _, _ in .completed }
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
        var configuration = Configuration()
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
            log: log,
            metrics: Metrics(),
            source: source,
            publisher: try KafkaResultPublisher(configuration, log: log, metrics: Metrics(), longestDelivery: .zero)
        )
        let task = Task { try await worker.run() }
        await source.changed.wait { source.receiver != nil }
        source.receiver?.partitionsAssigned([AssignedPartition(topicPartition: Self.partition, committedOffset: nil)])
        _ = source.receiver?.recordsReceived([Self.record(0, "a")])
        await source.changed.wait { source.committed(Self.partition) == 1 }
        #expect(worker.readiness() == .ready)
        // An answer that never comes, on a connection that stays.
        try cluster.setRoundTripTime(.seconds(600), broker: 1)
        _ = source.receiver?.recordsReceived([Self.record(1, "a")])
        while worker.readiness().isReady { await Task.yield() }
        #expect(worker.readiness().reason.hasPrefix("results can't be written: no acknowledgement for"))
        worker.stop()
        _ = try await task.value
        #expect(source.committed(Self.partition) == 1)
        await cluster.close()
    }
    #endif

    @Test
    func nothingMoreIsBegunWhileTooManyResultsAreNotAcknowledged() async throws {
        let bench = Bench(
            Change { configuration in
                configuration.concurrency = 1
                configuration.maxUncommitted = 3
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
        let bench = Bench { _, _ in .completed }
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
        let bench = Bench { _, _ in .completed }
        let task = await bench.start()
        bench.publisher.hold()
        let undecodable = KafkaRecord(topicPartition: Self.partition, offset: 0, key: nil, value: [0xFF])
        _ = bench.source.receiver?.recordsReceived([undecodable])
        await bench.waitForResults(1)
        bench.publisher.release(.refused("user-update-failures does not take it"))
        bench.send([(1, "b")])
        await bench.waitForResults(2)
        while bench.worker.tally.updates == 0 { await Task.yield() }
        #expect(bench.worker.readiness() == .notReady("user-update-failures does not take it"))
        #expect(bench.source.commits.isEmpty)
        bench.source.receiver?.partitionsLost([Self.partition])
        bench.source.receiver?.partitionsAssigned([])
        #expect(bench.worker.readiness().isReady)
        bench.worker.stop()
        _ = try await task.value
    }

    @Test
    func anOutageCountsNoAttemptAndEndsInAnUpdate() async throws {
        struct Away: Outage {
            let gate: Gate
            let reason = "token endpoint is away"
            func waitUntilOver() async { await self.gate.wait() }
        }
        let gate = Gate()
        let isFirst = Mutex(true)
        let bench = Bench(.set(\.rules.attempts, 1)) { _, _ in
            isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst ? .outage(Away(gate: gate)) : .completed
            }
        }
        let task = await bench.start()
        bench.send([(0, "a")])
        await gate.waitForGuest()
        #expect(bench.worker.status().waiting == ["token endpoint is away": 1])
        #expect(bench.worker.status().running == 0)
        gate.open()
        await bench.waitForCommit(1)
        bench.worker.stop()
        #expect(try await task.value.updates == 1)
    }

    @Test
    func nothingIsPublishedWhileTheLeaseIsBroken() async throws {
        let bench = Bench { _, _ in .completed }
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

/// A door that a rule waits at until the test opens it.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, guests: [CheckedContinuation<Void, Never>])>((false, []))
    private let changed = Signal()

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = self.state.withLock { state in
                if !state.isOpen { state.guests.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
            self.changed.send()
        }
    }

    func waitForGuest() async { await self.changed.wait { self.state.withLock { !$0.guests.isEmpty } } }

    func open() {
        let guests = self.state.withLock { state in
            state.isOpen = true
            defer { state.guests = [] }
            return state.guests
        }
        for guest in guests { guest.resume() }
    }
}
