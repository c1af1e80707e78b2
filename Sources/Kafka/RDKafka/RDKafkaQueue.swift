import AfterloginCRDKafka

/// A reference to one of librdkafka's queues; goes before its client does.
@safe
struct RDKafkaQueue: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }

    /// A queue of our own.
    init(of client: borrowing RDKafkaHandle) { unsafe self.pointer = rd_kafka_queue_new(client.pointer) }

    /// The queue of errors, delivery reports and log lines.
    static func main(of client: borrowing RDKafkaHandle) -> RDKafkaQueue {
        unsafe RDKafkaQueue(rd_kafka_queue_get_main(client.pointer))
    }

    deinit {
        // The descriptor may be closed, and its number given away, as soon as we are gone.
        unsafe rd_kafka_queue_io_event_enable(self.pointer, -1, nil, 0)
        unsafe rd_kafka_queue_destroy(self.pointer)
    }

    /// Wakes when the queue goes from empty to non-empty; the waker must outlive the client.
    func wake(_ waker: Waker) {
        var one: UInt64 = 1
        unsafe rd_kafka_queue_io_event_enable(self.pointer, waker.descriptor, &one, 8)
    }

    /// The next event, or nil when the time has passed.
    func poll(timeout: Duration = .zero) -> RDKafkaEvent? {
        guard let event = unsafe rd_kafka_queue_poll(self.pointer, timeout.timeoutMilliseconds) else { return nil }
        return unsafe RDKafkaEvent(event)
    }
}
