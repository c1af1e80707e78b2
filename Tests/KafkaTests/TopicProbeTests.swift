import AfterloginSystem
import AfterloginTestSupport
import Testing

@testable import AfterloginKafka

@Suite("Reading a record again", .timeLimit(.minutes(1)))
struct TopicProbeTests {
    private let partition = TopicPartition(topic: "logins", partition: 0)

    private func findings(
        _ probe: TopicProbe,
        _ inbox: ReadingInbox,
        _ number: UInt,
        _ fingerprints: [TopicPartition: TopicFingerprint]
    ) async -> [TopicPartition: FingerprintCheck.Finding] {
        await withCheckedContinuation { continuation in
            inbox.next.withLock { $0 = { continuation.resume(returning: $0.mapValues(\.finding)) } }
            probe.ask(FingerprintCheck.Round(number: number, fingerprints: fingerprints))
        }
    }

    /// No answer in time is none.
    private func isVerdict(_ finding: FingerprintCheck.Finding?) -> Bool {
        switch finding {
        case nil, .unreadable: false
        case .record, .ended, .removed, .missing: true
        }
    }

    private func print(_ offset: Int64) -> TopicFingerprint {
        TopicFingerprint(offset: offset, timestamp: nil, checksum: 0)
    }

    @Test func whatIsThereIsFoundAndWhatIsNotIsExplained() async throws {
        let cluster = try InProcessCluster()
        try cluster.createTopic("logins", partitions: 2)
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        // More than the cluster keeps of a partition, so that its first records are gone.
        let large = String(repeating: "x", count: 500_000)
        _ = await producer.produceAll((0..<20).map { KafkaMessage("logins", partition: 0, key: "k", "\($0)\(large)") })
        _ = await producer.produceAll((0..<5).map { KafkaMessage("logins", partition: 1, key: "k\($0)", "v\($0)") })
        let member = RecordingMember()
        let consumer = try member.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        let one = TopicPartition(topic: "logins", partition: 1)
        let records = await member.until { history in
            history.records.contains { $0.topicPartition == one && $0.offset == 4 }
        }
        let third = try #require(records.records.first { $0.topicPartition == one && $0.offset == 2 })

        let inbox = ReadingInbox()
        let probe = try TopicProbe(
            configuration: KafkaConsumerConfiguration(brokers: cluster.bootstrapServers, group: "g", topics: ["logins"])
        )
        probe.start { _, readings in inbox.next.withLock { $0.take() }?(readings) }
        let missing = TopicPartition(topic: "logins", partition: 7)
        let first = await self.findings(
            probe,
            inbox,
            1,
            [one: self.print(2), self.partition: self.print(0), missing: self.print(3)]
        )
        #expect(first[one] == .record(TopicFingerprint(of: third)))
        #expect(first[self.partition] == .removed)
        #expect(!self.isVerdict(first[missing]))
        // The same partition again, at its end and beyond.
        #expect(await self.findings(probe, inbox, 2, [one: self.print(5)]) == [one: .ended])
        #expect(await self.findings(probe, inbox, 3, [one: self.print(900)]) == [one: .ended])
        #expect(
            await self.findings(probe, inbox, 4, [one: self.print(2)]) == [one: .record(TopicFingerprint(of: third))]
        )
        try cluster.setDown(broker: 1)
        let away = await self.findings(probe, inbox, 5, [one: self.print(2)])
        #expect(!self.isVerdict(away[one]))
        probe.close()
        probe.waitUntilGone(.now.advanced(by: .seconds(5)))
        #expect(probe.isOver)
        await consumer.close()
        await producer.close()
        await cluster.close()
    }

    @Test func keyValueAndNullsTellRecordsApart() {
        let prints = [
            (nil, nil), (nil, []), ([], nil), ([], []), ([1], [2]), ([1, 2], []), ([], [1, 2]), ([2], [1]),
        ].map { TopicFingerprint(offset: 1, timestamp: 1, key: $0.0, value: $0.1) }
        #expect(Set(prints).count == prints.count)
    }
}

/// Who waits for the next answer.
private final class ReadingInbox: Sendable {
    let next = Mutex<(@Sendable ([TopicPartition: FingerprintCheck.Reading]) -> Void)?>(nil)
}
