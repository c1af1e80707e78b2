/// What happens to a member of a consumer group.
///
/// All calls come from the consumer's thread; they must not block.
package protocol KafkaConsumerDelegate: AnyObject, Sendable {
    /// New partitions (none for a member that is too many), with the committed offset (nil: none, starts at the beginning) and its map. Fetching begins after this returns.
    func partitionsAssigned(_ partitions: [AssignedPartition])
    /// A batch of records, in order per partition, and where partitions end: everything below was delivered with this batch or before.
    ///
    /// Returns false when intake should stop until `resumeIntake`.
    func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool
    /// Intake of these has stopped. The consumer stays a member, and accepts commits, until `finishRevocation` is called (or its deadline passes).
    func partitionsRevoked(_ partitions: [TopicPartition])
    /// These are gone already: nothing of them may be committed, and a commit of them is refused.
    ///
    /// Said when the session is over, when a topic was deleted (and perhaps created again), and when a revocation missed its deadline.
    func partitionsLost(_ partitions: [TopicPartition])
    /// Connection trouble, unknown topic, authorization: for logs, `/status`, readiness. nil: all is well again.
    func consumerProblemChanged(_ problem: KafkaError?)
    /// The topic was deleted and made again under its name: these are read from the beginning.
    ///
    /// What was read of the topic that is gone was told as lost before; what was read of the new one comes again.
    func topicReplaced(_ partitions: [TopicPartition])
    /// The partition was told as lost, and is not read: where it is to be read from is nothing (any more).
    ///
    /// The others go on. nil: that is over, as it was assigned anew, or to somebody else.
    func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?)
    /// The consumer can't go on (a fatal error): the worker must end with this.
    func consumerFailed(_ error: KafkaError)
}

extension KafkaConsumerDelegate {
    /// For those that count nothing; whoever passes calls on must pass this on, too.
    package func topicReplaced(_ partitions: [TopicPartition]) {}
}

/// A partition that became ours, and where it starts.
package struct AssignedPartition: Sendable, Hashable {
    package var topicPartition: TopicPartition
    package var committedOffset: Int64?
    /// The completion map that was committed with the offset; empty where there was none.
    package var committedMap: [UInt8]
    /// What was committed with the offset is damaged, or not ours: it was ignored.
    package var foreignMetadata: Bool

    package init(
        topicPartition: TopicPartition,
        committedOffset: Int64?,
        committedMap: [UInt8] = [],
        foreignMetadata: Bool = false
    ) {
        self.topicPartition = topicPartition
        self.committedOffset = committedOffset
        self.committedMap = committedMap
        self.foreignMetadata = foreignMetadata
    }
}

/// What is to be committed for one partition.
package struct OffsetCommit: Sendable, Hashable {
    package var topicPartition: TopicPartition
    /// The next offset to be read: last done plus one, computed in the ledger only.
    package var offset: Int64
    /// The completion map: printable ASCII, `maxMapBytes` at most; what else is committed is the consumer's.
    package var map: [UInt8]

    package init(topicPartition: TopicPartition, offset: Int64, map: [UInt8] = []) {
        self.topicPartition = topicPartition
        self.offset = offset
        self.map = map
    }

    /// What brokers take as they come (`offset.metadata.max.bytes`).
    ///
    /// More is refused here: above 32,767 bytes librdkafka 2.0.2 moves the offset, stores an empty text and says `NO_ERROR`.
    package static let maxMetadataBytes = 4_096

    /// What of it is the map's: 111 bytes are for the prefix, the fingerprint, the topic's identifier and the checksum, the rest is for later fields.
    package static let maxMapBytes = 3_968
}
