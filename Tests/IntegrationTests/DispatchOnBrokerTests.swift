import AfterloginSandbox
import Foundation
import Testing

/// What comes twice after a crash or a stop in a backlog, with workers as processes on a real broker.
///
/// A few repetitions; all of them with `AFTERLOGIN_REPETITIONS=all`, which takes some minutes.
@Suite(
    .serialized,
    .enabled(if: KafkaBroker.isAvailable, "needs KAFKA_HOME"),
    .timeLimit(.minutes(15))
)
struct DispatchOnBrokerTests {
    private static let isComplete = ProcessInfo.processInfo.environment["AFTERLOGIN_REPETITIONS"] == "all"
    private static let count = 20_000

    /// Takes its time, by user; one login of one user takes 10 s, and those of another never end.
    private static let rule = """
        function work(user, context, callback) {
            if (user.user_id === configuration.HELD) return;
            const isSlow = user.user_id === 'auth0|000500' && context.stats.loginsCount === 2;
            const usual = Number(configuration.DELAY) + Number(user.user_id.slice(-2)) / 4;
            setTimeout(() => callback(null, user, context), isSlow ? Number(configuration.SLOW) : usual);
        }
        """

    private struct Settings {
        var concurrency = 100
        var uncommitted = 1_000
        var delay = 5
        var slow = 10_000
        var held = "nobody"
        var drain = 5
    }

    private func worker(_ staging: Staging, _ settings: Settings) throws -> ChildProcess {
        try staging.worker(
            "concurrency=\(settings.concurrency)",
            "max_uncommitted=\(settings.uncommitted)",
            "drain=\(settings.drain)s",
            "rules.timeout=300s",
            "configuration.DELAY=\(settings.delay)",
            "configuration.SLOW=\(settings.slow)",
            "configuration.HELD=\(settings.held)"
        )
    }

    private static let crashes: [(LoginGenerator.Distribution, Int)] =
        [(.even, 1_000), (.zipfMandelbrot, 100)]
        + (Self.isComplete ? [(.zipfMandelbrot, 1_000), (.even, 100)] : [])

    @Test(arguments: Self.crashes)
    func aKilledWorkerRepeatsNoMoreThanMaxUncommitted(
        distribution: LoginGenerator.Distribution,
        limit: Int
    ) async throws {
        let staging = try await Staging(KafkaBroker(), rule: Self.rule)
        defer { staging.close() }
        try await staging.produce(Self.count, distribution: distribution)
        let audit = try staging.audit()
        let kills = Self.isComplete ? 10 : 2
        var settings = Settings()
        settings.uncommitted = limit
        var worker = try self.worker(staging, settings)
        var repeated: [Int] = []
        var before = 0
        for kill in 1...kills {
            try worker.waitUntil("the backlog is being worked off") {
                audit.resultCount >= kill * Self.count / (kills + 1)
            }
            #expect(audit.resultCount < Self.count, "it was killed in the backlog")
            let duplicates = audit.report().duplicates
            if kill > 1 { repeated.append(duplicates - before) }
            before = duplicates
            worker.kill()
            worker = try self.worker(staging, settings)
        }
        try worker.waitUntil("all results") { audit.resultCount == Self.count }
        worker.send(SIGTERM)
        #expect(worker.wait() == 0)
        let report = try await staging.report(audit)
        repeated.append(report.duplicates - before)
        print("results that came twice after each kill -9 (\(distribution), max_uncommitted \(limit)): \(repeated)")
        #expect(repeated.allSatisfy { $0 <= limit }, "\(repeated)")
        #expect(report.lost == 0 && report.orderViolations == 0, "\(report.examples)")
        #expect(report.contradictions == 0 && report.strangers == 0, "\(report.examples)")
        #expect(report.updates == Self.count, "\(report.failures)")
    }

    @Test
    func workersToldToStopInABacklogRepeatNothing() async throws {
        let staging = try await Staging(KafkaBroker(), rule: Self.rule)
        defer { staging.close() }
        let count = Self.isComplete ? Self.count : 6_000
        try await staging.produce(count)
        let audit = try staging.audit()
        var settings = Settings()
        (settings.concurrency, settings.delay, settings.slow) = (32, 300, 300)
        var workers = try (0..<3).map { _ in try self.worker(staging, settings) }
        var stopped: [ChildProcess] = []
        let rounds = Self.isComplete ? 9 : 3
        for round in 0..<rounds {
            let before = audit.resultCount
            try workers[round % 3].waitUntil("some results") { audit.resultCount > before + 400 }
            #expect(audit.resultCount < count, "it was told in the backlog")
            let worker = workers[round % 3]
            worker.send(SIGTERM)
            #expect(worker.wait() == 0, "\(worker.standardErrorText.suffix(2_000))")
            stopped.append(worker)
            workers[round % 3] = try self.worker(staging, settings)
        }
        try workers[0].waitUntil("all results") { audit.resultCount == count }
        let report = try await staging.report(audit)
        #expect(report.isClean, "\(report.examples)")
        #expect(report.duplicates == 0)
        for worker in stopped + workers {
            #expect(!worker.standardErrorText.contains("the drain missed its deadline"))
        }
    }

    /// Its commit stands, and everybody else goes on; the next worker runs only what is not done.
    @Test
    func aLoginThatHoldsTheCommitStopsNobody() async throws {
        let staging = try await Staging(KafkaBroker(), rule: Self.rule)
        defer { staging.close() }
        try await staging.produce(Self.count, distribution: .even)
        let audit = try staging.audit()
        var settings = Settings()
        (settings.held, settings.drain) = ("auth0|000001", 1)
        let first = try self.worker(staging, settings)
        // All but the few of that user.
        try first.waitUntil("all results of others") { audit.resultCount >= Self.count - 20 }
        first.send(SIGTERM)
        #expect(first.wait() == 0, "\(first.standardErrorText.suffix(2_000))")
        #expect(audit.resultCount < Self.count)
        settings.held = "nobody"
        let second = try self.worker(staging, settings)
        try second.waitUntil("all results") { audit.resultCount == Self.count }
        let report = try await staging.report(audit)
        #expect(report.isClean, "\(report.examples)")
        #expect(report.duplicates == 0, "what was done beyond the commit was in its map")
    }
}
