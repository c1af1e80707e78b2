import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginKafka
import AfterloginObservability
import AfterloginSystem
import AfterloginTestSupport
import AfterloginWaiting
import Testing

@testable import AfterloginDelivery
@testable import AfterloginEgress
@testable import AfterloginRules

/// A chain that does what the test says for a login, by its id.
final class ScriptedChain: ChainEvaluator {
    typealias Script = @Sendable (_ id: String, _ attempt: Int) async -> ChainVerdict
    private let script: Script
    /// Whether its rules write metadata.
    private let writes: Bool
    private let state = Mutex<(running: Int, most: Int, order: [String])>((0, 0, []))
    let changed = Signal()

    init(writes: Bool = false, _ script: @escaping Script) {
        self.writes = writes
        self.script = script
    }

    var mostRunning: Int { self.state.withLock { $0.most } }
    var order: [String] { self.state.withLock { $0.order } }

    func evaluate(_ state: ChainState, for login: EvaluatedLogin) async -> (ChainState, ChainVerdict) {
        self.state.withLock { state in
            state.running += 1
            state.most = max(state.most, state.running)
            state.order.append(login.id)
        }
        self.changed.send()
        let verdict = await self.script(login.id, state.attempt)
        self.state.withLock { $0.running -= 1 }
        var state = state
        if self.writes { state.metadata.app.write("written", JSONText(.bool(true))) }
        if case .failed(let failure) = verdict {
            state.reports.append(
                RuleReport(name: failure.rule, outcome: .failed, milliseconds: 0, calls: 0, attempts: state.attempt)
            )
        }
        return (state, verdict)
    }
}

/// What a worker on the bench is told.
struct BenchSettings {
    var delivery = DeliverySettings()
    var egress = EgressSettings()
}

/// What a test wants otherwise than by default.
struct Change {
    var apply: (inout BenchSettings) -> Void
    static var none: Self { Self { _ in } }
    static func set<Value>(
        _ path: WritableKeyPath<BenchSettings, Value>,
        _ value: Value
    ) -> Self {
        Self { $0[keyPath: path] = value }
    }
}

struct DispatchBench {
    static let partition = TopicPartition(topic: "logins", partition: 0)

    let source = MemorySource()
    let publisher = MemoryPublisher()
    let chain: ScriptedChain
    let worker: Worker
    let board: DestinationBoard
    let metrics = Metrics()
    private let log = LogLines()
    var lines: String { self.log.text }

    init(_ change: Change = .none, writes: Bool = false, _ script: @escaping ScriptedChain.Script) {
        var settings = BenchSettings()
        settings.egress.waiting.backoffBase = .milliseconds(1)
        settings.egress.waiting.backoffCap = .milliseconds(5)
        change.apply(&settings)
        self.chain = ScriptedChain(writes: writes, script)
        self.board = DestinationBoard(settings.egress.waiting(forOutages: true), log: .silent)
        self.worker = Worker(
            configuration: settings.delivery,
            chain: self.chain,
            chainNames: ["scripted"],
            board: self.board,
            log: Log(level: .warning, redactor: Redactor(), format: .json, write: self.log.append),
            metrics: self.metrics,
            source: self.source,
            publisher: self.publisher
        )
    }

    /// Starts the worker with the partition assigned, as it was committed.
    func start(from commit: OffsetCommit? = nil) async -> Task<Dispatcher.Tally, any Error> {
        let task = Task { try await self.worker.run() }
        await self.source.changed.wait { self.source.receiver != nil }
        self.source.receiver?.partitionsAssigned(
            [
                AssignedPartition(
                    topicPartition: Self.partition,
                    committedOffset: commit?.offset,
                    committedMap: commit?.map ?? []
                )
            ]
        )
        return task
    }

    @discardableResult
    func send(_ logins: [(offset: Int64, user: String)]) -> Bool {
        self.source.receiver?.batchReceived(logins.map { Self.record($0.offset, $0.user) }, ends: [:]) ?? false
    }

    /// A batch as a fetch brings it: records, and where the partition ends.
    func deliver(_ logins: [(offset: Int64, user: String)], end: Int64) {
        _ = self.source.receiver?.batchReceived(
            logins.map { Self.record($0.offset, $0.user) },
            ends: [Self.partition: end]
        )
    }

    func waitForResults(_ count: Int) async {
        await self.publisher.changed.wait { self.publisher.results.count >= count }
    }

    func waitForCommit(_ offset: Int64) async {
        await self.source.changed.wait { self.source.committed(Self.partition) == offset }
    }

    static func record(_ offset: Int64, _ user: String) -> KafkaRecord {
        KafkaRecord(
            topicPartition: self.partition,
            offset: offset,
            timestamp: 1_800_000_000_000,
            key: Array(user.utf8),
            value: Array(#"{"id":"\#(offset)","user":{"user_id":"\#(user)"}}"#.utf8)
        )
    }

    static func offset(_ result: ResultRecord) throws -> Int64 {
        let value = try JSONText(validating: #require(result.value))
        let id = value["data"]?["login"]?["id"]?.string ?? value["id"]?.string
        return try #require(id.flatMap { Int64($0) })
    }
}

extension DispatchBench {
    /// Makes a destination away by three users' calls that hang; the ticket of a probe, and what lets it get through.
    func goAway(_ destination: Destination) async -> (CallTicket, @Sendable (CallTicket) -> Void) {
        let route = Route.call(rule: "r", host: "api.example", port: 443)
        let failure = HTTPFailure(kind: .connectionReset, message: "reset", code: "ECONNRESET")
        func enter(_ number: UInt64) async -> CallTicket? {
            let scope = CallScope(LoginCalls(number: number, user: LoginUser(key: number), firstAttempt: .now))
            while true {
                let entry = await self.board.enter(route, scope, deadline: .now + .seconds(20))
                if case .send(let ticket) = entry { return ticket }
                await Task.yield()
            }
        }
        for number: UInt64 in 1_000_001...1_000_003 {
            guard let ticket = await enter(number) else { continue }
            let ending = CallEnding.failedToAnswer(.connectionReset)
            _ = self.board.ended(ticket, ending, .failure(failure), error: "reset", nil)
        }
        guard let probe = await enter(1_000_004) else { preconditionFailure("no probe") }
        let board = self.board
        return (probe, { _ = board.ended($0, .gotThrough, .success(HTTPResponse(status: 200)), error: "", nil) })
    }
}
