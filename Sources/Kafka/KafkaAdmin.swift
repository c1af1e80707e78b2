import AfterloginCRDKafka
import AfterloginSystem

/// Admin calls; each blocks a thread of its own, never the cooperative pool.
///
/// Errors name what librdkafka said last about the connection (host, port, refused, certificate), which the answer of a call does not.
package final class KafkaAdmin: Sendable {
    private struct State: ~Copyable {
        var client: RDKafkaHandle?
        /// What librdkafka said last about the connection: it says the same thing once in 30 s only.
        var reason: KafkaError?
    }

    /// One call at a time: the errors on the main queue belong to it.
    private let state: Mutex<State>
    private let waker: Waker
    private let log: KafkaLog?

    /// The group is for `access` only.
    package init(
        brokers: String,
        properties: [String: String],
        group: String? = nil,
        log: KafkaLog? = nil
    ) throws(KafkaError) {
        let settings = RDKafkaConfiguration()
        try settings.set(PropertyPolicy(role: .admin, version: rd_kafka_version()).merged(with: properties))
        try settings.set("bootstrap.servers", brokers)
        if let group {
            try settings.set("group.id", group)
            try settings.set("enable.partition.eof", "true")
        }
        settings.enableEvents(RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)
        // Of a consumer: a producer's question for a topic can create it.
        let client = try settings.makeHandle(RD_KAFKA_CONSUMER)
        unsafe rd_kafka_set_log_queue(client.pointer, nil)
        self.state = Mutex(State(client: consume client))
        self.waker = try Waker()
        self.log = log
    }

    /// nil for a topic that does not exist.
    ///
    /// `configuration` is empty unless it is asked for, and where the cluster does not allow it to be read. The in-process cluster has no admin
    /// API: asking it takes the whole timeout.
    ///
    /// - Throws: `TOPIC_AUTHORIZATION_FAILED`, or when no broker answers.
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

    /// What of the group and the topics is refused to this client; empty where it may read all of them.
    ///
    /// Joins no group and commits nothing: it asks for the group's offsets, and fetches from the end of each topic's first partition.
    package func access(
        to topics: [String],
        timeout: Duration
    ) async throws(KafkaError) -> (group: KafkaError?, topics: [String: KafkaError]) {
        try await self.call(timeout) { (client, deadline) throws(KafkaError) in
            client.refusals(topics, until: deadline)
        }
    }

    package func close() async {
        let waker = self.waker
        // A call that is under way ends first.
        await NamedThread.run("afterlogin.admin") {
            let client = self.state.withLock { $0.client.take() }
            client.destroy(waker, .seconds(5))
        }
    }

    private func call<Value: Sendable>(
        _ timeout: Duration,
        _ body: @escaping @Sendable (borrowing RDKafkaHandle, BootTime) throws(KafkaError) -> Value
    ) async throws(KafkaError) -> Value {
        try await NamedThread.run("afterlogin.admin") { () throws(KafkaError) in
            try self.state.withLock { (state) throws(KafkaError) in
                switch state.client {
                case nil: throw KafkaError(RD_KAFKA_RESP_ERR__DESTROY)
                case .some(let client):
                    do throws(KafkaError) {
                        let deadline = BootTime.now.advanced(by: timeout)
                        try self.reach(client, until: deadline, &state.reason)
                        let value = try body(client, deadline)
                        _ = self.lastError(of: client, after: nil)
                        state.reason = nil
                        return value
                    } catch {
                        var error = error
                        state.reason = self.lastError(of: client, after: state.reason)
                        if let reason = state.reason, error.number < 0 { error.message = reason.message }
                        throw error
                    }
                }
            }
        }
    }

    /// Waits for a broker that answers, but not where waiting changes nothing: a wrong password, a certificate that is not trusted.
    private func reach(
        _ client: borrowing RDKafkaHandle,
        until deadline: BootTime,
        _ reason: inout KafkaError?
    ) throws(KafkaError) {
        while let trouble = client.trouble(
            withTopic: nil,
            timeout: min(.milliseconds(500), BootTime.now.until(deadline))
        ) {
            reason = self.lastError(of: client, after: reason)
            let isHopeless =
                reason?.isOneOf(RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL) == true
            if isHopeless || BootTime.now >= deadline { throw trouble }
        }
    }

    /// Empties the queue of errors and log lines.
    private func lastError(of client: borrowing RDKafkaHandle, after earlier: KafkaError?) -> KafkaError? {
        let queue = RDKafkaQueue.main(of: client)
        var last = earlier
        while let event = queue.poll() {
            if event.type == RD_KAFKA_EVENT_LOG {
                if let line = event.logLine { self.log?(line) }
            } else if let error = event.error {
                last = error.moreTelling(than: last)
            }
        }
        return last
    }
}
