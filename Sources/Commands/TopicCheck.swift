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
        _ admin: KafkaAdmin,
        timeout: Duration = Self.timeout
    ) async throws(KafkaError) -> [(topic: String, finding: Finding, isInput: Bool)] {
        var findings: [(String, Finding, Bool)] = []
        for (topic, isInput) in self.topics {
            do throws(KafkaError) {
                let found = try await admin.describe(topics: [topic], timeout: timeout)
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

    /// Says what is wrong as long as it is, and returns when the result topics can be written (or the worker is to stop).
    ///
    /// The input topic may come later: the consumer waits for it by itself, and says so.
    func waitForResultTopics(until stop: StopSwitch) async throws(KafkaError) {
        let admin = try self.makeAdmin()
        var said = ""
        while !stop.isThrown {
            var problems: [String] = []
            var blocks = false
            do throws(KafkaError) {
                // Not longer, for a stop waits for it.
                for (topic, finding, isInput) in try await self.findings(admin, timeout: .seconds(3)) {
                    switch finding {
                    case .fine: continue
                    case .missing:
                        problems.append("topic \(topic) does not exist; create it, or run: afterlogin topics --create")
                    case .refused(_, let error): problems.append("topic \(topic): \(error)")
                    }
                    blocks = blocks || !isInput
                }
            } catch {
                problems.append("no broker of \(self.configuration.kafka.brokers) answers: \(error)")
                blocks = true
            }
            let text = problems.joined(separator: "; ")
            if !text.isEmpty, text != said { self.log.log(.error, "waiting: \(text)") }
            said = text
            guard blocks else { break }
            try? await Task.sleep(for: .seconds(2))
        }
        await admin.close()
    }
}
