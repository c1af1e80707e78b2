import JSON
import RuleHost
import Synchronization

/// Real rule hosts with one rule in them.
final class RunningHosts: Sendable {
    static let turn = 300
    static let memoryBytes = 250 << 20

    let pool: RuleHostPool
    let witness = DeathWitness()

    private init(
        rule: String,
        count: Int,
        confinement: RuleHostConfiguration.Confinement,
        node: String,
        maxUnreadBytes: Int?
    ) {
        var configuration = RuleHostConfiguration()
        configuration.count = count
        configuration.turn = .milliseconds(Self.turn)
        configuration.memoryBytes = Self.memoryBytes
        configuration.confinement = confinement
        configuration.confineExecutable = BuiltProducts.confine
        configuration.javaScriptDirectory = BuiltProducts.javaScript
        configuration.node = node
        if let maxUnreadBytes { configuration.maxUnreadBytes = maxUnreadBytes }
        self.pool = RuleHostPool(configuration: configuration, load: Self.load(rule), delegate: self.witness)
    }

    /// Starts hosts, and ends them after `body`.
    static func with<Value: Sendable>(
        _ rule: String,
        count: Int = 1,
        confinement: RuleHostConfiguration.Confinement = .auto,
        node: String = "node",
        maxUnreadBytes: Int? = nil,
        _ body: (RunningHosts) async throws -> Value
    ) async throws -> Value {
        let hosts = RunningHosts(
            rule: rule,
            count: count,
            confinement: confinement,
            node: node,
            maxUnreadBytes: maxUnreadBytes
        )
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

    func evaluate(
        _ user: String = "{}",
        client: any EvaluationClient = HoldingClient(),
        token: EvaluationToken = EvaluationToken(),
        deadline: Duration = .seconds(50)
    ) async -> EvaluationOutcome {
        let evaluation = Evaluation(
            head: Array(#"{"from":0,"to":1,"timeout":40000,"accessToken":null}"#.utf8),
            user: Array(user.utf8),
            context: Array("{}".utf8),
            deadline: deadline
        )
        return await self.pool.evaluate(evaluation, token: token, client: client)
    }

    private static func load(_ rule: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("name", "tested")
        writer.member("file", "/rules/tested.js")
        writer.member("source", rule)
        writer.endObject()
        let limits =
            #"{"turn":\#(self.turn),"memory":\#(self.memoryBytes),"consoleBytes":8192,"maxBodyBytes":1048576,"quiet":5000}"#
        let rules = String(decoding: writer.bytes, as: UTF8.self)
        let text =
            #"{"directory":null,"moduleDirectories":[],"configuration":{},"tenant":{"domain":"tenant.example"},"#
            + #""insecure":false,"limits":\#(limits),"rules":[\#(rules)]}"#
        return Array(text.utf8)
    }
}

/// What an evaluation came to, short enough to compare.
extension EvaluationOutcome {
    /// `completed`, `error: …` and so on from the host; else the name of the case.
    var summary: String {
        switch self {
        case .done(let head, _, _):
            guard let head = try? JSONText(validating: head), let outcome = head["outcome"]?.string else {
                return "nonsense"
            }
            guard let message = head["error"]?["message"]?.string else { return outcome }
            return "\(outcome): \(message)"
        case .killed(let kill): return "\(kill.reason.rawValue): \(kill.message)"
        case .cancelled: return "cancelled"
        case .stopped: return "stopped"
        }
    }

    /// The user that came back, as JSON.
    var user: String? {
        guard case .done(_, let user, _) = self else { return nil }
        return String(decoding: user, as: UTF8.self)
    }
}
