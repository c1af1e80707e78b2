import AfterloginCRDKafka

/// Something that librdkafka put on a queue; what it points to ends with it.
@safe
struct RDKafkaEvent: ~Copyable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe rd_kafka_event_destroy(self.pointer) }

    var type: Int32 { unsafe rd_kafka_event_type(self.pointer) }

    var code: rd_kafka_resp_err_t { unsafe rd_kafka_event_error(self.pointer) }

    /// The event's error; nil for `NO_ERROR`.
    var error: KafkaError? {
        guard self.code != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        let text = unsafe rd_kafka_event_error_string(self.pointer)
        var error = KafkaError(self.code, unsafe text.map { unsafe String(cString: $0) })
        error.isFatal = unsafe rd_kafka_event_error_is_fatal(self.pointer) != 0
        return error
    }

    /// The number that was given to the call that this event answers.
    var opaque: UInt { unsafe UInt(bitPattern: rd_kafka_event_opaque(self.pointer)) }

    /// The partitions of a rebalance or a commit, each with its own error.
    var partitions: [(partition: TopicPartition, error: rd_kafka_resp_err_t)] {
        guard let list = unsafe rd_kafka_event_topic_partition_list(self.pointer) else { return [] }
        return unsafe (0..<Int(list.pointee.cnt)).map { index in
            let element = unsafe list.pointee.elems[index]
            return unsafe (
                TopicPartition(topic: String(cString: element.topic), partition: element.partition), element.err
            )
        }
    }

    /// The line of a log event.
    var logLine: KafkaLogLine? {
        var facility: UnsafePointer<CChar>?
        var text: UnsafePointer<CChar>?
        var level: Int32 = 0
        guard unsafe rd_kafka_event_log(self.pointer, &facility, &text, &level) == 0,
            let facility = unsafe facility, let text = unsafe text
        else { return nil }
        return unsafe KafkaLogLine(
            level: Int(level),
            facility: String(cString: facility),
            text: KafkaError.explained(String(cString: text), rd_kafka_version())
        )
    }

    /// Calls `body` for each message of a delivery report.
    func forEachMessage(_ body: (RDKafkaMessage) -> Void) {
        while let message = unsafe rd_kafka_event_message_next(self.pointer) { body(unsafe RDKafkaMessage(message)) }
    }
}
