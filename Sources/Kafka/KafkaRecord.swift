/// One partition of one topic.
package struct TopicPartition: Hashable, Sendable, CustomStringConvertible {
    package var topic: String
    package var partition: Int32

    package init(topic: String, partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    package var description: String { "\(self.topic)/\(self.partition)" }
}

/// A header of a record; its value may be null.
package struct KafkaHeader: Sendable, Hashable {
    package var name: String
    package var value: [UInt8]?

    package init(name: String, value: [UInt8]?) {
        self.name = name
        self.value = value
    }
}

/// A record as it was read; the one copy of its bytes.
package struct KafkaRecord: Sendable {
    package var topicPartition: TopicPartition
    package var offset: Int64
    /// Milliseconds since 1970, or nil.
    package var timestamp: Int64?
    package var key: [UInt8]?
    /// nil for a tombstone.
    package var value: [UInt8]?
    package var headers: [KafkaHeader]

    package init(
        topicPartition: TopicPartition,
        offset: Int64,
        timestamp: Int64? = nil,
        key: [UInt8]?,
        value: [UInt8]?,
        headers: [KafkaHeader] = []
    ) {
        self.topicPartition = topicPartition
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
    }
}

/// A record to be written.
package struct KafkaMessage: Sendable, Hashable {
    package var topic: String
    /// nil: by the key, as Java's clients choose it (`murmur2_random`).
    package var partition: Int32?
    package var key: [UInt8]?
    package var value: [UInt8]?
    package var headers: [KafkaHeader]

    package init(
        topic: String,
        partition: Int32? = nil,
        key: [UInt8]?,
        value: [UInt8]?,
        headers: [KafkaHeader] = []
    ) {
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.headers = headers
    }
}
