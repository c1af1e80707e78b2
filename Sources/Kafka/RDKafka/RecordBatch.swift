import CRDKafka

/// Reads messages from the data queue in batches, and makes records of them: the one copy of their bytes.
@safe
struct RecordBatch: ~Copyable {
    private let messages: UnsafeMutableBufferPointer<UnsafeMutablePointer<rd_kafka_message_t>?>
    private var count = 0
    /// One string per topic, by its address, which is good as long as one of its partitions is assigned.
    private var topics: [UInt: String] = [:]

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

    /// The records of the batch that are to be delivered; ends the messages.
    ///
    /// `first` hears the first offset of each run of one partition, `failed` each error with its partition (-1 for the whole topic).
    mutating func drain(
        isDelivered: (TopicPartition) -> Bool,
        first: (TopicPartition, Int64) -> Void,
        failed: (TopicPartition, KafkaError) -> Void
    ) -> [KafkaRecord] {
        var records: [KafkaRecord] = []
        records.reserveCapacity(self.count)
        var run: (topic: UInt, partition: Int32, value: TopicPartition, isDelivered: Bool)?
        for index in 0..<self.count {
            guard let pointer = unsafe self.messages[index] else { continue }
            let message = unsafe RDKafkaMessage(pointer)
            let topic = message.topicIdentity
            if run?.topic != topic || run?.partition != message.partition {
                let partition = TopicPartition(topic: self.name(of: message), partition: message.partition)
                let isDelivered = isDelivered(partition)
                run = (topic, message.partition, partition, isDelivered)
                if isDelivered, message.error == RD_KAFKA_RESP_ERR_NO_ERROR { first(partition, message.offset) }
            }
            if let run {
                if message.error != RD_KAFKA_RESP_ERR_NO_ERROR {
                    failed(run.value, KafkaError(message.error, message.errorText))
                } else if run.isDelivered {
                    records.append(message.record(of: run.value))
                }
            }
            unsafe rd_kafka_message_destroy(pointer)
            unsafe self.messages[index] = nil
        }
        self.count = 0
        return records
    }

    mutating func topicsChanged() { self.topics = [:] }

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
