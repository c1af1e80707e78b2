import AfterloginCRDKafka

/// Reads single records at given offsets, without a group; every call blocks.
@safe
struct RecordReader: ~Copyable {
    private var client: RDKafkaHandle
    private var queue: RDKafkaQueue?
    private var main: RDKafkaQueue?
    private var topics: [String: OpaquePointer] = unsafe [:]

    /// What of the consumer's properties is not this client's.
    private static let foreign: Set = [
        "group.instance.id", "client.rack", "isolation.level", "auto.offset.reset", "queued.min.messages",
        "fetch.min.bytes", "fetch.wait.max.ms", "fetch.message.max.bytes", "max.partition.fetch.bytes",
        "enable.partition.eof", "statistics.interval.ms",
    ]

    init(_ configuration: KafkaConsumerConfiguration) throws(KafkaError) {
        let policy = PropertyPolicy(role: .consumer, version: rd_kafka_version())
        let settings = RDKafkaConfiguration()
        try settings.set(policy.merged(with: configuration.properties).filter { !Self.foreign.contains($0.key) })
        try settings.set("bootstrap.servers", configuration.brokers)
        try settings.set([
            "auto.offset.reset": "error", "enable.partition.eof": "true",
            // A record that was taken, and whose transaction was aborted later, is in the log still.
            "isolation.level": "read_uncommitted",
            // One record is enough. The broker sends the batch that holds it, however long it is.
            "queued.min.messages": "1", "fetch.message.max.bytes": "16384", "fetch.wait.max.ms": "10",
        ])
        settings.enableEvents(RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)
        let client = try settings.makeHandle(RD_KAFKA_CONSUMER)
        unsafe rd_kafka_set_log_queue(client.pointer, nil)
        self.queue = RDKafkaQueue(of: client)
        self.main = RDKafkaQueue.main(of: client)
        self.client = consume client
    }

    /// Topics and queues go before the client.
    consuming func close(wake waker: Waker) {
        while let topic = unsafe self.topics.popFirst()?.value { unsafe rd_kafka_topic_destroy(topic) }
        self.queue = nil
        self.main = nil
        self.client.destroy(wake: waker, within: .seconds(1))
    }

    /// The queue of errors and log lines must not grow.
    func discardEvents() {
        while self.main?.poll() != nil {}
    }

    /// What is in the logs at these offsets; what is missing in the answer was not answered in time.
    mutating func read(
        _ fingerprints: [TopicPartition: TopicFingerprint],
        within patience: Duration,
        isOver: () -> Bool
    ) -> [TopicPartition: FingerprintCheck.Reading] {
        // Before the records: so it is the identifier of the topic that they are of, or of one before it.
        let identifiers = self.client.identifiers(
            of: Set(fingerprints.keys.map(\.topic)),
            until: BootTime.now.advanced(by: .milliseconds(500))
        )
        let deadline = BootTime.now.advanced(by: patience)
        var findings: [TopicPartition: FingerprintCheck.Finding] = [:]
        var open = fingerprints
        for (partition, fingerprint) in fingerprints {
            guard let error = self.start(partition, fingerprint.offset) else { continue }
            open[partition] = nil
            findings[partition] = .unreadable(error.description)
        }
        while !open.isEmpty, BootTime.now < deadline, !isOver() {
            let time = min(.milliseconds(100), BootTime.now.until(deadline))
            guard let (partition, found) = self.next(time) else { continue }
            guard let fingerprint = open.removeValue(forKey: partition) else { continue }
            self.stop(partition)
            findings[partition] = self.finding(found, partition, fingerprint, until: deadline.advanced(by: .seconds(1)))
        }
        for partition in open.keys { self.stop(partition) }
        while self.next(.zero) != nil {}
        self.discardEvents()
        return findings.reduce(into: [:]) {
            $0[$1.key] = FingerprintCheck.Reading(finding: $1.value, topicID: identifiers[$1.key.topic])
        }
    }

    // MARK: Fetching

    private enum Found {
        case record(TopicFingerprint)
        /// Nothing up to here.
        case end(Int64)
        case outOfRange
        case failed(KafkaError)
    }

    private mutating func start(_ partition: TopicPartition, _ offset: Int64) -> KafkaError? {
        guard let queue = unsafe self.queue?.pointer, let topic = unsafe self.topic(partition.topic) else {
            return KafkaError(rd_kafka_last_error())
        }
        guard unsafe rd_kafka_consume_start_queue(topic, partition.partition, offset, queue) == 0 else {
            return KafkaError(rd_kafka_last_error())
        }
        return nil
    }

    private mutating func topic(_ name: String) -> OpaquePointer? {
        if let topic = unsafe self.topics[name] { return unsafe topic }
        let topic = unsafe rd_kafka_topic_new(self.client.pointer, name, nil)
        unsafe self.topics[name] = topic
        return unsafe topic
    }

    private func stop(_ partition: TopicPartition) {
        guard let topic = unsafe self.topics[partition.topic] else { return }
        unsafe _ = rd_kafka_consume_stop(topic, partition.partition)
    }

    private mutating func next(_ time: Duration) -> (TopicPartition, Found)? {
        guard let queue = unsafe self.queue?.pointer,
            let pointer = unsafe rd_kafka_consume_queue(queue, time.timeoutMilliseconds)
        else { return nil }
        defer { unsafe rd_kafka_message_destroy(pointer) }
        let message = unsafe RDKafkaMessage(pointer)
        let partition = TopicPartition(topic: message.topic, partition: message.partition)
        switch message.error {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            let fingerprint = TopicFingerprint(
                offset: message.offset,
                timestamp: message.timestamp,
                key: message.key,
                value: message.value
            )
            return (partition, .record(fingerprint))
        case RD_KAFKA_RESP_ERR__PARTITION_EOF: return (partition, .end(message.offset))
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
            return (partition, .outOfRange)
        default: return (partition, .failed(KafkaError(message.error, message.errorText)))
        }
    }

    // MARK: What it means

    private mutating func finding(
        _ found: Found,
        _ partition: TopicPartition,
        _ fingerprint: TopicFingerprint,
        until deadline: BootTime
    ) -> FingerprintCheck.Finding {
        let hasMore: Bool
        switch found {
        case .record(let other) where other.offset == fingerprint.offset: return .record(other)
        case .failed(let error): return .unreadable(error.description)
        case .record: hasMore = true
        case .end(let offset): hasMore = offset > fingerprint.offset
        case .outOfRange: hasMore = false
        }
        guard let range = self.client.range(of: partition, timeout: BootTime.now.until(deadline)) else {
            return .unreadable("no answer where the log begins and ends")
        }
        if range.lowerBound > fingerprint.offset { return .removed }
        if range.upperBound <= fingerprint.offset { return .ended }
        guard hasMore else { return .unreadable("the log has grown meanwhile") }
        let configuration = self.client.configurations(of: [partition.topic], until: deadline)[partition.topic]
        return .missing(isCompacted: configuration?["cleanup.policy"].map { $0.contains("compact") })
    }
}
