import AfterloginHTTPClient
import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginRuleHost
import AfterloginSandbox
import Glibc

/// A worker process under measurement.
final class BenchWorker {
    /// What it runs.
    enum Work {
        case rule(BenchRule)
        case chain(BenchChain)

        var rule: BenchRule {
            switch self {
            case .rule(let rule): rule
            case .chain(let chain): chain.rule
            }
        }

        /// Of `bench`, for a worker with native rules.
        var option: String {
            switch self {
            case .rule: "--worker"
            case .chain: "--chain"
            }
        }
    }

    /// What it and its rule hosts have used, and how many logins they have finished.
    struct Sample {
        var finished = 0
        var worker: ProcessUsage?
        var hosts: [ProcessUsage] = []

        var hostSeconds: Double { self.hosts.reduce(0) { $0 + $1.processorSeconds } }
        var processorSeconds: Double { (self.worker?.processorSeconds ?? 0) + self.hostSeconds }
    }

    let process: ChildProgram
    private let client: HTTPClient
    private let log: String
    private let admin: String

    /// Starts it; it is not ready yet.
    init(
        _ place: BenchPlace,
        _ work: Work,
        _ topics: ResultAudit.Topics,
        sandbox: BenchPlace.SandboxProcess,
        modules: String?,
        settings: [String]
    ) async throws {
        let port = try await BenchPlace.freePort()
        self.admin = "http://127.0.0.1:\(port)"
        let host = sandbox.url.drop { $0 != "/" }.dropFirst(2)
        var settings =
            [
                "kafka.brokers=\(place.brokers)", "kafka.group=\(topics.updates)", "kafka.input=\(topics.logins[0])",
                "results.updates=\(topics.updates)", "results.failures=\(topics.failures)", "egress.allow=\(host)",
                "configuration.API=\(sandbox.url)", "admin.listen=127.0.0.1:\(port)", "log.level=info",
            ] + settings
        let directory: String?
        switch work {
        case .rule(let rule): directory = try rule.write(to: place.folder, modules: modules)
        case .chain(let chain):
            directory = try chain.write(to: place.folder, modules: modules)
            settings += chain.settings(sandbox: sandbox.url)
        }
        if let caFile = sandbox.caFile { settings.append("egress.ca_file=\(caFile)") }
        if let directory { settings.append("rules.directory=\(directory)") }
        var words = ["/proc/self/exe"]
        words += work.rule == .native ? ["bench", work.option, sandbox.url] : ["run"]
        for setting in settings { words += ["--set", setting] }
        self.log = "\(place.folder)/\(topics.updates)-\(UInt32.random(in: .min ... .max)).log"
        self.client = place.client
        self.process = try ChildProgram(words, output: "\(self.log).output", errors: self.log)
    }

    private func checkAlive() throws {
        guard let code = self.process.exitCode else { return }
        throw CommandFailure(
            message:
                "the worker of the bench ended with \(code); its last lines: \(BenchPlace.text(self.log).suffix(2_000))"
        )
    }

    private func get(_ path: String) async throws -> HTTPResponse {
        var request = HTTPRequest("GET", self.admin + path)
        request.allowsSpecialAddresses = true
        return try await self.client.send(request)
    }

    func waitUntilReady() async throws {
        try await BenchPlace.wait("the worker is ready") {
            try self.checkAlive()
            return (try? await self.get("/readyz"))?.status == 200
        }
    }

    /// `/status`.
    func status() async throws -> JSONValue {
        try self.checkAlive()
        return try JSONValue(parsing: try await self.get("/status").body)
    }

    static func finished(_ status: JSONValue) -> Int {
        let logins = status["logins"]
        let failures = logins?["failures"]?.object?.members.reduce(0) { $0 + ($1.value.int ?? 0) } ?? 0
        return (logins?["updates"]?.int ?? 0) + (logins?["denials"]?.int ?? 0) + failures
    }

    static func hosts(_ status: JSONValue) -> [Int32] {
        (status["ruleHosts"]?.array ?? []).compactMap { $0["process"]?.int }.map { Int32(clamping: $0) }
            .filter { $0 > 0 }
    }

    func sample() async throws -> Sample {
        let status = try await self.status()
        return Sample(
            finished: Self.finished(status),
            worker: ProcessUsage(of: self.process.identifier),
            hosts: Self.hosts(status).compactMap { ProcessUsage(of: $0) }
        )
    }

    /// Samples until so many logins are finished.
    func waitForLogins(_ count: Int, every period: Duration = .milliseconds(50)) async throws -> [Sample] {
        var samples: [Sample] = []
        try await BenchPlace.wait("the worker listens") {
            try self.checkAlive()
            return (try? await self.get("/livez"))?.status == 200
        }
        try await BenchPlace.wait("\(count) logins are finished", every: period) {
            let sample = try await self.sample()
            samples.append(sample)
            return sample.finished >= count
        }
        return samples
    }

    /// The rule's median, in milliseconds.
    func ruleMedian() async throws -> Double {
        try await self.status()["rules"]?[0]?["milliseconds"]?["p50"]?.double ?? 0
    }

    /// SIGTERM, and its end.
    func stop() async throws {
        self.process.send(SIGTERM)
        try await BenchPlace.wait("the worker stops", patience: .seconds(30)) { self.process.exitCode != nil }
        guard self.process.exitCode == 0 else { return try self.checkAlive() }
    }
}
