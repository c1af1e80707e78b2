import AfterloginKafka
import AfterloginSandbox
import Foundation
import Testing

/// The promises, on a real broker, with the worker and the sandbox as processes of their own.
@Suite(
    .serialized,
    .enabled(if: KafkaBroker.isAvailable, "needs KAFKA_HOME"),
    .timeLimit(.minutes(5))
)
struct WorkerOnBrokerTests {
    /// Looks again and again until a fact of the audit holds.
    private func wait(_ process: ChildProcess, _ fact: String, _ holds: () -> Bool) throws {
        try process.waitUntil(fact, holds)
    }

    @Test(arguments: [0, 10, 100])
    func twentyThousandLoginsLoseNothingKeepTheirOrderAndFetchOneToken(delay: Int) async throws {
        let staging = try await Staging(KafkaBroker(), delayMilliseconds: delay)
        defer { staging.close() }
        try await staging.produce(20_000)
        let worker = try staging.worker()
        let audit = try staging.audit()
        try self.wait(worker, "all results") { audit.resultCount == 20_000 }
        let report = try await staging.report(audit)
        #expect(report.isClean, "\(report.examples)")
        #expect(report.logins == 20_000)
        #expect(report.updates == 20_000, "\(report.failures)")
        #expect(report.duplicates == 0)
        #expect(try staging.tokens() == ["https://profiles.example/api": 1])
        worker.send(SIGTERM)
        #expect(worker.wait() == 0)
    }

    @Test
    func aWorkerKilledInTheMiddleLosesNothingAndKeepsTheOrder() async throws {
        let staging = try await Staging(KafkaBroker(), delayMilliseconds: 20)
        defer { staging.close() }
        try await staging.produce(20_000)
        let first = try staging.worker("concurrency=64")
        let audit = try staging.audit()
        try self.wait(first, "the first worker is at work") { audit.resultCount > 500 }
        let second = try staging.worker("concurrency=64")
        try self.wait(second, "half of the results") { audit.resultCount > 6_000 }
        first.kill()
        let third = try staging.worker("concurrency=64")
        try self.wait(third, "all results") { audit.resultCount == 20_000 }
        let report = try await staging.report(audit)
        #expect(report.lost == 0)
        #expect(report.orderViolations == 0, "\(report.examples)")
        #expect(report.contradictions == 0 && report.strangers == 0, "\(report.examples)")
        #expect(report.updates == 20_000, "\(report.failures)")
        // `max_uncommitted`; they carry the same id (else: a contradiction).
        #expect(report.duplicates <= 1_000)
    }

    @Test
    func aWorkerThatIsToldToStopLeavesNoDuplicateBehind() async throws {
        let staging = try await Staging(KafkaBroker(), delayMilliseconds: 20)
        defer { staging.close() }
        try await staging.produce(10_000)
        let first = try staging.worker()
        let audit = try staging.audit()
        try self.wait(first, "some results") { audit.resultCount > 2_000 }
        let asked = ContinuousClock.now
        first.send(SIGTERM)
        #expect(first.wait() == 0, "\(first.standardErrorText.suffix(2_000))")
        // Leaving the group and ending the rule hosts come after the drain.
        #expect(ContinuousClock.now - asked < .seconds(20))
        #expect(!first.standardErrorText.contains("the drain missed its deadline"))
        #expect(audit.resultCount < 10_000)
        let second = try staging.worker()
        try self.wait(second, "all results") { audit.resultCount == 10_000 }
        let report = try await staging.report(audit)
        #expect(report.isClean, "\(report.examples)")
        #expect(report.duplicates == 0)
        #expect(report.updates == 10_000, "\(report.failures)")
    }

    @Test
    func theWorkerRecoversWhenTheBrokerWasAway() async throws {
        let broker = try KafkaBroker()
        let staging = try await Staging(broker, delayMilliseconds: 20)
        defer { staging.close() }
        try await staging.produce(10_000)
        let worker = try staging.worker()
        let before = try staging.audit()
        try self.wait(worker, "some results") { before.resultCount > 1_000 }
        await before.close()
        broker.stop()
        // The outage itself is the fact under test, and it lasts as long as the issue says.
        try await Task.sleep(for: .seconds(10))
        try broker.start()
        let audit = try staging.audit()
        try self.wait(worker, "all results") { audit.resultCount == 10_000 }
        let report = try await staging.report(audit)
        #expect(report.lost == 0)
        #expect(report.orderViolations == 0, "\(report.examples)")
        #expect(report.contradictions == 0 && report.strangers == 0, "\(report.examples)")
        #expect(report.updates == 10_000, "\(report.failures)")
        worker.send(SIGTERM)
        #expect(worker.wait() == 0)
    }

    /// What fits in neither topic holds its own place, and nobody else.
    @Test
    func resultsThatNoTopicTakesHoldOnlyTheirOwn() async throws {
        let staging = try await Staging(
            KafkaBroker(),
            rule: "function (user, context, callback) { callback(null, user, context); }",
            results: ["max.message.bytes": "12000"]
        )
        defer { staging.close() }
        let producer = try KafkaProducer(
            configuration: KafkaProducerConfiguration(brokers: staging.broker.bootstrapServers)
        )
        for number in 0..<3_060 {
            let size = number % 51 == 0 ? 20_000 : 10
            let junk = (0..<size).map { _ in String(UInt8.random(in: 10...99)) }.joined()
            let value = #"{"id":"e\#(number)","user":{"user_id":"auth0|\#(number % 800)","junk":"\#(junk)"}}"#
            producer.produce(
                KafkaMessage(
                    topic: staging.topics.logins[0],
                    key: Array("auth0|\(number % 800)".utf8),
                    value: Array(value.utf8)
                )
            ) { _ in }
        }
        #expect(await producer.flush(deadline: .seconds(60)) == 0)
        await producer.close()
        let admin = try FreePort.take()
        let worker = try staging.worker("admin.listen=127.0.0.1:\(admin)")
        let audit = try staging.audit()
        try self.wait(worker, "a start") { audit.resultCount > 0 }
        let began = ContinuousClock.now
        try self.wait(worker, "all that fit") { audit.resultCount == 3_000 }
        // They were tried again after 10 s, and held the others until then.
        #expect(ContinuousClock.now - began < .seconds(9))
        let lines = worker.standardErrorText.split(separator: "\n")
        #expect((1...2).contains(lines.count { $0.contains("does not take a record of") }), "\(lines.suffix(5))")
        func get(_ path: String) throws -> String {
            try ChildProcess("curl", ["--silent", "http://127.0.0.1:\(admin)\(path)"]).waitForOutput()
        }
        let readiness = try get("/readyz")
        #expect(readiness.hasPrefix("ready; degraded: 60 failures are not written since 2"), "\(readiness)")
        let metrics = try get("/metrics")
        #expect(metrics.contains("afterlogin_degraded{cause=\"failures_refused\"} 1\n"))
        #expect(metrics.contains("afterlogin_degraded{cause=\"logins_fail\"} 0\n"))
        #expect(metrics.contains("\nafterlogin_build_info{version=\""))
        let asked = ContinuousClock.now
        worker.send(SIGTERM)
        #expect(worker.wait() == 0)
        #expect(ContinuousClock.now - asked < .seconds(4))
        #expect(!worker.standardErrorText.contains("the drain missed its deadline"))
        await audit.close()
    }

    /// The drain takes 5 s; a container's end often comes 10 to 15 s after the signal.
    @Test
    func aWorkerThatIsToldToStopEndsInTimeAlthoughTheBrokerHangs() async throws {
        let broker = try KafkaBroker()
        let staging = try await Staging(broker, delayMilliseconds: 20)
        defer { staging.close() }
        try await staging.produce(5_000)
        let worker = try staging.worker()
        let audit = try staging.audit()
        try self.wait(worker, "some results") { audit.resultCount > 500 }
        broker.send(SIGSTOP)
        defer { broker.send(SIGCONT) }
        let asked = ContinuousClock.now
        worker.send(SIGTERM)
        #expect(worker.wait() == 0, "\(worker.standardErrorText.suffix(2_000))")
        #expect(ContinuousClock.now - asked < .seconds(12))
        #expect(worker.standardErrorText.contains("the drain missed its deadline"))
        broker.send(SIGCONT)
        await audit.close()
    }

    @Test
    func anOutageOfTheTokenEndpointFailsNoLogin() async throws {
        let staging = try await Staging(KafkaBroker(), delayMilliseconds: 5)
        defer { staging.close() }
        try staging.fault("token", #"{"error": 1}"#)
        try await staging.produce(2_000)
        let worker = try staging.worker()
        let audit = try staging.audit()
        try self.wait(worker, "the outage has been noticed") {
            worker.standardErrorText.contains("logins that need it wait")
        }
        try await Task.sleep(for: .seconds(10))
        #expect(audit.resultCount == 0)
        try staging.fault("token", nil)
        try self.wait(worker, "all results") { audit.resultCount == 2_000 }
        let report = try await staging.report(audit)
        #expect(report.isClean, "\(report.examples)")
        #expect(report.updates == 2_000, "\(report.failures)")
        #expect(try staging.tokens() == ["https://profiles.example/api": 1])
        #expect(!worker.standardErrorText.contains("sandbox-secret"))
    }
}
