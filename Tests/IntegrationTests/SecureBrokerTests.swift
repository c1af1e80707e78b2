import AfterloginKafka
import Foundation
import Testing

/// TLS, SASL and permissions, as clusters that others run have them.
@Suite(
    .serialized,
    .enabled(if: KafkaBroker.isAvailable, "needs KAFKA_HOME"),
    .timeLimit(.minutes(3))
)
struct SecureBrokerTests {
    private static let topics = ["logins", "user-updates", "user-update-failures"]

    /// A broker that lets in who has a password over TLS, and lets them do what an access list says; its other listener is for the test.
    private struct Place {
        let broker: KafkaBroker
        let folder: TemporaryFolder
        let address: String

        init() async throws {
            self.folder = try TemporaryFolder()
            try Self.makeCertificate(self.folder)
            let port = try FreePort.take()
            self.address = "127.0.0.1:\(port)"
            let secure = "SASL_SSL://127.0.0.1:\(port)"
            self.broker = try KafkaBroker([
                "listeners": "PLAINTEXT://:9092,\(secure),CONTROLLER://:9093",
                "advertised.listeners": "PLAINTEXT://:9092,\(secure)",
                "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
                "ssl.keystore.type": "PEM", "ssl.keystore.location": "\(self.folder.path)/broker.pem",
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config":
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                "listener.name.sasl_ssl.plain.sasl.jaas.config":
                    "org.apache.kafka.common.security.plain.PlainLoginModule required user_worker=\"right-password\";",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            ])
            let admin = try KafkaAdmin(brokers: self.broker.bootstrapServers, properties: [:])
            _ = try await admin.create(
                SecureBrokerTests.topics.map { TopicSpecification(name: $0, partitions: 1) },
                timeout: .seconds(20)
            )
            await admin.close()
        }

        private static func makeCertificate(_ folder: TemporaryFolder) throws {
            let openssl = try ChildProcess(
                "openssl",
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                    "\(folder.path)/key.pem",
                    "-out", "\(folder.path)/ca.pem",
                ]
            )
            try #require(openssl.wait() == 0, "\(openssl.standardErrorText)")
            try folder.write(folder.text("key.pem") + folder.text("ca.pem"), to: "broker.pem")
        }

        func properties(
            password: String = "right-password",
            trusts: Bool = true,
            mechanism: String = "PLAIN"
        ) -> [String: String] {
            var properties = [
                "security.protocol": "SASL_SSL", "sasl.mechanisms": mechanism, "sasl.username": "worker",
                "sasl.password": password,
            ]
            if trusts { properties["ssl.ca.location"] = "\(self.folder.path)/ca.pem" }
            return properties
        }

        func process(
            _ command: String,
            _ properties: [String: String],
            _ more: String...
        ) throws -> ChildProcess {
            let settings =
                ["kafka.brokers=\(self.address)", "admin.listen=none"] + more
                + properties.map { "kafka.properties.\($0.key)=\($0.value)" }
            return try ChildProcess(Executables.afterlogin, [command] + settings.flatMap { ["--set", $0] })
        }

        /// By Kafka's own tool.
        func addUser(password: String) throws {
            let tool = try self.broker.tool([
                "kafka.admin.ConfigCommand", "--bootstrap-server", self.broker.bootstrapServers, "--alter",
                "--add-config", "SCRAM-SHA-512=[password=\(password)]", "--entity-type", "users", "--entity-name",
                "worker",
            ])
            try #require(tool.wait() == 0, "\(tool.standardErrorText)")
        }

        /// By Kafka's own tool.
        func allow(_ words: [String]) throws {
            let tool = try self.broker.tool(
                [
                    "org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.broker.bootstrapServers, "--add",
                    "--allow-principal", "User:worker",
                ] + words
            )
            try #require(tool.wait() == 0, "\(tool.standardErrorText)")
        }
    }

    @Test
    func aPasswordAndACertificateLetInAndWhatIsWrongIsSaid() async throws {
        let place = try await Place()
        try place.allow(["--operation", "All", "--topic", "*"])
        let right = try place.process("topics", place.properties())
        #expect(right.wait() == 0, "\(right.standardErrorText)")
        let wrong = try place.process("topics", place.properties(password: "wrong-password"))
        let stranger = try place.process("topics", place.properties(trusts: false))
        #expect(wrong.wait() == 1)
        #expect(wrong.standardErrorText.contains("Authentication failed: Invalid username or password"))
        #expect(!wrong.standardErrorText.contains("wrong-password"))
        #expect(stranger.wait() == 1)
        #expect(stranger.standardErrorText.contains("broker certificate could not be verified"))
        // librdkafka says it once; so it is kept for as long as it is so.
        let admin = try KafkaAdmin(brokers: place.address, properties: place.properties(password: "wrong-password"))
        for _ in 0..<2 {
            let error = await #expect(throws: KafkaError.self) { try await admin.brokers(timeout: .seconds(2)) }
            #expect(error?.message.contains("Invalid username or password") == true, "\(String(describing: error))")
        }
        await admin.close()
    }

    /// librdkafka before 2.6.1 can't use SCRAM with this broker, and says that the password is wrong.
    @Test
    func scramLetsInOrSaysThatTheLibraryIsTooOld() async throws {
        let place = try await Place()
        try place.allow(["--operation", "All", "--topic", "*"])
        try place.addUser(password: "right-password")
        let refusal = "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM"
        let right = try place.process("topics", place.properties(mechanism: "SCRAM-SHA-512"))
        if right.wait() != 0 {
            #expect(right.standardErrorText.contains(refusal))
            #expect(
                right.standardErrorText.contains("librdkafka before 2.6.1 can't use SCRAM with Kafka 4, and this is")
            )
        }
        let port = try FreePort.take()
        let folder = try TemporaryFolder()
        try folder.write("function pass(user, context, callback) { callback(null, user, context); }", to: "pass.js")
        try folder.write(#"{"order": 10, "enabled": true, "stage": "login_success"}"#, to: "pass.json")
        let wrong = try place.process(
            "run",
            place.properties(password: "wrong-password", mechanism: "SCRAM-SHA-512"),
            "admin.listen=127.0.0.1:\(port)",
            "rules.directory=\(folder.path)"
        )
        try wrong.waitUntil("it is not ready, and says why") {
            let answer = try ChildProcess(
                "curl",
                ["--silent", "--write-out", " %{http_code}", "http://127.0.0.1:\(port)/readyz"]
            ).waitForOutput()
            return answer.contains(place.address) && answer.contains(refusal) && answer.hasSuffix(" 503")
        }
        #expect(!wrong.standardErrorText.contains("wrong-password"))
        wrong.send(SIGTERM)
        #expect(wrong.wait() == 0)
    }

    @Test
    func whatTheAccessListRefusesIsNamed() async throws {
        let place = try await Place()
        let nothing = try place.process("doctor", place.properties())
        #expect(nothing.wait() == 1)
        #expect(nothing.standardOutputText.contains("problem  topic logins: Broker: Topic authorization failed"))
        let everyTopic = Self.topics.flatMap { ["--topic", $0] }
        try place.allow(["--operation", "Describe"] + everyTopic)
        try place.allow(["--operation", "Write", "--topic", "user-updates"])
        let little = try place.process("doctor", place.properties())
        #expect(little.wait() == 1)
        let text = little.standardOutputText
        #expect(text.contains("topic logins: can't be read: Broker: Topic authorization failed"), "\(text)")
        #expect(text.contains("group afterlogin: can't be used: Broker: Group authorization failed"), "\(text)")
        // One topic takes results, the other one doesn't: its trouble stays.
        let producer = try KafkaProducer(
            configuration: KafkaProducerConfiguration(brokers: place.address, properties: place.properties())
        )
        producer.produce(KafkaMessage(topic: "user-update-failures", key: [1], value: [1])) { _ in }
        try await place.broker.wait("it is refused") { producer.problem != nil }
        _ = try await producer.produce(KafkaMessage(topic: "user-updates", key: [1], value: [1]))
        #expect(producer.problem?.message.contains("topic user-update-failures") == true)
        try place.allow(["--operation", "Write", "--topic", "user-update-failures"])
        try await place.broker.wait("it is written") { producer.pendingCount == 0 }
        #expect(producer.problem == nil)
        await producer.close()
        try place.allow(["--operation", "Read", "--topic", "logins", "--group", "afterlogin"])
        let all = try place.process("doctor", place.properties())
        _ = all.wait()
        #expect(all.standardOutputText.contains("ok       group afterlogin: may be used"), "\(all.standardOutputText)")
        #expect(!all.standardOutputText.contains("can't be read"), "\(all.standardOutputText)")
    }
}
