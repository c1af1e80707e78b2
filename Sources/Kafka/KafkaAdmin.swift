import CRDKafka
import Synchronization

/// Admin calls; each blocks a thread of its own, never the cooperative pool.
///
/// Errors name what librdkafka said last about the connection (host, port, refused, certificate), which the answer of a call does not.
package final class KafkaAdmin: Sendable {
    /// One call at a time: the errors on the main queue belong to it.
    private let client: Mutex<RDKafkaHandle?>
    private let waker: Waker
    private let log: KafkaLog?

    package init(brokers: String, properties: [String: String], log: KafkaLog? = nil) throws(KafkaError) {
        let settings = RDKafkaConfiguration()
        try settings.set(PropertyPolicy(role: .admin, version: rd_kafka_version()).merged(with: properties))
        try settings.set("bootstrap.servers", brokers)
        settings.enableEvents(RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)
        // Of a consumer: a producer's question for a topic can create it.
        let client = try settings.makeHandle(RD_KAFKA_CONSUMER)
        unsafe rd_kafka_set_log_queue(client.pointer, nil)
        self.client = Mutex(consume client)
        self.waker = try Waker()
        self.log = log
    }

    /// nil for a topic that does not exist.
    ///
    /// `configuration` is empty unless it is asked for, and where the cluster does not allow it to be read. The in-process cluster has no admin
    /// API: asking it takes the whole timeout.
    ///
    /// - Throws: `TOPIC_AUTHORIZATION_FAILED` with the topic's name, or when no broker answers.
    package func describe(
        topics: [String],
        withConfiguration: Bool = false,
        timeout: Duration
    ) async throws(KafkaError) -> [String: TopicDescription?] {
        try await self.call(timeout) { (client, deadline) throws(KafkaError) in
            var found: [String: TopicDescription?] = [:]
            for topic in topics {
                found[topic] = .some(try client.describe(topic, until: deadline))
            }
            guard withConfiguration else { return found }
            let existing = found.values.compactMap { $0?.name }
            for (topic, configuration) in client.configurations(of: existing, until: deadline) {
                found[topic]??.configuration = configuration
            }
            return found
        }
    }

    /// Per topic nil, or why it was not created (`TOPIC_ALREADY_EXISTS`, …).
    ///
    /// - Throws: when the call as a whole failed: no broker, no admin API (`_UNSUPPORTED_FEATURE`).
    package func create(
        _ topics: [TopicSpecification],
        timeout: Duration
    ) async throws(KafkaError) -> [String: KafkaError?] {
        guard !topics.isEmpty else { return [:] }
        return try await self.call(timeout) { (client, deadline) throws(KafkaError) in
            try client.create(topics, until: deadline)
        }
    }

    /// Brokers as host:port; throws where none answers.
    package func brokers(timeout: Duration) async throws(KafkaError) -> [String] {
        try await self.call(timeout) { (client, deadline) throws(KafkaError) in
            try unsafe client.withMetadata(ofTopic: nil, timeout: BootTime.now.until(deadline)) { metadata in
                unsafe (0..<Int(metadata.broker_cnt)).map { index in
                    let broker = unsafe metadata.brokers[index]
                    return unsafe "\(String(cString: broker.host)):\(broker.port)"
                }
            }
        }
    }

    package func close() async {
        let waker = self.waker
        // A call that is under way ends first.
        _ = try? await NamedThread.run("afterlogin.admin") {
            let client = self.client.withLock { $0.take() }
            client.destroy(waker, .seconds(5))
        }
    }

    private func call<Value: Sendable>(
        _ timeout: Duration,
        _ body: @escaping @Sendable (borrowing RDKafkaHandle, BootTime) throws(KafkaError) -> Value
    ) async throws(KafkaError) -> Value {
        try await NamedThread.run("afterlogin.admin") { () throws(KafkaError) in
            try self.client.withLock { (client) throws(KafkaError) in
                switch client {
                case nil: throw KafkaError(RD_KAFKA_RESP_ERR__DESTROY)
                case .some(let client):
                    do throws(KafkaError) {
                        let value = try body(client, BootTime.now.advanced(by: timeout))
                        _ = self.lastError(of: client)
                        return value
                    } catch {
                        var error = error
                        if let reason = self.lastError(of: client), error.number < 0 {
                            error.message += ": \(reason.message)"
                        }
                        throw error
                    }
                }
            }
        }
    }

    /// Empties the queue of errors and log lines.
    private func lastError(of client: borrowing RDKafkaHandle) -> KafkaError? {
        let queue = RDKafkaQueue.main(of: client)
        var last: KafkaError?
        while let event = queue.poll() {
            if event.type == RD_KAFKA_EVENT_LOG {
                if let line = event.logLine { self.log?(line) }
            } else if let error = event.error, !error.isOneOf(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) || last == nil {
                last = error
            }
        }
        return last
    }
}
