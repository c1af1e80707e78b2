import AfterloginHTTPMessages
import AfterloginKafka
import AfterloginObservability
import AfterloginWaiting
import Testing

@testable import AfterloginDelivery
@testable import AfterloginEgress
@testable import AfterloginRules

@Suite("What /readyz says while logins are not done as they should be", .timeLimit(.minutes(1)))
struct ReadinessTests {
    private static let failure = ChainVerdict.failed(
        RuleFailure(rule: "r", reason: .ruleError, message: "m", isRetryable: false)
    )
    private static let other = TopicPartition(topic: "logins", partition: 1)

    @Test func nearlyAllLoginsThatFailAreNamedAndSaidAndSoIsTheirEnd() async throws {
        let bench = DispatchBench { id, _ in Int(id).map { $0 < 30 } == true ? Self.failure : .completed }
        let task = await bench.start()
        bench.send((0..<30).map { (Int64($0), "user-\($0)") })
        await bench.waitForCommit(30)
        let readiness = bench.worker.readiness()
        #expect(readiness.isReady)
        let beginning = "ready; degraded: 20 of the last 20 logins failed, most of them as rule-error, since 2"
        #expect(readiness.reason.hasPrefix(beginning), "\(readiness.reason)")
        #expect(bench.worker.degradations().map(\.cause) == [.loginsFail])
        let line = "nearly all logins fail: 20 of the last 20, most of them as rule-error"
        while !bench.lines.contains(line), !Task.isCancelled { await Task.yield() }
        #expect(bench.lines.contains(line))
        bench.send((30..<45).map { (Int64($0), "user-\($0)") })
        await bench.waitForCommit(45)
        #expect(bench.worker.readiness() == .ready && bench.worker.degradations().isEmpty)
        bench.worker.stop()
        _ = try await task.value
    }

    @Test func whatIsAwayIsNamedThoughNobodyWaitsForItYet() async throws {
        let destination = Destination.answers(rule: "r", host: "api.example", port: 443)
        let bench = DispatchBench { _, _ in .completed }
        let task = await bench.start()
        let (ticket, end) = await bench.goAway(destination)
        let readiness = bench.worker.readiness()
        #expect(readiness.isReady && readiness.reason.hasPrefix("ready; degraded: \(destination) is away since 2"))
        #expect(readiness.reason.hasSuffix("Z, reset; 0 logins wait"), "\(readiness.reason)")
        #expect(bench.worker.degradations().map(\.cause) == [.destinationAway])
        end(ticket)
        #expect(bench.worker.readiness() == .ready)
        bench.worker.stop()
        _ = try await task.value
    }

    /// 10,037 logins were admitted, intake was closed, and it said "ready".
    @Test func aTokenEndpointThatIsAwayIsNamedAndThatIntakeStands() async throws {
        let grant = Destination.grant("https://api.example")
        let bench = DispatchBench(.set(\.delivery.admitted.logins, 10)) { _, _ in .away(grant) }
        let task = await bench.start()
        let entry = await bench.board.enter(.grant("https://api.example"), nil, deadline: .now + .seconds(20))
        guard case .send(let ticket) = entry else {
            Issue.record("not sent")
            return
        }
        let answer = HTTPResponse(status: 500)
        _ = bench.board.ended(ticket, .tokenRefused, .success(answer), error: "500", nil)
        #expect(!bench.send((0..<12).map { (Int64($0), "user-\($0)") }))
        while bench.worker.status().waiting.isEmpty, !Task.isCancelled { await Task.yield() }
        while !bench.worker.readiness().reason.contains("intake stands"), !Task.isCancelled { await Task.yield() }
        let readiness = bench.worker.readiness()
        #expect(
            readiness.isReady
                && readiness.reason.hasPrefix("ready; degraded: token https://api.example is away since 2")
        )
        #expect(readiness.reason.hasSuffix("; intake stands: 12 logins are admitted"), "\(readiness.reason)")
        #expect(bench.worker.degradations().map(\.cause) == [.tokenAway])
        bench.worker.stop()
        _ = try await task.value
    }

    @Test func aPartitionThatStandsIsNamedWhileTheOthersGoOn() async throws {
        let bench = DispatchBench { _, _ in .completed }
        let task = await bench.start()
        let reason = KafkaError(
            code: "_AUTO_OFFSET_RESET",
            number: -140,
            message: "logins/1 stands: earliest 5, latest 9"
        )
        bench.source.receiver?.partitionsAssigned([AssignedPartition(topicPartition: Self.other, committedOffset: 3)])
        bench.source.receiver?.partitionsLost([Self.other])
        bench.source.receiver?.partitionStands(Self.other, reason)
        bench.send([(0, "a")])
        await bench.waitForCommit(1)
        let readiness = bench.worker.readiness()
        #expect(readiness.isReady && readiness.reason.hasPrefix("ready; degraded: logins/1 is not read since 2"))
        #expect(readiness.reason.hasSuffix(reason.message) && bench.lines.contains(reason.message))
        #expect(bench.worker.degradations().map(\.cause) == [.partitionStands])
        #expect(bench.metrics.sum(.positionsLost) == 1)
        bench.source.receiver?.partitionsLost([DispatchBench.partition])
        #expect(bench.worker.readiness() == .notReady(reason.message))
        bench.source.receiver?.partitionStands(Self.other, nil)
        bench.source.receiver?.partitionsAssigned([AssignedPartition(topicPartition: Self.other, committedOffset: 5)])
        #expect(bench.worker.readiness() == .ready)
        bench.worker.stop()
        _ = try await task.value
    }

    /// What a member that lost its partitions had already sent may stand behind a newer result.
    @Test func aResultThatIsAcknowledgedAfterItsPartitionWasLostIsCounted() async throws {
        let bench = DispatchBench { _, _ in .completed }
        let task = await bench.start()
        bench.publisher.hold()
        bench.send([(0, "a"), (1, "b")])
        await bench.waitForResults(2)
        bench.publisher.sent()
        #expect(bench.metrics.sum(.lateResults) == 0)
        bench.source.receiver?.partitionsLost([DispatchBench.partition])
        bench.publisher.release()
        #expect(bench.metrics.sum(.lateResults) == 2)
        bench.worker.stop()
        _ = try await task.value
    }
}
