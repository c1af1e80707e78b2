import AfterloginCRDKafka

extension RDKafkaHandle {
    /// Copies the message into librdkafka's queue.
    ///
    /// Does not block.
    func produce(_ send: KafkaProducer.StateMachine.Send) -> rd_kafka_resp_err_t {
        let message = send.message
        let headers = unsafe Self.headers(message.headers)
        let code = unsafe message.key.withBytes { key in
            unsafe message.value.withBytes { value in
                unsafe afterlogin_produce(
                    self.pointer,
                    message.topic,
                    message.partition ?? RD_KAFKA_PARTITION_UA,
                    key.baseAddress,
                    key.count,
                    value.baseAddress,
                    value.count,
                    headers,
                    send.sequence
                )
            }
        }
        if code != RD_KAFKA_RESP_ERR_NO_ERROR, let headers = unsafe headers { unsafe rd_kafka_headers_destroy(headers) }
        return code
    }

    private static func headers(_ headers: [KafkaHeader]) -> OpaquePointer? {
        guard !headers.isEmpty, let list = unsafe rd_kafka_headers_new(headers.count) else { return nil }
        for header in headers {
            var name = header.name
            name.withUTF8 { name in
                unsafe header.value.withBytes { value in
                    unsafe _ = rd_kafka_header_add(list, name.baseAddress, name.count, value.baseAddress, value.count)
                }
            }
        }
        return unsafe list
    }
}

extension RDKafkaHandle? {
    func produce(_ send: KafkaProducer.StateMachine.Send) -> rd_kafka_resp_err_t {
        switch self {
        case .some(let handle): handle.produce(send)
        case nil: RD_KAFKA_RESP_ERR__DESTROY
        }
    }

    var fatal: KafkaError? {
        switch self {
        case .some(let handle): handle.fatalError
        case nil: nil
        }
    }

    var mainQueue: RDKafkaQueue? {
        switch self {
        case .some(let handle): RDKafkaQueue.main(of: handle)
        case nil: nil
        }
    }

    consuming func destroy(_ waker: Waker, _ time: Duration) {
        switch consume self {
        case .some(let handle): handle.destroy(wake: waker, within: time)
        case nil: break
        }
    }
}

extension [UInt8]? {
    /// A null pointer for nil; for an empty array one that is not null, which librdkafka tells apart.
    fileprivate func withBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        guard let bytes = self else { return unsafe body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        if bytes.isEmpty {
            return unsafe withUnsafeBytes(of: 0 as UInt8) { unsafe body(UnsafeRawBufferPointer(rebasing: $0[..<0])) }
        }
        return unsafe bytes.withUnsafeBytes { unsafe body($0) }
    }
}

extension RDKafkaMessage {
    /// The message of a failed report, to be sent again.
    func message(partition: Int32?) -> KafkaMessage {
        KafkaMessage(topic: self.topic, partition: partition, key: self.key, value: self.value, headers: self.headers)
    }
}

extension KafkaProducer.DeliveryFailure {
    init(_ code: rd_kafka_resp_err_t) {
        switch code {
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: self = .tooLarge
        case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
            RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
            RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__NODE_UPDATE,
            RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR_UNKNOWN, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
            RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
            RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
            self = .transient
        default: self = .permanent
        }
    }
}

extension KafkaError {
    func about(topic: String) -> KafkaError {
        var error = self
        error.message = "topic \(topic): \(self.message)"
        return error
    }
}
