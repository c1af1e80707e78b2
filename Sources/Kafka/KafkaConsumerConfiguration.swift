package struct KafkaConsumerConfiguration: Sendable {
    package var brokers: String
    package var group: String
    package var topics: [String]
    /// Any librdkafka property; wins over the defaults set here, but for the few that would break a promise (`PropertyPolicy`).
    package var properties: [String: String] = [:]
    /// Longest time a revoke waits for `finishRevocation`; must be below `max.poll.interval.ms`.
    package var revocationDeadline: Duration = .seconds(10)
    package var maxBatch = 500
    /// Longest time `close` waits for commits and for leaving the group.
    package var closeDeadline: Duration = .seconds(2)
    /// How often a record that was taken is read again, to see whether the topic still is the one that was read.
    package var fingerprintInterval: Duration
    /// nil: librdkafka's log is dropped.
    package var log: KafkaLog?

    package init(
        brokers: String,
        group: String,
        topics: [String],
        properties: [String: String] = [:],
        revocationDeadline: Duration = .seconds(10),
        maxBatch: Int = 500,
        closeDeadline: Duration = .seconds(2),
        fingerprintInterval: Duration = .seconds(10),
        log: KafkaLog? = nil
    ) {
        self.brokers = brokers
        self.group = group
        self.topics = topics
        self.properties = properties
        self.revocationDeadline = revocationDeadline
        self.maxBatch = maxBatch
        self.closeDeadline = closeDeadline
        self.fingerprintInterval = fingerprintInterval
        self.log = log
    }
}
