import AfterloginCRDKafka
import AfterloginSystem
import Synchronization

/// A client (`rd_kafka_t`); its calls may come from any thread.
///
/// Everything that was taken from it (queues, events, topics) must be gone before it is destroyed.
@safe
struct RDKafkaHandle: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }

    /// Never here itself: `rd_kafka_destroy` blocks, and this can run anywhere.
    deinit {
        let address = unsafe UInt(bitPattern: self.pointer)
        NamedThread.start("rdkafka.destroy") {
            unsafe rd_kafka_destroy_flags(OpaquePointer(bitPattern: address), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
        }
    }

    /// Destroys the client on a thread of its own, and waits for that, but not for ever.
    ///
    /// Blocks.
    ///
    /// The waker is kept until the client is gone: librdkafka may write to its descriptor to the end.
    consuming func destroy(wake waker: Waker, within time: Duration) {
        let address = unsafe UInt(bitPattern: self.pointer)
        discard self
        let isGone = Flag()
        NamedThread.start("rdkafka.destroy") {
            unsafe rd_kafka_destroy_flags(OpaquePointer(bitPattern: address), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
            isGone.value.store(true, ordering: .releasing)
            waker.wake()
        }
        let deadline = BootTime.now.advanced(by: time)
        while !isGone.value.load(ordering: .acquiring), BootTime.now < deadline {
            waker.wait(BootTime.now.until(deadline))
        }
    }

    private final class Flag: Sendable {
        let value = Atomic<Bool>(false)
    }

    /// The error that ended this client, if there is one.
    var fatalError: KafkaError? {
        var text = [CChar](repeating: 0, count: 512)
        let code = unsafe rd_kafka_fatal_error(self.pointer, &text, text.count)
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        var error = KafkaError(code, String(terminated: text))
        error.isFatal = true
        return error
    }

    /// Asks a broker about the topic and the leaders of its partitions, or only whether any broker answers; nil when all is well.
    ///
    /// Blocks.
    func trouble(withTopic topic: String?, timeout: Duration) -> KafkaError? {
        do throws(KafkaError) {
            _ = try self.leaders(ofTopic: topic, timeout: timeout)
            return nil
        } catch {
            return error
        }
    }

    /// The brokers that lead the topic's partitions, as some broker says.
    ///
    /// Blocks.
    ///
    /// - Throws: Where no broker answers, and what is wrong with the topic.
    func leaders(ofTopic topic: String?, timeout: Duration) throws(KafkaError) -> [TopicPartition: Int32] {
        try unsafe self.withMetadata(ofTopic: topic, timeout: timeout) { (metadata) throws(KafkaError) in
            var leaders: [TopicPartition: Int32] = [:]
            guard let topic, unsafe metadata.topic_cnt > 0 else { return leaders }
            let found = unsafe metadata.topics[0]
            guard unsafe found.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
                throw unsafe KafkaError(found.err).about(topic: topic)
            }
            for index in unsafe 0..<Int(found.partition_cnt) {
                let (number, leader) = unsafe (found.partitions[index].id, found.partitions[index].leader)
                guard leader >= 0 else {
                    throw KafkaError(
                        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
                        "topic \(topic): partition \(number) has no leader"
                    )
                }
                leaders[TopicPartition(topic: topic, partition: number)] = leader
            }
            return leaders
        }
    }

    /// Whether the group's coordinator answers, asked for what is committed for a partition.
    ///
    /// Blocks.
    func coordinatorAnswers(about partition: TopicPartition, timeout: Duration) -> Bool {
        let list = RDKafkaPartitionList([partition])
        return unsafe rd_kafka_committed(self.pointer, list.pointer, timeout.timeoutMilliseconds)
            == RD_KAFKA_RESP_ERR_NO_ERROR
    }

    /// Metadata of one topic, or of the brokers only.
    ///
    /// Blocks.
    func withMetadata<Value>(
        ofTopic topic: String?,
        timeout: Duration,
        _ body: (rd_kafka_metadata_t) throws(KafkaError) -> Value
    ) throws(KafkaError) -> Value {
        let reference = unsafe topic.flatMap { unsafe rd_kafka_topic_new(self.pointer, $0, nil) }
        defer { if let reference = unsafe reference { unsafe rd_kafka_topic_destroy(reference) } }
        var metadata: UnsafePointer<rd_kafka_metadata>?
        let error = unsafe rd_kafka_metadata(self.pointer, 0, reference, &metadata, timeout.timeoutMilliseconds)
        guard error == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata = unsafe metadata else { throw KafkaError(error) }
        defer { unsafe rd_kafka_metadata_destroy(metadata) }
        return try unsafe body(metadata.pointee)
    }

    /// Asks the broker that leads a partition where it begins and ends; nil when it does not answer.
    ///
    /// Blocks. Not by `rd_kafka_query_watermark_offsets`, which for a broker that is down takes `socket.timeout.ms` and more, whatever it is told.
    func range(of partition: TopicPartition, timeout: Duration) -> Range<Int64>? {
        guard
            let low = self.offset(of: partition, at: Int64(RD_KAFKA_OFFSET_BEGINNING), timeout: timeout),
            let high = self.offset(of: partition, at: Int64(RD_KAFKA_OFFSET_END), timeout: timeout), low <= high
        else { return nil }
        return low..<high
    }

    /// The protocol's times -2 and -1 are beginning and end.
    ///
    /// An answer that repeats the question is no answer (KAFKA.md, facts).
    private func offset(of partition: TopicPartition, at time: Int64, timeout: Duration) -> Int64? {
        let list = RDKafkaPartitionList(capacity: 1)
        list.add(partition, offset: time)
        let error = unsafe rd_kafka_offsets_for_times(self.pointer, list.pointer, timeout.timeoutMilliseconds)
        guard error == RD_KAFKA_RESP_ERR_NO_ERROR, let found = list.elements().first,
            found.error == RD_KAFKA_RESP_ERR_NO_ERROR, found.offset >= 0
        else { return nil }
        return found.offset
    }

    /// Goes on with the partition's first record; whatever was fetched from elsewhere is dropped.
    ///
    /// Blocks. Returns why it cannot: the partition must be assigned and not have failed.
    func seekToBeginning(_ partition: TopicPartition, timeout: Duration) -> KafkaError? {
        let list = RDKafkaPartitionList(capacity: 1)
        list.add(partition, offset: Int64(RD_KAFKA_OFFSET_BEGINNING))
        if let error = unsafe rd_kafka_seek_partitions(self.pointer, list.pointer, timeout.timeoutMilliseconds) {
            return unsafe KafkaError(consuming: error)
        }
        return list.elements().first { $0.error != RD_KAFKA_RESP_ERR_NO_ERROR }.map { KafkaError($0.error) }
    }

    /// What fetches last saw of a partition's end; nil when nothing was seen.
    ///
    /// Does not block.
    func highWatermark(of partition: TopicPartition) -> Int64? {
        var low: Int64 = 0
        var high: Int64 = 0
        let error = unsafe rd_kafka_get_watermark_offsets(
            self.pointer,
            partition.topic,
            partition.partition,
            &low,
            &high
        )
        return error == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : nil
    }
}
