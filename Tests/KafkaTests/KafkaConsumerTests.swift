import Kafka
import Testing

@Suite("A consumer on the in-process cluster", .timeLimit(.minutes(1)))
struct KafkaConsumerTests {
    @Test func recordsComeAsTheyWereWrittenInOrderPerPartition() async throws {
        let cluster = try InProcessCluster()
        try cluster.createTopic("logins", partitions: 2)
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        let headers = [
            KafkaHeader(name: "a", value: [1, 0, 2]), KafkaHeader(name: "a", value: nil),
            KafkaHeader(name: "é", value: []),
        ]
        var messages = (0..<200).map { KafkaMessage("logins", partition: $0 % 2, key: "k\($0)", "v\($0)") }
        messages.append(KafkaMessage(topic: "logins", partition: 0, key: nil, value: nil, headers: headers))
        messages.append(KafkaMessage(topic: "logins", partition: 0, key: [], value: []))
        let results = await producer.produceAll(messages)
        #expect(results.allSatisfy { (try? $0.get()) != nil })
        let member = RecordingMember()
        let consumer = try member.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        let history = await member.until { $0.records.count == 202 }
        for partition: Int32 in [0, 1] {
            let records = history.records.filter { $0.topicPartition.partition == partition }
            #expect(records.map(\.offset) == Array(0..<Int64(records.count)))
            #expect(
                records.prefix(100).map { $0.value } == (0..<100).map { Array("v\($0 * 2 + Int(partition))".utf8) }
            )
        }
        let last = history.records.filter { $0.topicPartition.partition == 0 }.suffix(2).map(\.self)
        #expect(last.first?.value == nil && last.first?.key == nil && last.first?.headers == headers)
        #expect(last.last?.value == [] && last.last?.key == [])
        #expect(history.assigned.allSatisfy { $0.committedOffset == nil })
        await consumer.close()
        await producer.close()
        await cluster.close()
    }
}
