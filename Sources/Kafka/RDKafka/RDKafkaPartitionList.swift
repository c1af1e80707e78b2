import AfterloginCRDKafka
import Glibc

/// An `rd_kafka_topic_partition_list_t`: partitions with offset and metadata.
@safe
struct RDKafkaPartitionList: ~Copyable {
    let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

    init(capacity: Int = 8) { unsafe self.pointer = rd_kafka_topic_partition_list_new(Int32(capacity)) }

    init(_ partitions: some Sequence<TopicPartition>) {
        self.init()
        for partition in partitions { self.add(partition) }
    }

    deinit { unsafe rd_kafka_topic_partition_list_destroy(self.pointer) }

    var count: Int { unsafe Int(self.pointer.pointee.cnt) }

    func add(_ partition: TopicPartition, offset: Int64 = Int64(RD_KAFKA_OFFSET_INVALID), metadata: [UInt8] = []) {
        guard let element = unsafe rd_kafka_topic_partition_list_add(self.pointer, partition.topic, partition.partition)
        else { return }
        unsafe element.pointee.offset = offset
        guard !metadata.isEmpty, let copy = unsafe malloc(metadata.count) else { return }
        // The list frees it.
        unsafe metadata.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { unsafe copy.copyMemory(from: start, byteCount: bytes.count) }
        }
        unsafe element.pointee.metadata = copy
        unsafe element.pointee.metadata_size = metadata.count
    }

    /// An element, as librdkafka left it.
    struct Element {
        var partition: TopicPartition
        var offset: Int64
        var metadata: [UInt8]
        var error: rd_kafka_resp_err_t
    }

    func elements() -> [Element] {
        (0..<self.count).map { index in
            let element = unsafe self.pointer.pointee.elems[index]
            return unsafe Element(
                partition: TopicPartition(topic: String(cString: element.topic), partition: element.partition),
                offset: element.offset,
                metadata: [UInt8](UnsafeRawBufferPointer(start: element.metadata, count: element.metadata_size)),
                error: element.err
            )
        }
    }
}
