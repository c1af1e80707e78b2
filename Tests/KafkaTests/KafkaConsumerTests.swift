import AfterloginSystem
import AfterloginTestSupport
import Testing

@testable import AfterloginKafka

@Suite("A consumer on the in-process cluster", .timeLimit(.minutes(3)))
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

    private func cluster(_ topic: String = "logins", partitions: Int = 2) throws -> (InProcessCluster, KafkaProducer) {
        let cluster = try InProcessCluster()
        try cluster.createTopic(topic, partitions: partitions)
        return (
            cluster, try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        )
    }

    @Test func aCommitIsWhereTheNextMemberStarts() async throws {
        let (cluster, producer) = try self.cluster()
        _ = await producer.produceAll((0..<40).map { KafkaMessage("logins", partition: $0 % 2, "v\($0)") })
        let first = RecordingMember()
        let consumer = try first.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        await first.until { $0.records.count == 40 }
        let zero = TopicPartition(topic: "logins", partition: 0)
        let one = TopicPartition(topic: "logins", partition: 1)
        let metadata = Array("map:1".utf8)
        let answer = await consumer.commit([
            OffsetCommit(topicPartition: zero, offset: 7, map: metadata),
            OffsetCommit(topicPartition: one, offset: 20),
        ])
        #expect((try? answer.get()) != nil)
        // Nothing that is not ours, and no metadata that would be stored empty.
        let foreign = TopicPartition(topic: "logins", partition: 9)
        guard case .failure(let error) = await consumer.commit([OffsetCommit(topicPartition: foreign, offset: 1)])
        else {
            Issue.record("a foreign partition was committed")
            return
        }
        #expect(error.partitions == [foreign])
        let large = OffsetCommit(topicPartition: zero, offset: 8, map: Array(repeating: 0x61, count: 3_969))
        #expect((try? (await consumer.commit([large])).get()) == nil)
        await consumer.close()
        let second = RecordingMember()
        let next = try second.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        let history = await second.until { $0.records.count == 13 }
        #expect(history.assigned.first { $0.topicPartition == zero }?.committedOffset == 7)
        #expect(history.assigned.first { $0.topicPartition == zero }?.committedMap == metadata)
        #expect(history.records.map(\.offset) == Array(7..<20))
        await next.close()
        #expect((try? (await next.commit([OffsetCommit(topicPartition: zero, offset: 9)])).get()) == nil)
        await producer.close()
        await cluster.close()
    }

    @Test func intakeStopsWhenToldAndGoesOnWithoutLoss() async throws {
        let (cluster, producer) = try self.cluster(partitions: 1)
        _ = await producer.produceAll((0..<100).map { KafkaMessage("logins", partition: 0, "v\($0)") })
        let member = RecordingMember(appetite: 2)
        let consumer = try member.join(cluster.bootstrapServers, group: "g", topics: ["logins"], maxBatch: 10)
        let before = await member.until { $0.batches.count == 2 }
        #expect(before.batches.allSatisfy { $0 <= 10 })
        _ = await producer.produceAll([KafkaMessage("logins", partition: 0, "last")])
        #expect(member.history.batches.count == 2)
        member.eat(nil)
        consumer.resumeIntake()
        let after = await member.until { $0.records.count == 101 }
        #expect(after.records.map(\.offset) == Array(0..<101))
        consumer.stopIntake()
        await consumer.close()
        await producer.close()
        await cluster.close()
    }

    @Test func aSecondMemberWaitsForTheDrainOfTheFirst() async throws {
        let (cluster, producer) = try self.cluster(partitions: 2)
        _ = await producer.produceAll((0..<20).map { KafkaMessage("logins", partition: $0 % 2, "v\($0)") })
        let first = RecordingMember()
        let consumer = try first.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        await first.until { $0.records.count == 20 }
        let second = RecordingMember(onRevoke: { member, _ in member.consumer?.finishRevocation() })
        let other = try second.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        let revoked = await first.until { !$0.revoked.isEmpty }
        #expect(Set(revoked.revoked[0]).count == 2 && revoked.lost.isEmpty)
        #expect(second.history.assigned.isEmpty)
        // The in-process cluster takes no commit in a rebalance; the real broker does, and has a test of its own.
        let commits = revoked.revoked[0].map { OffsetCommit(topicPartition: $0, offset: 10) }
        _ = await consumer.commit(commits)
        #expect(second.history.assigned.isEmpty)
        consumer.finishRevocation()
        await second.until { !$0.owned.isEmpty }
        await first.until { $0.owned.count == 1 }
        #expect(first.history.owned.isDisjoint(with: second.history.owned))
        await consumer.close()
        await other.close()
        await producer.close()
        await cluster.close()
    }

    @Test func aGroupThatTakesNobodyInSaysWhy() async throws {
        let (cluster, producer) = try self.cluster(partitions: 1)
        let inconsistentProtocol: Int32 = 23
        cluster.push(errors: [inconsistentProtocol], to: .joinGroup)
        let member = RecordingMember()
        let consumer = try member.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        let history = await member.until { $0.owned.count == 1 && $0.problems.last == .some(nil) }
        #expect(history.problems.first??.code == "INCONSISTENT_GROUP_PROTOCOL")
        #expect(history.problems.count == 2)
        await consumer.close()
        await producer.close()
        await cluster.close()
    }

    /// Two brokers, each of which leads a partition with one record.
    private func clusterWithTwoLeaders() async throws -> (InProcessCluster, KafkaProducer) {
        let cluster = try InProcessCluster(brokers: 2)
        try cluster.createTopic("logins", partitions: 2)
        for partition: Int32 in [0, 1] { try cluster.setLeader(partition + 1, of: "logins", partition: partition) }
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        _ = await producer.produceAll((0..<2).map { KafkaMessage("logins", partition: $0, "v") })
        return (cluster, producer)
    }

    @Test func aPartitionWithoutALeaderIsTold() async throws {
        let (cluster, producer) = try await self.clusterWithTwoLeaders()
        let member = RecordingMember()
        let consumer = try member.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        await member.until { $0.records.count == 2 }
        try cluster.setLeader(-1, of: "logins", partition: 1)
        try cluster.setDown(broker: 2)
        await member.until { $0.problems.last??.code == "LEADER_NOT_AVAILABLE" }
        try cluster.setLeader(1, of: "logins", partition: 1)
        await member.until { $0.problems.last == .some(nil) }
        #expect(member.history.ends.count == 2 && member.history.ends.values.allSatisfy { $0 == 1 })
        await consumer.close()
        await producer.close()
        await cluster.close()
    }

    @Test func aBrokerThatComesBackIsFoundAgain() async throws {
        let (cluster, producer) = try self.cluster(partitions: 1)
        _ = await producer.produceAll([KafkaMessage("logins", partition: 0, "before")])
        let member = RecordingMember()
        let consumer = try member.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        await member.until { $0.records.count == 1 }
        try cluster.setDown(broker: 1)
        let waiting = Task { await producer.produceAll([KafkaMessage("logins", partition: 0, "during")]) }
        await member.until { $0.problems.contains { $0 != nil } }
        while producer.problem == nil { await Task.yield() }
        try cluster.setUp(broker: 1)
        #expect((try? await waiting.value[0].get()) == 1)
        let after = await member.until { $0.records.count == 2 && $0.problems.last == .some(nil) }
        #expect(after.failures.isEmpty)
        #expect(producer.problem == nil)
        await consumer.close()
        await producer.close()
        await cluster.close()
    }

    /// Any broker answers for metadata; the one that leads a partition may be frozen or cut off all the same.
    @Test func allIsWellOnlyWhenTheBrokerThatLeadsAPartitionAnswersAgain() async throws {
        let (cluster, producer) = try await self.clusterWithTwoLeaders()
        let member = RecordingMember()
        let consumer = try member.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        await member.until { $0.records.count == 2 }
        try cluster.setDown(broker: 2)
        let during = await member.until { !$0.problems.isEmpty }
        #expect(during.problems.count == 1 && during.problems[0] != nil)
        // The other broker goes on to answer; nothing of that is an end.
        _ = await producer.produceAll([KafkaMessage("logins", partition: 0, "w")])
        let still = await member.until { $0.records.count == 3 }
        #expect(still.problems.count == 1)
        try cluster.setUp(broker: 2)
        let after = await member.until { $0.problems.last == .some(nil) }
        #expect(after.problems.count == 2)
        await consumer.close()
        await producer.close()
        await cluster.close()
    }

    /// Its connections stay, so librdkafka sees nothing for `socket.timeout.ms`.
    @Test func aBrokerThatIsFrozenIsToldLongBeforeLibrdkafkaSeesIt() async throws {
        let (cluster, producer) = try await self.clusterWithTwoLeaders()
        let member = RecordingMember()
        let consumer = try member.join(
            cluster.bootstrapServers,
            group: "g",
            topics: ["logins"],
            properties: ["socket.timeout.ms": "300000"],
            fingerprintInterval: .seconds(1)
        )
        await member.until { $0.records.count == 2 }
        try cluster.setRoundTripTime(.seconds(600), broker: 2)
        let during = await member.until { !$0.problems.isEmpty }
        #expect(during.problems[0]?.message.contains("does not answer") == true, "\(during.problems)")
        try cluster.setRoundTripTime(.zero, broker: 2)
        // What it held back it would hold for ten minutes.
        try cluster.setDown(broker: 2)
        try cluster.setUp(broker: 2)
        await member.until { $0.problems.last == .some(nil) }
        await consumer.close()
        await producer.close()
        await cluster.close()
    }

    @Test(arguments: [
        (
            "sasl_ssl://kafka:9093/bootstrap: Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol configuration (connecting to a SSL listener?) or broker version is < 0.10 (see api.version.request) (after 3ms in state APIVERSION_QUERY)",
            "sasl_ssl://kafka:9093/bootstrap: the broker ended the connection before it said anything: it starts, stops or has too much to do; where that lasts, security.protocol is another than the listener's (TLS or not)"
        ),
        (
            "kafka:9092/1: ApiVersionRequest failed: Local: Timed out: probably due to broker version < 0.10 (see api.version.request configuration) (after 10003ms in state APIVERSION_QUERY)",
            "kafka:9092/1: the broker took the connection and does not answer: it is frozen, cut off or has too much to do"
        ),
        ("Local: Timed out", "no answer in time: the broker is frozen, cut off or has too much to do"),
        ("Local: Broker transport failure", "the connection to the broker was lost, or did not come about"),
        (
            "GroupCoordinator: kafka:9092: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT, 1 identical error(s) suppressed)",
            "GroupCoordinator: kafka:9092: Connect to 10.0.0.1:9092 failed: Connection refused"
        ),
        ("Broker: Not enough in-sync replicas", "Broker: Not enough in-sync replicas"),
        (
            "[thrd:main]: Consumer group session timed out (in join-state steady) after 15081 ms without a successful response from the group coordinator (broker 1, last error was Success): revoking assignment and rejoining group",
            "the group's coordinator has not answered for session.timeout.ms: the partitions are taken away, and the group is joined again"
        ),
    ]) func whatLibrdkafkaGuessesIsSaidAsItIs(text: String, meaning: String) {
        #expect(KafkaError.explained(text, 0x0200_02ff) == meaning)
    }

    @Test func membersCanBeMadeAndEndedAgainAndAgain() async throws {
        let (cluster, producer) = try self.cluster()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let member = RecordingMember(onRevoke: { member, _ in member.consumer?.finishRevocation() })
                    guard
                        let consumer = try? member.join(
                            cluster.bootstrapServers,
                            group: "g\(number)",
                            topics: ["logins"]
                        )
                    else {
                        Issue.record("no consumer")
                        return
                    }
                    await consumer.close()
                    await consumer.close()
                }
            }
        }
        await producer.close()
        #expect((try? await producer.produceAll([KafkaMessage("logins", "late")])[0].get()) == nil)
        await cluster.close()
    }
}

@Suite("A producer on the in-process cluster", .timeLimit(.minutes(1)))
struct KafkaProducerTests {
    /// Numbers of Kafka's protocol.
    private let tooLarge: Int32 = 10
    private let notEnoughReplicas: Int32 = 19

    private func places() throws -> (InProcessCluster, KafkaProducer) {
        let cluster = try InProcessCluster()
        try cluster.createTopic("results", partitions: 1)
        return (
            cluster, try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        )
    }

    @Test func troublesOfTheClusterAreSatOutInOrder() async throws {
        let (cluster, producer) = try self.places()
        cluster.push(errors: Array(repeating: self.notEnoughReplicas, count: 3), to: .produce)
        let results = await producer.produceAll((0..<50).map { KafkaMessage("results", key: "k", "v\($0)") })
        let offsets = try results.map { try $0.get() }
        #expect(offsets == offsets.sorted() && Set(offsets).count == 50)
        #expect(producer.pendingCount == 0 && producer.problem == nil)
        await producer.close()
        await cluster.close()
    }

    /// librdkafka's idempotent producer ends with some of the broker's answers; what it had is the next one's.
    @Test(
        arguments: [
            // OUT_OF_ORDER_SEQUENCE_NUMBER, CLUSTER_AUTHORIZATION_FAILED
            (45, .produce), (31, .initProducerID),
        ] as [(Int32, InProcessCluster.Request)]
    )
    func aProducerThatEndsIsFollowedByAnotherOneInOrder(error: Int32, request: InProcessCluster.Request) async throws {
        let cluster = try InProcessCluster()
        try cluster.createTopic("results", partitions: 1)
        if request == .initProducerID { cluster.push(errors: [error], to: request) }
        let lines = Mutex<[KafkaLogLine]>([])
        let producer = try KafkaProducer(
            configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers) { line in
                lines.withLock { $0.append(line) }
            }
        )
        func wave(_ number: Int) -> [KafkaMessage] {
            (0..<200).map { KafkaMessage("results", key: "k\($0 % 10)", "\(number)-\($0)") }
        }
        var results = await producer.produceAll(wave(0))
        if request == .produce { cluster.push(errors: [error], to: request) }
        async let second = producer.produceAll(wave(1))
        async let third = producer.produceAll(wave(2))
        results += await second + third
        let offsets = try results.map { try $0.get() }
        #expect(Set(offsets).count == 600)
        for key in 0..<10 {
            for wave in 0..<3 {
                let ofKey = stride(from: key, to: 200, by: 10).map { offsets[wave * 200 + $0] }
                #expect(ofKey == ofKey.sorted())
            }
        }
        #expect(lines.withLock { lines in lines.count { $0.facility == "RENEW" } } == 1)
        #expect(producer.pendingCount == 0 && producer.problem == nil)
        await producer.close()
        await cluster.close()
    }

    /// A broker that does not answer at that moment keeps nothing back.
    @Test func aProducerThatEndsDoesNotWaitForABrokerThatHangs() async throws {
        let (cluster, producer) = try self.places()
        _ = await producer.produceAll([KafkaMessage("results", "warm")])
        try cluster.setRoundTripTime(.seconds(600), broker: 1)
        let waiting = Task {
            await producer.produceAll((0..<40).map { KafkaMessage("results", key: "k\($0 % 4)", "\($0)") })
        }
        while producer.pendingCount < 40 { await Task.yield() }
        producer.endClient(number: 48)
        while producer.problem?.isFatal != true { await Task.yield() }
        try cluster.setRoundTripTime(.zero, broker: 1)
        let offsets = try await waiting.value.map { try $0.get() }
        for key in 0..<4 {
            let ofKey = stride(from: key, to: 40, by: 4).map { offsets[$0] }
            #expect(ofKey == ofKey.sorted() && Set(ofKey).count == 10)
        }
        await producer.close()
        await cluster.close()
    }

    @Test func whatIsNotAcknowledgedInTimeIsAProblem() async throws {
        let cluster = try InProcessCluster()
        try cluster.createTopic("results", partitions: 1)
        func producer(_ longest: Duration) throws -> KafkaProducer {
            try KafkaProducer(
                configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers, longestDelivery: longest)
            )
        }
        let (hasty, patient) = (try producer(.zero), try producer(.seconds(600)))
        for one in [hasty, patient] { _ = await one.produceAll([KafkaMessage("results", "warm")]) }
        #expect(hasty.problem == nil)
        // An answer that never comes, on a connection that stays.
        try cluster.setRoundTripTime(.seconds(600), broker: 1)
        for one in [hasty, patient] { one.produce(KafkaMessage("results", "late")) { _ in } }
        #expect(hasty.problem?.message.contains("no acknowledgement for") == true)
        #expect(patient.problem == nil)
        await hasty.close()
        await patient.close()
        await cluster.close()
    }

    @Test func aBatchThatIsTooLargeIsSentAgainOneByOne() async throws {
        let (cluster, producer) = try self.places()
        cluster.push(errors: [self.tooLarge], to: .produce)
        let results = await producer.produceAll((0..<20).map { KafkaMessage("results", key: "k\($0)", "v") })
        #expect(results.allSatisfy { (try? $0.get()) != nil })
        await producer.close()
        await cluster.close()
    }

    @Test func whatWaitsIsDroppedByAPurgeAndByTheEnd() async throws {
        let (cluster, producer) = try self.places()
        _ = await producer.produceAll([KafkaMessage("results", "warm")])
        try cluster.setDown(broker: 1)
        let dropped = Task { await producer.produceAll((0..<5).map { KafkaMessage("results", key: "k", "v\($0)") }) }
        while producer.pendingCount < 5 { await Task.yield() }
        #expect(await producer.flush(deadline: .milliseconds(50)) == 5)
        producer.purge()
        let ended = Task { await producer.produceAll([KafkaMessage("results", "v")]) }
        while producer.pendingCount == 0 { await Task.yield() }
        await producer.close()
        for result in await dropped.value + (await ended.value) {
            guard case .failure(let error) = result else {
                Issue.record("written while the broker was down")
                continue
            }
            #expect(["_PURGE_QUEUE", "_PURGE_INFLIGHT", "_DESTROY"].contains(error.code), "\(error)")
        }
        await cluster.close()
    }

    @Test func aPingIsAnsweredByTheThreadAndAtOnceWhereThereIsNone() async throws {
        let cluster = try InProcessCluster()
        try cluster.createTopic("logins", partitions: 1)
        let producer = try KafkaProducer(configuration: KafkaProducerConfiguration(brokers: cluster.bootstrapServers))
        let member = RecordingMember()
        let idle = try KafkaConsumer(
            configuration: KafkaConsumerConfiguration(
                brokers: cluster.bootstrapServers,
                group: "idle",
                topics: ["logins"]
            ),
            delegate: member
        )
        #expect(await !AnsweringThread.name(idle.ping).hasPrefix("afterlogin"))
        let consumer = try member.join(cluster.bootstrapServers, group: "g", topics: ["logins"])
        #expect(await AnsweringThread.name(consumer.ping).hasPrefix("afterlogin.cons"))
        #expect(await AnsweringThread.name(producer.ping).hasPrefix("afterlogin.prod"))
        await consumer.close()
        await producer.close()
        #expect(await !AnsweringThread.name(consumer.ping).hasPrefix("afterlogin"))
        #expect(await !AnsweringThread.name(producer.ping).hasPrefix("afterlogin"))
        await idle.close()
        await cluster.close()
    }
}
