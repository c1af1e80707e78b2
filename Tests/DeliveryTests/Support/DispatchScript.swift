import AfterloginKafka
import Testing

@testable import AfterloginDelivery

/// A `Dispatch` with a clock that the test sets, and partitions of one topic.
struct DispatchScript {
    static let zero = TopicPartition(topic: "logins", partition: 0)
    static let one = TopicPartition(topic: "logins", partition: 1)

    var dispatch: Dispatch
    var now = ContinuousClock.now

    init(concurrency: Int = 2, uncommitted: Int = 100, mapBytes: Int? = CompletionMap.maxBytes, logins: Int = 1_000) {
        self.dispatch = Dispatch(
            limits: .init(
                concurrency: concurrency,
                logins: logins,
                bytes: 1_000_000,
                uncommitted: uncommitted,
                mapBytes: mapBytes
            )
        )
    }

    mutating func assign(_ partitions: TopicPartition..., from offset: Int64? = nil, map: String = "") -> Dispatch.Step
    {
        self.dispatch.partitionsAssigned(
            partitions.map {
                AssignedPartition(topicPartition: $0, committedOffset: offset, committedMap: Array(map.utf8))
            },
            self.now
        )
    }

    /// Reads and decodes logins; gives the logins that were admitted, and what followed from decoding them.
    mutating func read(
        _ partition: TopicPartition = Self.zero,
        _ logins: [(offset: Int64, user: String)],
        end: Int64? = nil
    ) -> (logins: [AdmittedLogin], batch: Dispatch.Step, decoded: Dispatch.Step) {
        let records = logins.map {
            KafkaRecord(topicPartition: partition, offset: $0.offset, key: Array($0.user.utf8), value: nil)
        }
        let batch = self.dispatch.batchReceived(records, ends: end.map { [partition: $0] } ?? [:], self.now)
        var admitted: [AdmittedLogin] = []
        while batch.decodes {
            let part = self.dispatch.inboxTaken()
            if part.isEmpty { break }
            admitted += part
        }
        return (admitted, batch, self.dispatch.decoded(admitted, self.now))
    }

    /// Finishes a login, hands its result over and acknowledges it; gives the three steps.
    mutating func complete(_ login: AdmittedLogin) -> [Dispatch.Step] {
        [
            self.dispatch.finished(login, self.now), self.dispatch.published([login], self.now),
            self.dispatch.acknowledged(login, self.now),
        ]
    }

    mutating func commitAnswered(_ answer: CommitAnswer = .stored) -> Dispatch.Step {
        self.dispatch.commitAnswered(answer, self.now)
    }

    /// Nothing is kept for anybody.
    var isEmpty: Bool {
        self.dispatch.intake.admitted == 0 && self.dispatch.intake.admittedBytes == 0
            && self.dispatch.lanes.working == 0
            && self.dispatch.lanes.idle == 0 && self.dispatch.lanes.waiting == 0
            && self.dispatch.lanes.all.allSatisfy { _ in false }
    }
}

extension Dispatch.Step {
    /// A step of which only some parts are said.
    static func with(_ change: (inout Self) -> Void) -> Self {
        var step = Self()
        change(&step)
        return step
    }
}
