import AfterloginSandbox
import Glibc

/// What is measured in time, not in logins.
extension Bench {
    /// From the time for which a login was meant to its result, after a warm-up of connections and of Node's compiler.
    func measureSteady() async throws {
        let rate = 500
        let warmUp = rate * 10
        let count = rate * self.size.steadySeconds
        let (topics, worker) = try await self.startReady(delay: 10)
        let feed = try LoginFeed(
            brokers: self.place.brokers,
            topic: topics.logins[0],
            generator: self.generator(.even)
        )
        try await feed.run(rate: Double(rate), count: warmUp)
        let begin = Self.wallMilliseconds
        try await feed.run(rate: Double(rate), count: count)
        _ = try await worker.waitForLogins(warmUp + count)
        await feed.close()
        try await worker.stop()
        let latency = try await self.audit(topics, expecting: warmUp + count, latencySince: begin).latency
        let row = "steady \(rate) logins/s, API 10 ms, fetch"
        self.report(.init(row: "\(row): p50", value: latency.p50, unit: "ms", aim: .under(20)))
        let note = "after 10 s of warm-up; p90 \(Int(latency.p90)) ms, longest \(Int(latency.longest)) ms"
        self.report(.init(row: "\(row): p99", value: latency.p99, unit: "ms", aim: .under(150), note: note))
    }

    /// After 1,000 users have been seen.
    func measureIdle() async throws {
        let seconds = 10
        let topics = try await self.place.makeTopics()
        let sandbox = try await self.place.sandbox(isPlain: false)
        try await self.place.setDelay(0, sandbox)
        try await self.write(2_000, .even, users: 1_000, to: topics)
        let worker = try await self.startWorker(.fetch, topics, sandbox)
        _ = try await worker.waitForLogins(2_000)
        try await Task.sleep(for: .seconds(5))
        let before = try await worker.sample()
        try await Task.sleep(for: .seconds(seconds))
        let after = try await worker.sample()
        try await worker.stop()
        self.report(
            .init(
                row: "idle, 1,000 users seen before: worker and hosts",
                value: (after.processorSeconds - before.processorSeconds) / Double(seconds) * 1_000,
                unit: "ms/s",
                aim: .under(10)
            )
        )
    }

    /// From the start of the process to the result of a login that waits.
    func measureStart() async throws {
        let sandbox = try await self.place.sandbox(isPlain: false)
        try await self.place.setDelay(0, sandbox)
        var times: [Double] = []
        for _ in 0..<self.size.repetitions {
            let topics = try await self.place.makeTopics()
            try await self.write(1, .even, to: topics)
            let begin = Self.wallMilliseconds
            let worker = try await self.startWorker(.fetch, topics, sandbox)
            _ = try await worker.waitForLogins(1, every: .milliseconds(50))
            try await worker.stop()
            let report = try await self.audit(topics, expecting: 1)
            times.append(Double((report.firstResult ?? begin) - begin))
        }
        times.sort()
        self.report(
            .init(
                row: "start to the result of a waiting login, JavaScript chain",
                value: times[times.count / 2],
                unit: "ms",
                aim: .under(1_500),
                note: "median of \(times.count), longest \(Int(times[times.count - 1])) ms"
            )
        )
    }

    /// The only host is killed while logins come.
    func measureHostDeath() async throws {
        var times: [Double] = []
        for _ in 0..<self.size.repetitions { times.append(try await self.killHost()) }
        times.sort()
        self.report(
            .init(
                row: "death of the only rule host to the next result",
                value: times[times.count / 2],
                unit: "ms",
                aim: .under(500),
                note: "median of \(times.count), longest \(Int(times[times.count - 1])) ms"
            )
        )
    }

    private func killHost() async throws -> Double {
        let count = 1_200
        let (topics, worker) = try await self.startReady(delay: 10, settings: ["rules.host.count=1"])
        let feed = try LoginFeed(
            brokers: self.place.brokers,
            topic: topics.logins[0],
            generator: self.generator(.even)
        )
        let feeding = Task { try await feed.run(rate: 200, count: count) }
        _ = try await worker.waitForLogins(count / 3)
        guard let host = BenchWorker.hosts(try await worker.status()).first else {
            throw CommandFailure(
                message:
                    "the worker has no rule host to kill, though it was ready: run it again, with --only host-death"
            )
        }
        let death = Self.wallMilliseconds
        kill(host, SIGKILL)
        try await feeding.value
        _ = try await worker.waitForLogins(count)
        await feed.close()
        try await worker.stop()
        let audit = try ResultAudit(brokers: self.place.brokers, topics: topics)
        _ = try await audit.readToEnd()
        let (report, all) = (audit.report(), audit.resultTimes.sorted())
        await audit.close()
        guard report.lost == 0, report.orderViolations == 0 else {
            throw CommandFailure(
                message:
                    "a fault of afterlogin: after the death of a host \(report.lost) logins are lost and \(report.orderViolations) out of order; "
                    + "please report it with this output"
            )
        }
        // Results that were on their way still come; then nothing, until the successor's first.
        let times = [death] + all.filter { $0 >= death && $0 < death + 5_000 }
        let pairs = zip(times, times.dropFirst())
        let gap = pairs.max { $0.1 - $0.0 < $1.1 - $1.0 }
        return Double((gap?.1 ?? death + 5_000) - death)
    }

    /// A worker with the `fetch` rule that has its partitions.
    private func startReady(
        delay: Int,
        settings: [String] = []
    ) async throws -> (topics: ResultAudit.Topics, worker: BenchWorker) {
        let topics = try await self.place.makeTopics()
        let sandbox = try await self.place.sandbox(isPlain: false)
        try await self.place.setDelay(delay, sandbox)
        let worker = try await self.startWorker(.fetch, topics, sandbox, settings: settings)
        try await worker.waitUntilReady()
        return (topics, worker)
    }
}
