import AfterloginDelivery
import AfterloginKafka
import AfterloginRules
import AfterloginSandbox
import Testing

@Suite("Feed and audit on the in-process cluster", .timeLimit(.minutes(1)))
struct ResultAuditTests {
    @Test func whatIsFedIsReadToTheEndAndALostLoginShows() async throws {
        let cluster = try InProcessCluster()
        try cluster.createTopic("logins", partitions: 2)
        try cluster.createTopic("user-updates", partitions: 2)
        try cluster.createTopic("user-update-failures", partitions: 1)
        let feed = try LoginFeed(
            brokers: cluster.bootstrapServers,
            topic: "logins",
            generator: LoginGenerator(seed: 1, users: 20, distribution: .even, unverifiedShare: 0)
        )
        try await feed.backlog(300)
        try await feed.run(rate: 10_000, count: 100)
        feed.send { generator, time in generator.nextInvitedInARing(at: time) }
        try await feed.flush(.seconds(20))
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        let builder = ResultBuilder(source: "/afterlogin", chain: [])
        let relay = LoginRelay(builder: builder, producer: producer, forgets: 7)
        let consumer = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: cluster.bootstrapServers,
                group: "relay",
                topics: ["logins"],
                properties: ["session.timeout.ms": "6000"]
            ),
            delegate: relay
        )
        let audit = try ResultAudit(brokers: cluster.bootstrapServers)
        consumer.start()
        #expect(await audit.waitForResults(400, patience: .seconds(40)))
        #expect(try await audit.readToEnd())
        let report = audit.report()
        #expect(report.logins == 401 && report.updates == 400 && report.lost == 1 && report.orderViolations == 0)
        #expect(report.strangers == 0 && report.duplicates == 0, "\(report.examples)")
        #expect(feed.sentCount == 401)
        await consumer.close()
        await audit.close()
        await feed.close()
        await producer.close()
        await cluster.close()
    }
}

/// The least worker: an update for every login but one.
private final class LoginRelay: KafkaConsumerDelegate {
    private let builder: ResultBuilder
    private let producer: KafkaProducer
    private let forgotten: Int64

    init(builder: ResultBuilder, producer: KafkaProducer, forgets offset: Int64) {
        self.builder = builder
        self.producer = producer
        self.forgotten = offset
    }

    func batchReceived(_ records: [KafkaRecord], ends: [TopicPartition: Int64]) -> Bool {
        for record in records where record.topicPartition.partition != 0 || record.offset != self.forgotten {
            guard case .success(let event) = NativeEventDecoder().decode(record) else { continue }
            let result = self.builder.update(event, ChainState(user: event.user, context: event.context))
            self.producer.produce(KafkaMessage(topic: "user-updates", key: result.key, value: result.value)) { _ in }
        }
        return true
    }

    func partitionsAssigned(_ partitions: [AssignedPartition]) {}
    func partitionsRevoked(_ partitions: [TopicPartition]) {}
    func partitionsLost(_ partitions: [TopicPartition]) {}
    func consumerProblemChanged(_ problem: KafkaError?) {}
    func partitionStands(_ partition: TopicPartition, _ reason: KafkaError?) {}
    func consumerFailed(_ error: KafkaError) {}
}
