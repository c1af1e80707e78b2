import AfterloginJSON
import AfterloginSandbox
import FoundationEssentials
import Glibc

/// Measures the rows of the table of figures, one after the other.
final class Bench {
    enum Group: String, CaseIterable {
        case backlog
        case chain
        case delay
        case steady
        case idle
        case start
        case hostDeath = "host-death"
    }

    /// How much is measured.
    struct Size {
        var logins = 20_000
        var users = 5_000
        var concurrency = 256
        /// Of the rows that two builds are compared by.
        var chainConcurrency = 100
        /// Of a chain, before the rule that calls.
        var guards = 1
        /// Added to each event of a chain, in its context.
        var eventBytes = 0
        /// Of the topics of a chain.
        var partitions = 8
        /// Rule hosts of a chain; nil for as many as the worker starts by itself.
        var hosts: Int?
        /// Whose backlogs are measured.
        var rules = BenchRule.allCases
        var steadySeconds = 20
        /// Of starts and deaths.
        var repetitions = 3
    }

    /// One backlog, worked off.
    struct Backlog {
        var rule: BenchRule
        var delay = 0
        var isPlain = false
        var distribution = LoginGenerator.Distribution.even

        var name: String {
            let kind = self.rule == .native ? "native Swift rule" : "JavaScript rule with \(self.rule.rawValue)"
            return "\(kind), API \(self.delay) ms\(self.isPlain ? ", plain HTTP" : "")"
                + (self.distribution == .even ? "" : ", Zipf-Mandelbrot")
        }
    }

    struct BacklogResult {
        var rate: Double
        var workerMicroseconds: Double
        var hostMicroseconds: Double
        var workerPeak: Int
        var hostPeak: Int
        /// Of the worker and its hosts, from half of the backlog to its end.
        var growth: Int
        var ruleMedian: Double
        var hottest: Int
    }

    let place: BenchPlace
    let size: Size
    let modules: String?
    let report: (BenchFigure) -> Void

    init(_ place: BenchPlace, size: Size, modules: String?, report: @escaping (BenchFigure) -> Void) {
        self.place = place
        self.size = size
        self.modules = modules
        self.report = report
    }

    func run(_ groups: [Group]) async throws {
        var rates: [BenchRule: Double] = [:]
        if groups.contains(.backlog) || groups.contains(.delay) { rates = try await self.measureBacklogs() }
        if groups.contains(.chain) { try await self.measureChains() }
        if groups.contains(.delay) { try await self.measureDelays(rates) }
        if groups.contains(.steady) { try await self.measureSteady() }
        if groups.contains(.idle) { try await self.measureIdle() }
        if groups.contains(.start) { try await self.measureStart() }
        if groups.contains(.hostDeath) { try await self.measureHostDeath() }
    }

    // MARK: Backlogs

    private static let rateAims: [BenchRule: Double] = [.native: 8_000, .fetch: 5_500, .axios: 4_000]
    private static let hostAims: [BenchRule: Double] = [.fetch: 40, .axios: 130]

    private func measureBacklogs() async throws -> [BenchRule: Double] {
        var rates: [BenchRule: Double] = [:]
        for rule in self.size.rules {
            let backlog = Backlog(rule: rule)
            let result = try await self.work(off: backlog)
            rates[rule] = result.rate
            self.report(self.rate(backlog, result, aim: Self.rateAims[rule]))
            self.report(
                .init(
                    row: "processor time of the worker, \(backlog.name)",
                    value: result.workerMicroseconds,
                    unit: "µs/login",
                    aim: .under(100)
                )
            )
            if let aim = Self.hostAims[rule] {
                self.report(
                    .init(
                        row: "processor time of the hosts, \(rule.rawValue)",
                        value: result.hostMicroseconds,
                        unit: "µs/login",
                        aim: .under(aim)
                    )
                )
            }
            self.reportMemory(backlog, result)
        }
        guard self.size.rules.contains(.native) else { return rates }
        let plain = Backlog(rule: .native, isPlain: true)
        let result = try await self.work(off: plain)
        self.report(self.rate(plain, result, aim: nil))
        self.report(
            .init(
                row: "processor time of the worker, \(plain.name)",
                value: result.workerMicroseconds,
                unit: "µs/login",
                aim: .under(80)
            )
        )
        return rates
    }

    private func rate(_ backlog: Backlog, _ result: BacklogResult, aim: Double?) -> BenchFigure {
        BenchFigure(
            row: "backlog of \(self.size.logins), \(backlog.name)",
            value: result.rate,
            unit: "logins/s",
            aim: aim.map { .atLeast($0) } ?? .none
        )
    }

    private func reportMemory(_ backlog: Backlog, _ result: BacklogResult) {
        let megabyte = 1_048_576.0
        self.report(
            .init(
                row: "peak memory of the worker, \(backlog.name)",
                value: Double(result.workerPeak) / megabyte,
                unit: "MB",
                aim: .under(100),
                note: "worker and hosts grew by \(result.growth / 1_048_576) MB in the second half"
            )
        )
        guard result.hostPeak > 0 else { return }
        self.report(
            .init(
                row: "peak memory of the larger rule host, \(backlog.name)",
                value: Double(result.hostPeak) / megabyte,
                unit: "MB",
                aim: .under(150)
            )
        )
    }

    private func measureDelays(_ rates: [BenchRule: Double]) async throws {
        for rule in self.size.rules where rule != .native {
            let short = Backlog(rule: rule, delay: 10)
            self.report(self.rate(short, try await self.work(off: short), aim: rates[rule].map { $0 * 0.9 }))
            let long = Backlog(rule: rule, delay: 100)
            let ideal = Double(self.size.concurrency) / 0.1
            var figure = self.rate(long, try await self.work(off: long), aim: ideal * 0.95)
            figure.note = "concurrency / time is \(Int(ideal))"
            self.report(figure)
        }
        let hot = Backlog(rule: .fetch, delay: 10, distribution: .zipfMandelbrot)
        let result = try await self.work(off: hot)
        var figure = self.rate(hot, result, aim: nil)
        let bound = Double(self.size.logins) / (Double(result.hottest) * result.ruleMedian / 1_000)
        figure.note =
            "one after the other, the hottest user's \(result.hottest) logins at the median of \(Int(result.ruleMedian)) ms allow about \(Int(bound))"
        self.report(figure)
    }

    private func work(off backlog: Backlog) async throws -> BacklogResult {
        let topics = try await self.place.makeTopics()
        let sandbox = try await self.place.sandbox(isPlain: backlog.isPlain)
        try await self.place.setDelay(backlog.delay, sandbox)
        let hottest = try await self.write(self.size.logins, backlog.distribution, to: topics)
        let worker = try await self.startWorker(backlog.rule, topics, sandbox)
        let samples = try await worker.waitForLogins(self.size.logins)
        let median = try await worker.ruleMedian()
        try await worker.stop()
        let report = try await self.audit(topics, expecting: self.size.logins)
        guard let first = report.firstResult, let last = report.lastResult, let end = samples.last else {
            throw CommandFailure(
                message: "\(backlog.name): no result came; with --logins 1000 the machine or the broker has less to do"
            )
        }
        // The second half: the first is Node's compiler, new connections and growing buffers as well.
        let half = samples.first { $0.finished >= self.size.logins / 2 } ?? end
        let counted = Double(max(1, end.finished - half.finished))
        let workerSeconds = (end.worker?.processorSeconds ?? 0) - (half.worker?.processorSeconds ?? 0)
        func resident(_ sample: BenchWorker.Sample) -> Int {
            (sample.worker?.residentBytes ?? 0) + sample.hosts.reduce(0) { $0 + $1.residentBytes }
        }
        return BacklogResult(
            rate: Double(self.size.logins - 1) / (Double(max(1, last - first)) / 1_000),
            workerMicroseconds: workerSeconds / counted * 1e6,
            hostMicroseconds: (end.hostSeconds - half.hostSeconds) / counted * 1e6,
            workerPeak: end.worker?.peakBytes ?? 0,
            hostPeak: end.hosts.map(\.peakBytes).max() ?? 0,
            growth: resident(end) - resident(half),
            ruleMedian: median,
            hottest: hottest
        )
    }

    // MARK: Parts

    /// Writes a backlog, and gives how many logins its hottest user has.
    @discardableResult
    func write(
        _ count: Int,
        _ distribution: LoginGenerator.Distribution,
        users: Int? = nil,
        to topics: ResultAudit.Topics,
        extraBytes: Int = 0
    ) async throws -> Int {
        var generator = self.generator(distribution, users: users)
        generator.groups = extraBytes / 50
        let feed = try LoginFeed(brokers: self.place.brokers, topic: topics.logins[0], generator: generator)
        try await feed.backlog(count)
        await feed.close()
        guard distribution == .zipfMandelbrot else { return 0 }
        var same = generator
        var counts: [String: Int] = [:]
        for _ in 0..<count { counts[same.next().userID, default: 0] += 1 }
        return counts.values.max() ?? 0
    }

    func generator(_ distribution: LoginGenerator.Distribution, users: Int? = nil) -> LoginGenerator {
        LoginGenerator(
            seed: 1,
            users: users ?? self.size.users,
            distribution: distribution,
            unverifiedShare: 0
        )
    }

    func startWorker(
        _ rule: BenchRule,
        _ topics: ResultAudit.Topics,
        _ sandbox: BenchPlace.SandboxProcess,
        settings: [String] = []
    ) async throws -> BenchWorker {
        try await BenchWorker(
            self.place,
            .rule(rule),
            topics,
            sandbox: sandbox,
            modules: self.modules,
            settings: ["concurrency=\(self.size.concurrency)"] + settings
        )
    }

    /// Reads all results; a figure of a run that lost something would be worth nothing.
    func audit(
        _ topics: ResultAudit.Topics,
        expecting count: Int,
        latencySince start: Int64 = .min
    ) async throws -> AuditReport {
        let audit = try ResultAudit(brokers: self.place.brokers, topics: topics)
        let isAtEnd = try await audit.readToEnd()
        let report = audit.report(latencySince: start)
        await audit.close()
        let isComplete = report.isClean && report.failureCount == 0 && report.updates == count
        guard isAtEnd, isComplete else {
            throw CommandFailure(
                message:
                    "the results are not right (lost, failed, out of order, or not all there), so that the figures would mean nothing: \(String(decoding: report.json.serialized(), as: UTF8.self))"
            )
        }
        return report
    }

    static var wallMilliseconds: Int64 { Int64(Date.now.timeIntervalSince1970 * 1_000) }
}
