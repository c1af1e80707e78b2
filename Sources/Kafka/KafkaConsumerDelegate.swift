/// What happens to a member of a consumer group.
///
/// All calls come from the consumer's thread; they must not block.
package protocol KafkaConsumerDelegate: AnyObject, Sendable {
    /// New partitions (none for a member that is too many), with the committed offset (nil: none, starts at the beginning) and its metadata. Fetching begins after this returns.
    func partitionsAssigned(_ partitions: [AssignedPartition])
    /// A batch of records, in order per partition. Returns false when intake should stop until `resumeIntake`.
    func recordsReceived(_ records: [KafkaRecord]) -> Bool
    /// Everything below these offsets was delivered; nothing more is there at the moment.
    func endsReached(_ ends: [TopicPartition: Int64])
    /// Intake of these has stopped. The consumer stays a member, and accepts commits, until `finishRevocation` is called (or its deadline passes).
    func partitionsRevoked(_ partitions: [TopicPartition])
    /// These are gone already: nothing of them may be committed, and a commit of them is refused.
    ///
    /// Said when the session is over, when a topic was deleted (and perhaps created again), and when a revocation missed its deadline.
    func partitionsLost(_ partitions: [TopicPartition])
    /// Connection trouble, unknown topic, authorization: for logs, `/status`, readiness. nil: all is well again.
    func consumerProblemChanged(_ problem: KafkaError?)
    /// The consumer can't go on (fatal error, out-of-range stop): the worker must end with this.
    func consumerFailed(_ error: KafkaError)
}

extension KafkaConsumerDelegate {
    /// For those that commit nothing.
    package func endsReached(_ ends: [TopicPartition: Int64]) {}
}

/// A partition that became ours, and where it starts.
package struct AssignedPartition: Sendable, Hashable {
    package var topicPartition: TopicPartition
    package var committedOffset: Int64?
    package var committedMetadata: [UInt8]

    package init(topicPartition: TopicPartition, committedOffset: Int64?, committedMetadata: [UInt8] = []) {
        self.topicPartition = topicPartition
        self.committedOffset = committedOffset
        self.committedMetadata = committedMetadata
    }
}

/// What is to be committed for one partition.
package struct OffsetCommit: Sendable, Hashable {
    package var topicPartition: TopicPartition
    /// The next offset to be read: last done plus one, computed in the ledger only.
    package var offset: Int64
    /// ASCII, 4,096 bytes at most.
    package var metadata: [UInt8]

    package init(topicPartition: TopicPartition, offset: Int64, metadata: [UInt8] = []) {
        self.topicPartition = topicPartition
        self.offset = offset
        self.metadata = metadata
    }

    /// More is refused here: above 32,767 bytes librdkafka 2.0.2 moves the offset, stores an empty text and says `NO_ERROR`.
    package static let maxMetadataBytes = 4_096

    /// What of it is the map's: 111 bytes are for the prefix, the fingerprint, the topic's identifier and the checksum, the rest is for later fields.
    package static let maxMapBytes = 3_968
}
