package struct KafkaProducerConfiguration: Sendable {
    package var brokers: String
    /// Any librdkafka property; wins over the defaults set here, but for the few that would break a promise (`PropertyPolicy`).
    package var properties: [String: String] = [:]
    /// Longest time `close` waits for librdkafka, twice.
    package var closeDeadline: Duration = .seconds(2)
    /// An acknowledgement that takes longer is a problem.
    package var longestDelivery: Duration
    /// nil: librdkafka's log is dropped.
    package var log: KafkaLog?

    package init(
        brokers: String,
        properties: [String: String] = [:],
        closeDeadline: Duration = .seconds(2),
        longestDelivery: Duration = .seconds(10),
        log: KafkaLog? = nil
    ) {
        self.brokers = brokers
        self.properties = properties
        self.closeDeadline = closeDeadline
        self.longestDelivery = longestDelivery
        self.log = log
    }
}
