import AfterloginCRDKafka

/// Reads messages from the data queue in batches, and makes records of them: the one copy of their bytes.
@safe
struct RecordBatch: ~Copyable {
    private let messages: UnsafeMutableBufferPointer<UnsafeMutablePointer<rd_kafka_message_t>?>
    private var count = 0
    /// One string per topic, by its address, which is good as long as one of its partitions is assigned.
    private var topics: [UInt: String] = [:]
    /// The last offset that was read of each partition.
    private var positions: [TopicPartition: Int64] = [:]

    init(capacity: Int) {
        unsafe self.messages = .allocate(capacity: capacity)
        unsafe self.messages.initialize(repeating: nil)
    }

    deinit { unsafe self.messages.deallocate() }

    /// Takes what is there without waiting; returns how many, errors included.
    mutating func fill(from queue: OpaquePointer) -> Int {
        self.count = max(
            0,
            unsafe rd_kafka_consume_batch_queue(queue, 0, self.messages.baseAddress, self.messages.count)
        )
        return self.count
    }

    /// What a batch says of partitions beside its records.
    struct News {
        /// The first offset of each run of one partition.
        var firsts: [(partition: TopicPartition, offset: Int64)] = []
        /// Partitions that went back to an offset that was read before: what was read is not what is there now.
        var restarted: [TopicPartition: Int64] = [:]
        /// Where partitions end at the moment.
        var ends: [TopicPartition: Int64] = [:]
        /// Partition -1: the whole topic.
        var failed: [(partition: TopicPartition, error: KafkaError)] = []

        /// What came of it before belongs to a partition that is gone, its end too.
        mutating func restarted(_ partition: TopicPartition, at offset: Int64, _ records: inout [KafkaRecord]) {
            self.restarted[partition] = offset
            self.ends[partition] = nil
            records.removeAll { $0.topicPartition == partition }
        }
    }

    /// The records of the batch that are to be delivered, and what else it says; ends the messages.
    mutating func drain(isDelivered: (TopicPartition) -> Bool) -> (records: [KafkaRecord], news: News) {
        var records: [KafkaRecord] = []
        records.reserveCapacity(self.count)
        var news = News()
        var run: (topic: UInt, partition: Int32, value: TopicPartition, isDelivered: Bool, last: Int64)?
        for index in 0..<self.count {
            guard let pointer = unsafe self.messages[index] else { continue }
            let message = unsafe RDKafkaMessage(pointer)
            let topic = message.topicIdentity
            if run?.topic != topic || run?.partition != message.partition {
                if let run { self.positions[run.value] = run.last }
                let partition = TopicPartition(topic: self.name(of: message), partition: message.partition)
                run = (topic, message.partition, partition, isDelivered(partition), self.positions[partition] ?? -1)
                if run?.isDelivered == true, message.error == RD_KAFKA_RESP_ERR_NO_ERROR {
                    news.firsts.append((partition, message.offset))
                }
            }
            if let value = run?.value, run?.isDelivered == true || message.error != RD_KAFKA_RESP_ERR_NO_ERROR {
                switch message.error {
                case RD_KAFKA_RESP_ERR_NO_ERROR:
                    if let last = run?.last, message.offset <= last {
                        news.restarted(value, at: message.offset, &records)
                    }
                    run?.last = message.offset
                    records.append(message.record(of: value))
                case RD_KAFKA_RESP_ERR__PARTITION_EOF: if run?.isDelivered == true { news.ends[value] = message.offset }
                default: news.failed.append((value, KafkaError(message.error, message.errorText)))
                }
            }
            unsafe rd_kafka_message_destroy(pointer)
            unsafe self.messages[index] = nil
        }
        if let run { self.positions[run.value] = run.last }
        self.count = 0
        return (records, news)
    }

    /// Partitions were assigned or taken away.
    mutating func topicsChanged() {
        self.topics = [:]
        self.positions = [:]
    }

    /// The partition is read from somewhere else.
    mutating func positionChanged(_ partition: TopicPartition) { self.positions[partition] = nil }

    private mutating func name(of message: RDKafkaMessage) -> String {
        if let name = self.topics[message.topicIdentity] { return name }
        let name = message.topic
        self.topics[message.topicIdentity] = name
        return name
    }
}

extension RDKafkaMessage {
    fileprivate func record(of partition: TopicPartition) -> KafkaRecord {
        KafkaRecord(
            topicPartition: partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
            headers: self.headers
        )
    }
}
