import Afterlogin
import Kafka

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

    init(_ setup: Setup) {
        self.configuration = setup.configuration
        self.log = setup.log
    }

    var topics: [(name: String, isInput: Bool)] {
        self.configuration.kafka.input.map { ($0, true) }
            + [(self.configuration.results.updates, false), (self.configuration.results.failures, false)]
    }

    func makeAdmin() throws(KafkaError) -> KafkaAdmin {
        try KafkaAdmin(
            brokers: self.configuration.kafka.brokers,
            properties: self.configuration.kafka.properties,
            log: self.log.kafka
        )
    }

    /// One finding for each topic.
    ///
    /// - Throws: Where no broker answers.
    func findings(_ admin: KafkaAdmin) async throws(KafkaError) -> [(topic: String, finding: Finding)] {
        var findings: [(String, Finding)] = []
        for (topic, _) in self.topics {
            do throws(KafkaError) {
                let found = try await admin.describe(topics: [topic], timeout: Self.timeout)
                switch found[topic] {
                case .some(.some(let description)): findings.append((topic, .fine(description)))
                case .some(nil), nil: findings.append((topic, .missing(topic)))
                }
            } catch  where error.isAuthorization {
                findings.append((topic, .refused(topic, error)))
            }
        }
        return findings
    }

    /// Says what is wrong as long as it is, and returns when the result topics can be written (or the worker is to stop).
    ///
    /// The input topic may come later: the consumer waits for it by itself, and says so.
    func waitForResultTopics(until stop: StopSwitch) async throws(KafkaError) {
        let admin = try self.makeAdmin()
        var said = ""
        while !stop.isThrown {
            var problems: [String] = []
            do throws(KafkaError) {
                for (topic, finding) in try await self.findings(admin) {
                    switch finding {
                    case .fine: break
                    case .missing:
                        problems.append("topic \(topic) does not exist; create it, or run: afterlogin topics --create")
                    case .refused(_, let error): problems.append("topic \(topic): \(error)")
                    }
                }
            } catch {
                problems.append("no broker of \(self.configuration.kafka.brokers) answers: \(error)")
            }
            guard !problems.isEmpty else { break }
            let text = problems.joined(separator: "; ")
            if text != said { self.log.log(.error, "waiting: \(text)") }
            said = text
            try? await Task.sleep(for: .seconds(2))
        }
        await admin.close()
    }
}
