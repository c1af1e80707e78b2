package import AfterloginKafka

/// Where records come from: a consumer group, or lines of a file.
package protocol RecordSource: Sendable {
    /// Begins to deliver; throws where the configuration can't work at all.
    func start(_ receiver: any RecordReceiver) throws
    func resumeIntake()
    /// Nothing more is delivered; commits are still taken.
    func stopIntake()
    /// What was revoked has drained.
    func finishRevocation()
    func commit(_ offsets: [OffsetCommit], completion: @escaping @Sendable (Result<Void, KafkaError>) -> Void)
    /// Whether the map of a commit comes back with the next assignment.
    var keepsCompletionMap: Bool { get }
    func close() async
    /// False when this member may have lost its partitions without knowing it: nothing may be published then.
    var leaseIsValid: Bool { get }
    /// The newest offsets known, for the lag.
    func highWatermarks() -> [TopicPartition: Int64]
    /// Calls back from the source's thread, where it has one that everything hangs on.
    func ping(_ answer: @escaping @Sendable () -> Void)
}

extension RecordSource {
    package func ping(_ answer: @escaping @Sendable () -> Void) { answer() }
}

/// What a source tells; calls come from one thread and must not block.
package protocol RecordReceiver: KafkaConsumerDelegate {
    /// There is nothing more to come, ever.
    func inputEnded()
}
