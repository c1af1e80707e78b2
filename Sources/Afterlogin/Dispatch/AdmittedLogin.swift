import Kafka

/// The key of the order: one user of one partition; strict order inside, none between.
struct LaneKey: Hashable, Sendable {
    var partition: TopicPartition
    var user: String
}

/// A record on its way through the worker.
struct AdmittedLogin: Sendable {
    var record: KafkaRecord
    /// Of the assignment that it was read in; a completion of an older one counts for nothing.
    var epoch: Int
    var arrived: ContinuousClock.Instant
    var event: Result<LoginEvent, DecodingFailure>?
    var retry: RetryState

    /// What it weighs: its bytes, and a little for what is kept around them.
    var byteCount: Int { Self.byteCount(of: self.record) }

    static func byteCount(of record: KafkaRecord) -> Int {
        256 + (record.key?.count ?? 0) + (record.value?.count ?? 0)
    }

    var lane: LaneKey {
        let user: String
        switch self.event {
        case .success(let event): user = event.userID
        // Nobody knows whose login it is; the record's key is the best guess, and a record without one is alone.
        case .failure, nil:
            user = "\0" + (self.record.key.map { String(decoding: $0, as: UTF8.self) } ?? "\(self.record.offset)")
        }
        return LaneKey(partition: self.record.topicPartition, user: user)
    }
}
