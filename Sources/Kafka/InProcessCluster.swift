import AfterloginCRDKafka
import AfterloginSystem

/// librdkafka's in-process cluster (`rd_kafka_mock_cluster_t`): for the demo and fault injection.
///
/// It speaks the real protocol on loopback, also to other processes. It keeps about 5 MB per partition and then drops the oldest silently, has no admin API,
/// gives the first assignment of a group after about 3 s, and wants `session.timeout.ms` above 3,000.
package final class InProcessCluster: Sendable {
    /// What a fault applies to (the numbers of Kafka's protocol).
    package enum Request: Int16, Sendable {
        case produce = 0
        case fetch = 1
        case metadata = 3
        case offsetCommit = 8
        case offsetFetch = 9
        case findCoordinator = 10
        case joinGroup = 11
        case heartbeat = 12
        case initProducerID = 22
    }

    @safe
    private struct Parts: ~Copyable, @unchecked Sendable {
        var client: RDKafkaHandle
        var cluster: OpaquePointer
    }

    private let parts: Mutex<Parts?>
    private let waker: Waker
    /// The brokers' addresses, for `bootstrap.servers`.
    package let bootstrapServers: String

    package init(brokers: Int = 1) throws(KafkaError) {
        let settings = RDKafkaConfiguration()
        try settings.set("log.queue", "true")
        settings.enableEvents(RD_KAFKA_EVENT_LOG)
        let client = try settings.makeHandle(RD_KAFKA_PRODUCER)
        guard let cluster = unsafe rd_kafka_mock_cluster_new(client.pointer, Int32(clamping: brokers)) else {
            throw KafkaError(RD_KAFKA_RESP_ERR__FAIL, "cannot start the in-process cluster")
        }
        self.bootstrapServers = unsafe String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
        self.waker = try Waker()
        self.parts = unsafe Mutex(Parts(client: client, cluster: cluster))
    }

    package func createTopic(_ name: String, partitions: Int) throws(KafkaError) {
        try unsafe self.attempt { unsafe rd_kafka_mock_topic_create($0, name, Int32(clamping: partitions), 1) }
    }

    /// Closes the broker's connections and listens no more.
    ///
    /// Brokers count from 1.
    package func setDown(broker: Int32) throws(KafkaError) {
        try unsafe self.attempt { unsafe rd_kafka_mock_broker_set_down($0, broker) }
    }

    package func setUp(broker: Int32) throws(KafkaError) {
        try unsafe self.attempt { unsafe rd_kafka_mock_broker_set_up($0, broker) }
    }

    /// Makes a broker the leader of a partition; -1: it has none.
    package func setLeader(_ broker: Int32, of topic: String, partition: Int32) throws(KafkaError) {
        try unsafe self.attempt { unsafe rd_kafka_mock_partition_set_leader($0, topic, partition, broker) }
    }

    /// Delays every answer of the broker.
    package func setRoundTripTime(_ time: Duration, broker: Int32) throws(KafkaError) {
        try unsafe self.attempt { unsafe rd_kafka_mock_broker_set_rtt($0, broker, time.timeoutMilliseconds) }
    }

    /// The next requests of this kind are answered with these errors, one each (numbers of the protocol, as in `KafkaError.number`).
    package func push(errors: [Int32], to request: Request) {
        var errors = errors.map { rd_kafka_resp_err_t($0) }
        self.parts.withLock { parts in
            guard let cluster = unsafe parts?.cluster else { return }
            unsafe rd_kafka_mock_push_request_errors_array(cluster, request.rawValue, errors.count, &errors)
        }
    }

    /// Ends the cluster; its clients go before it.
    package func close() async {
        let waker = self.waker
        await NamedThread.run("rdkafka.cluster") {
            switch self.parts.withLock({ $0.take() }) {
            case nil: break
            case .some(let parts):
                unsafe rd_kafka_mock_cluster_destroy(parts.cluster)
                parts.client.destroy(wake: waker, within: .seconds(5))
            }
        }
    }

    /// librdkafka ends the process when a cluster outlives its client.
    deinit {
        switch self.parts.withLock({ $0.take() }) {
        case nil: break
        case .some(let parts): unsafe rd_kafka_mock_cluster_destroy(parts.cluster)
        }
    }

    private func attempt(_ call: (OpaquePointer) -> rd_kafka_resp_err_t) throws(KafkaError) {
        let code = self.parts.withLock { parts in
            guard let cluster = unsafe parts?.cluster else { return RD_KAFKA_RESP_ERR__DESTROY }
            return unsafe call(cluster)
        }
        if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code) }
    }
}
