import AfterloginDelivery
import AfterloginJSON
import AfterloginKafka
import AfterloginRules
import AfterloginSandbox
import Testing

@Suite("What an audit finds", .timeLimit(.minutes(1)))
struct AuditLedgerTests {
    /// Input and result topics with two users, and results as the worker builds them.
    private struct Scene {
        private static let logins = TopicPartition(topic: "logins", partition: 3)
        private let builder = ResultBuilder(source: "/afterlogin", chain: [])
        private var generator = LoginGenerator(seed: 1, users: 1, distribution: .even, unverifiedShare: 0)
        private var written: [String: Int64] = [:]
        var inputs: [KafkaRecord] = []
        var ledger = AuditLedger()

        init(logins: Int) {
            for number in 0..<logins {
                let login = self.generator.next(at: 1_000)
                let record = KafkaRecord(
                    topicPartition: Self.logins,
                    offset: Int64(number) + 10,
                    timestamp: 1_000,
                    key: login.key,
                    value: login.value
                )
                self.inputs.append(record)
                self.ledger.loginRead(record)
            }
        }

        mutating func update(_ index: Int, isDenial: Bool = false, source: String? = nil) throws {
            let event = try NativeEventDecoder().decode(self.inputs[index]).get()
            var builder = self.builder
            if let source { builder.source = source }
            let state = ChainState(user: event.user, context: event.context)
            let result =
                isDenial
                ? builder.denial(event, state, rule: "guard", message: "no") : builder.update(event, state)
            self.ledger.updateRead(self.place(result, in: "user-updates"))
        }

        /// With what its rules wrote before it.
        mutating func failureAfterWrites(_ index: Int) throws {
            let event = try NativeEventDecoder().decode(self.inputs[index]).get()
            var state = ChainState(user: event.user, context: event.context)
            state.metadata.app.write("claimed", JSONText(.bool(true)))
            let description = FailureDescription(reason: "rule-error", message: "m")
            let result = self.builder.failure(event, state, description)
            for record in result.preceding { self.ledger.updateRead(self.place(record, in: "user-updates")) }
            self.ledger.failureRead(self.place(result, in: "user-update-failures"))
        }

        mutating func failure(_ index: Int, reason: String) {
            let result = self.builder.failure(self.inputs[index], FailureDescription(reason: reason, message: "m"))
            self.ledger.failureRead(self.place(result, in: "user-update-failures"))
        }

        private mutating func place(_ result: ResultRecord, in topic: String) -> KafkaRecord {
            let offset = self.written[topic, default: 0]
            self.written[topic] = offset + 1
            return KafkaRecord(
                topicPartition: TopicPartition(topic: topic, partition: 0),
                offset: offset,
                timestamp: 1_020 + offset,
                key: result.key,
                value: result.value,
                headers: result.headers
            )
        }
    }

    @Test func aRunWithoutFaultIsClean() throws {
        var scene = Scene(logins: 4)
        try scene.update(0)
        try scene.update(1, isDenial: true)
        scene.failure(2, reason: "limit")
        try scene.update(3)
        let report = scene.ledger.report()
        #expect(report.isClean && report.duplicates == 0, "\(report.examples)")
        #expect(report.logins == 4 && report.updates == 2 && report.denials == 1 && report.failures == ["limit": 1])
        #expect(report.latency.p50 == 21 && report.latency.longest == 22)
        #expect(scene.ledger.report(latencySince: 1_000).latency == report.latency)
        #expect(scene.ledger.report(latencySince: 1_001).latency.longest == 0)
        #expect(scene.ledger.resultCount == 4)
    }

    /// Its result is the failure.
    @Test func whatRulesWroteOfAFailedLoginIsNoResult() throws {
        var scene = Scene(logins: 1)
        try scene.failureAfterWrites(0)
        let report = scene.ledger.report()
        #expect(report.isClean && report.failures == ["rule-error": 1], "\(report.examples)")
        #expect(scene.ledger.resultCount == 1)
    }

    @Test func aLostLoginIsNamed() throws {
        var scene = Scene(logins: 3)
        try scene.update(0)
        try scene.update(2)
        let report = scene.ledger.report()
        #expect(report.lost == 1 && !report.isClean)
        #expect(report.examples == ["logins/3@11 has no result"])
    }

    @Test func aDuplicateIsCountedAndKeepsItsPlaceInTheOrder() throws {
        var scene = Scene(logins: 3)
        for index in [0, 1, 0, 1, 2] { try scene.update(index) }
        let report = scene.ledger.report()
        #expect(report.duplicates == 2 && report.contradictions == 0 && report.orderViolations == 0)
        #expect(report.updates == 3 && report.isClean)
    }

    @Test func anInversionOfOneUsersResultsIsFound() throws {
        var scene = Scene(logins: 4)
        for index in [0, 2, 1, 3] { try scene.update(index) }
        let report = scene.ledger.report()
        #expect(report.orderViolations == 1 && report.lost == 0)
        #expect(report.examples == ["auth0|000001: logins/3@11 came after @12"])
    }

    @Test func twoResultsOfOneLoginThatDifferContradictEachOther() throws {
        var scene = Scene(logins: 2)
        try scene.update(0)
        try scene.update(0, source: "/other")
        try scene.update(1)
        scene.failure(1, reason: "limit")
        let report = scene.ledger.report()
        #expect(report.contradictions == 2 && report.duplicates == 2 && !report.isClean)
    }

    @Test func aResultOfNoLoginIsAStranger() throws {
        var scene = Scene(logins: 1)
        try scene.update(0)
        var record = scene.inputs[0]
        record.offset = 99
        scene.inputs[0] = record
        try scene.update(0)
        scene.ledger.updateRead(record)
        #expect(scene.ledger.report().strangers == 2)
    }
}
