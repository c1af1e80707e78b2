import AfterloginKafka

/// A record on its way through the worker.
///
/// It is handed from place to place many times: what never changes is behind one reference.
struct AdmittedLogin: Sendable {
    /// Which login it is: no two assignments share an epoch.
    struct ID: Hashable, Sendable {
        var epoch: Int
        var offset: Int64
    }

    private final class Content: Sendable {
        let record: KafkaRecord
        let epoch: Int
        let arrival: Int
        let arrived: ContinuousClock.Instant
        let event: Result<LoginEvent, DecodingFailure>?
        /// nil until it is decoded.
        let lane: LaneKey?

        init(
            _ record: KafkaRecord,
            _ epoch: Int,
            _ arrival: Int,
            _ arrived: ContinuousClock.Instant,
            _ event: Result<LoginEvent, DecodingFailure>?
        ) {
            self.record = record
            self.epoch = epoch
            self.arrival = arrival
            self.arrived = arrived
            self.event = event
            self.lane = event.map { Self.lane(record, $0) }
        }

        static func lane(_ record: KafkaRecord, _ event: Result<LoginEvent, DecodingFailure>?) -> LaneKey {
            let user: String
            switch event {
            case .success(let event): user = event.userID
            // Nobody knows whose login it is; the record's key is the best guess, and a record without one is alone.
            case .failure, nil:
                user = "\0" + (record.key.map { String(decoding: $0, as: UTF8.self) } ?? "\(record.offset)")
            }
            return LaneKey(partition: record.topicPartition, user: user)
        }
    }

    private final class Retry: Sendable {
        let state: RetryState
        init(_ state: RetryState) { self.state = state }
    }

    private var content: Content
    /// nil before the first attempt: what most logins are.
    private var latest: Retry?

    init(record: KafkaRecord, epoch: Int, arrival: Int, arrived: ContinuousClock.Instant) {
        self.content = Content(record, epoch, arrival, arrived, nil)
    }

    var retry: RetryState {
        get { self.latest?.state ?? RetryState() }
        set { self.latest = Retry(newValue) }
    }

    var id: ID { ID(epoch: self.epoch, offset: self.offset) }
    var record: KafkaRecord { self.content.record }
    var offset: Int64 { self.content.record.offset }
    var topicPartition: TopicPartition { self.content.record.topicPartition }
    /// Of the assignment that it was read in; a completion of an older one counts for nothing.
    var epoch: Int { self.content.epoch }
    /// Its number among all that were read, of whatever partition: who has the lowest goes first.
    var arrival: Int { self.content.arrival }
    var arrived: ContinuousClock.Instant { self.content.arrived }
    /// nil until it is decoded.
    var event: Result<LoginEvent, DecodingFailure>? { self.content.event }

    func decoded(_ event: Result<LoginEvent, DecodingFailure>) -> AdmittedLogin {
        var login = self
        login.content = Content(self.record, self.epoch, self.arrival, self.arrived, event)
        return login
    }

    /// What it weighs: its bytes, and a little for what is kept around them.
    var byteCount: Int { Self.byteCount(of: self.content.record) }

    static func byteCount(of record: KafkaRecord) -> Int {
        record.headers.reduce(256 + (record.key?.count ?? 0) + (record.value?.count ?? 0)) { sum, header in
            sum + 32 + header.name.utf8.count + (header.value?.count ?? 0)
        }
    }

    var lane: LaneKey { self.content.lane ?? Content.lane(self.record, nil) }
}

extension AdmittedLogin: Equatable {
    static func == (one: Self, other: Self) -> Bool { one.id == other.id }
}
