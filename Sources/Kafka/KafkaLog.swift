/// A line that librdkafka wrote; it never goes to standard error.
package struct KafkaLogLine: Sendable, Hashable {
    /// As in syslog: 3 error, 4 warning, 6 information, 7 debugging.
    package var level: Int
    /// What part of librdkafka wrote it, such as FAIL or REBALANCE.
    package var facility: String
    package var text: String
    /// Written by this module: somebody should read it.
    package var isOurs = false

    package init(level: Int, facility: String, text: String, isOurs: Bool = false) {
        self.level = level
        self.facility = facility
        self.text = text
        self.isOurs = isOurs
    }
}

/// Receives librdkafka's log, on the thread of the client that wrote it; must not block.
package typealias KafkaLog = @Sendable (KafkaLogLine) -> Void
