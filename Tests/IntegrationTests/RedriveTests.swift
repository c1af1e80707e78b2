import AfterloginJSON
import AfterloginKafka
import Foundation
import Testing

/// What the README says about running failures again: the failures topic as input, with a group and a failures topic of their own.
@Suite("Failures that are run again", .timeLimit(.minutes(2)))
struct RedriveTests {
    @Test func failuresAreRunAgainFromTheirTopic() async throws {
        let cluster = try InProcessCluster()
        for topic in ["logins", "user-updates", "user-update-failures", "user-update-failures-again"] {
            try cluster.createTopic(topic, partitions: 2)
        }
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        for mode in ["rejects", "fine"] {
            let value = Array(HostileChain.event(mode, user: "user-\(mode)", id: "evt-\(mode)").utf8)
            _ = try await producer.produce(KafkaMessage(topic: "logins", key: [9], value: value))
        }
        let reader = RecordReader()
        let consumer = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: cluster.bootstrapServers,
                group: "reader",
                topics: ["user-updates", "user-update-failures", "user-update-failures-again"],
                properties: ["session.timeout.ms": "6000"],
                revocationDeadline: .seconds(5)
            ),
            delegate: reader
        )
        consumer.start()
        func records(_ topic: String) -> [KafkaRecord] { reader.records.filter { $0.topicPartition.topic == topic } }
        let brokers = "kafka.brokers=\(cluster.bootstrapServers)"
        let chain = try HostileChain()
        let first = try chain.start(brokers)
        try first.waitUntil("an update and a failure") { reader.records.count >= 2 }
        first.send(SIGTERM)
        #expect(first.wait() == 0)
        // The rule is mended meanwhile.
        let rule = "\(chain.folder.path)/rules/hostile.js"
        let mended = "function (user, context, callback) { user.mended = true; callback(null, user, context); }"
        try Data(mended.utf8).write(to: URL(fileURLWithPath: rule))
        let again = try chain.start(
            brokers,
            "kafka.group=afterlogin-again",
            "kafka.input=user-update-failures",
            "results.failures=user-update-failures-again"
        )
        try again.waitUntil("the update of the failed login") { records("user-updates").count >= 2 }
        again.send(SIGTERM)
        #expect(again.wait() == 0, "\(again.standardErrorText)")
        let updates = try records("user-updates").map { try JSONValue(parsing: $0.value ?? []) }
        let update = try #require(updates.first { $0["subject"]?.string == "user-rejects" })
        #expect(update["data"]?["user"]?["mended"] == true && update["data"]?["login"]?["id"]?.string == "evt-rejects")
        #expect(records("user-update-failures-again").isEmpty)
        await consumer.close()
        await producer.close()
        await cluster.close()
    }
}
