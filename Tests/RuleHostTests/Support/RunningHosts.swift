import AfterloginJSON
import AfterloginRuleHost

/// Real rule hosts with one rule in them.
final class RunningHosts: Sendable {
    static let turn = 300
    static let memoryBytes = 250 << 20

    let pool: RuleHostPool
    let witness = DeathWitness()

    private init(rule: String, configuration: RuleHostConfiguration) {
        self.pool = RuleHostPool(configuration: configuration, load: Self.load(rule), delegate: self.witness)
    }

    /// Starts hosts, and ends them after `body`.
    static func with<Value: Sendable>(
        _ rule: String,
        count: Int = 1,
        confinement: RuleHostConfiguration.Confinement = .auto,
        node: String = "node",
        maxUnreadBytes: Int? = nil,
        evaluations: Int? = nil,
        _ body: (RunningHosts) async throws -> Value
    ) async throws -> Value {
        var configuration = RuleHostConfiguration()
        configuration.count = count
        configuration.turn = .milliseconds(Self.turn)
        configuration.memoryBytes = Self.memoryBytes
        configuration.confinement = confinement
        configuration.confineExecutable = BuiltProducts.confine
        configuration.javaScriptDirectory = BuiltProducts.javaScript
        configuration.node = node
        if let maxUnreadBytes { configuration.maxUnreadBytes = maxUnreadBytes }
        if let evaluations { configuration.evaluations = evaluations }
        let hosts = RunningHosts(rule: rule, configuration: configuration)
        _ = try await hosts.pool.start()
        do {
            let value = try await body(hosts)
            await hosts.pool.shutdown()
            return value
        } catch {
            await hosts.pool.shutdown()
            throw error
        }
    }

    /// Starts one host with that program in the place of `afterlogin-confine`, and ends it after `body`.
    static func starting(
        _ rule: String,
        confine: String,
        _ body: (RunningHosts) -> Void
    ) async throws(RuleHostRefusal) {
        var configuration = RuleHostConfiguration()
        configuration.count = 1
        configuration.confineExecutable = confine
        configuration.javaScriptDirectory = BuiltProducts.javaScript
        let hosts = RunningHosts(rule: rule, configuration: configuration)
        _ = try await hosts.pool.start()
        body(hosts)
        await hosts.pool.shutdown()
    }

    /// Returns when the thread of the pool has done what it was asked before.
    func settled() async {
        await withCheckedContinuation { continuation in self.pool.ping { continuation.resume() } }
    }

    func evaluate(
        _ user: String = "{}",
        client: any EvaluationClient = HoldingClient(),
        token: EvaluationToken = EvaluationToken(),
        deadline: Duration = .seconds(50),
        waitingFor destination: String? = nil,
        avoidingTaint: Bool = false
    ) async -> EvaluationOutcome {
        let evaluation = Evaluation(
            rules: 0..<1,
            timeout: .seconds(40),
            // What is no JSON is the test's fault, and no user has such a name.
            user: (try? JSONText(validating: Array(user.utf8))) ?? .null,
            context: .emptyObject,
            deadline: deadline
        )
        return await self.pool.evaluate(
            evaluation,
            token: token,
            client: client,
            waitingFor: destination,
            avoidingTaint: avoidingTaint
        )
    }

    private static func load(_ rule: String) -> LoadMessage {
        var load = LoadMessage()
        load.rules = [.init(name: "tested", file: "/rules/tested.js", source: rule)]
        load.tenantDomain = "tenant.example"
        load.maxBodyBytes = 1 << 20
        load.quiet = .seconds(5)
        return load
    }
}

/// What an evaluation came to, short enough to compare.
extension EvaluationOutcome {
    /// `completed`, `error: …` and so on from the host; else the name of the case.
    var summary: String {
        switch self {
        case .done(let reply, _), .ended(.some(let reply)):
            guard let message = reply.error?.message else { return reply.outcome.rawValue }
            return "\(reply.outcome.rawValue): \(message)"
        case .ended(nil): return "ended before it began"
        case .killed(let kill): return "\(kill.reason.rawValue): \(kill.message)"
        case .cancelled: return "cancelled"
        case .stopped: return "stopped"
        }
    }

    /// The user that came back, as JSON.
    var user: String? {
        switch self {
        case .done(let reply, _), .ended(.some(let reply)): reply.user?.description
        case .ended(nil), .killed, .cancelled, .stopped: nil
        }
    }
}
