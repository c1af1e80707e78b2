import Testing

@testable import AfterloginKafka

@Suite("What a batch says of partitions that began anew")
struct RecordBatchTests {
    /// The end of what was read before must not be committed in the partition of the same name that is there now.
    @Test
    func aPartitionThatRestartedHasNeitherTheRecordsNorTheEndOfTheOldOne() {
        let (old, other) = (
            TopicPartition(topic: "logins", partition: 0), TopicPartition(topic: "logins", partition: 1)
        )
        var records = [old, other].map { KafkaRecord(topicPartition: $0, offset: 8, key: nil, value: nil) }
        var news = RecordBatch.News()
        news.ends = [old: 9, other: 9]
        news.restarted(old, at: 0, &records)
        #expect(news.restarted == [old: 0])
        #expect(news.ends == [other: 9])
        #expect(records.map(\.topicPartition) == [other])
    }
}
