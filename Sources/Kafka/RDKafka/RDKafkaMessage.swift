import AfterloginCRDKafka

/// Reads an `rd_kafka_message_t` while its event lasts.
@safe
struct RDKafkaMessage {
    let pointer: UnsafePointer<rd_kafka_message_t>

    init(_ pointer: UnsafePointer<rd_kafka_message_t>) { unsafe self.pointer = pointer }

    var error: rd_kafka_resp_err_t { unsafe self.pointer.pointee.err }
    var offset: Int64 { unsafe self.pointer.pointee.offset }
    var partition: Int32 { unsafe self.pointer.pointee.partition }
    /// The number given to `produce`.
    var opaque: UInt { unsafe UInt(bitPattern: self.pointer.pointee._private) }

    /// Identifies the topic as long as one of its partitions is assigned; nil for an error without a topic.
    var topicIdentity: UInt { unsafe UInt(bitPattern: self.pointer.pointee.rkt) }

    var topic: String {
        guard let topic = unsafe self.pointer.pointee.rkt else { return "" }
        return unsafe String(cString: rd_kafka_topic_name(topic))
    }

    /// nil for a tombstone; the text of an error for an error.
    var value: [UInt8]? { unsafe Self.bytes(self.pointer.pointee.payload, self.pointer.pointee.len) }

    var key: [UInt8]? { unsafe Self.bytes(self.pointer.pointee.key, self.pointer.pointee.key_len) }

    /// librdkafka's explanation of an error; an error event may have none.
    var errorText: String? {
        guard let text = unsafe rd_kafka_message_errstr(self.pointer) else { return nil }
        return unsafe String(cString: text)
    }

    var timestamp: Int64? {
        var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let timestamp = unsafe rd_kafka_message_timestamp(self.pointer, &type)
        return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || timestamp < 0 ? nil : timestamp
    }

    var headers: [KafkaHeader] {
        var list: OpaquePointer?
        guard unsafe rd_kafka_message_headers(self.pointer, &list) == RD_KAFKA_RESP_ERR_NO_ERROR else { return [] }
        var headers: [KafkaHeader] = []
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while unsafe rd_kafka_header_get_all(list, headers.count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR,
            let name = unsafe name
        {
            unsafe headers.append(KafkaHeader(name: String(cString: name), value: Self.bytes(value, size)))
        }
        return headers
    }

    private static func bytes(_ start: UnsafeRawPointer?, _ count: Int) -> [UInt8]? {
        guard let start = unsafe start else { return nil }
        return unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    }
}
