import Afterlogin
import AfterloginDelivery
import AfterloginKafka
import AfterloginObservability
import AfterloginSystem

/// Whether the topics that `run` needs are there, and what is wrong with them.
struct TopicCheck {
    enum Finding: Sendable {
        case fine(TopicDescription)
        case missing(String)
        case refused(String, KafkaError)
    }

    static let timeout = Duration.seconds(10)

    let configuration: Configuration
    var log: Log
    private let waiting = Waiting()

    init(_ setup: Setup) {
        self.configuration = setup.configuration
        self.log = setup.log
    }

    var topics: [(name: String, isInput: Bool)] {
        self.configuration.kafka.input.map { ($0, true) }
            + [(self.configuration.results.updates, false), (self.configuration.results.failures, false)]
    }

    func makeAdmin(group: String? = nil) throws(KafkaError) -> KafkaAdmin {
        try KafkaAdmin(
            brokers: self.configuration.kafka.brokers,
            properties: self.configuration.kafka.properties,
            group: group,
            log: self.log.kafka
        )
    }

    /// One finding for each topic.
    ///
    /// - Throws: Where no broker answers.
    func findings(
        _ admin: KafkaAdmin
    ) async throws(KafkaError) -> [(topic: String, finding: Finding, isInput: Bool)] {
        var findings: [(String, Finding, Bool)] = []
        for (topic, isInput) in self.topics {
            do throws(KafkaError) {
                let found = try await admin.describe(topics: [topic], timeout: Self.timeout)
                switch found[topic] {
                case .some(.some(let description)): findings.append((topic, .fine(description), isInput))
                case .some(nil), nil: findings.append((topic, .missing(topic), isInput))
                }
            } catch  where error.isAuthorization {
                findings.append((topic, .refused(topic, error), isInput))
            }
        }
        return findings
    }

    /// What `waitForTopics` waits for.
    var problem: String? { self.waiting.problem.withLock { $0 } }

    /// Says what is wrong, and returns when results can be written (or the worker is to stop).
    ///
    /// The input topic may come later: the consumer waits for it by itself, and says so.
    func waitForTopics(until stop: StopSwitch) async throws(KafkaError) {
        let admin = try self.makeAdmin()
        let (end, ending) = AsyncStream.makeStream(of: Never.self)
        stop.onThrow { ending.finish() }
        // Left behind at a stop: a broker that does not answer takes its ten seconds.
        Task {
            await self.wait(admin, until: stop)
            ending.finish()
        }
        for await _ in end {}
    }

    private func wait(_ admin: KafkaAdmin, until stop: StopSwitch) async {
        var said = ""
        while !stop.isThrown {
            let (problems, blocks) = await self.problems(admin)
            let text = problems.joined(separator: "; ")
            if !text.isEmpty, text != said { self.log.log(.error, "waiting: \(text)") }
            said = text
            self.waiting.problem.withLock { $0 = blocks ? text : nil }
            guard blocks else { break }
            try? await Task.sleep(for: .seconds(2))
        }
        await admin.close()
    }

    private func problems(_ admin: KafkaAdmin) async -> (problems: [String], blocks: Bool) {
        var problems: [String] = []
        var blocks = false
        do throws(KafkaError) {
            for (topic, finding, isInput) in try await self.findings(admin) {
                switch finding {
                case .fine: continue
                case .missing:
                    problems.append("topic \(topic) does not exist; create it, or run: afterlogin topics --create")
                case .refused(_, let error):
                    problems.append("topic \(topic): \(error.forPeople); give this client permission to it")
                }
                blocks = blocks || !isInput
            }
        } catch {
            let brokers = self.configuration.kafka.brokers
            problems.append("no broker of \(brokers) answers: \(error.forPeople); check kafka.brokers and the network")
            blocks = true
        }
        return (problems, blocks)
    }

    private final class Waiting: Sendable {
        let problem = Mutex<String?>(nil)
    }
}
