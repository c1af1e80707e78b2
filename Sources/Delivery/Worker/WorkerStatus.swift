package import AfterloginKafka

/// The worker at one instant.
package struct WorkerStatus: Sendable {
    package struct Partition: Sendable {
        package var partition: TopicPartition
        package var epoch: Int
        package var committed: Int64?
        package var lag: Int64?
    }

    package var uptime: Duration
    package var assignment: [Partition]
    package var running: Int
    /// Logins that wait for a retry or the end of an outage, by reason.
    package var waiting: [String: Int]
    package var admitted: Int
    package var admittedBytes: Int
    package var uncommitted: Int
    /// How long the oldest login has been here.
    package var oldest: Duration?
    package var intakeIsOpen: Bool
    package var tally: Dispatcher.Tally
    package var problem: String?
}
