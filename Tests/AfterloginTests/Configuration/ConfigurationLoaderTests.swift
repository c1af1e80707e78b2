import Testing

@testable import Afterlogin

@Suite(.timeLimit(.minutes(1)))
struct ConfigurationLoaderTests {
    private static func load(
        _ text: String,
        environment: [String: String] = [:],
        overrides: [(key: String, value: String)] = []
    ) throws -> (loaded: LoadedConfiguration?, problems: [String]) {
        let folder = try RuleFolder()
        try folder.write("afterlogin.yaml", text)
        let file = "\(folder.path)/afterlogin.yaml"
        do throws(ConfigurationProblems) {
            let loader = ConfigurationLoader(file: file, environment: environment, overrides: overrides)
            return (try loader.load(), [])
        } catch {
            return (nil, error.problems.map { $0.description.replacing("\(folder.path)/", with: "") })
        }
    }

    @Test
    func flagsBeatTheEnvironmentWhichBeatsTheFile() throws {
        let text = "kafka: { brokers: 'file:1', group: file, input: [a, b] }\nrules: { timeout: 250ms }"
        let (loaded, problems) = try Self.load(
            text,
            environment: ["AFTERLOGIN_KAFKA_BROKERS": "environment:1", "AFTERLOGIN_KAFKA_GROUP": "environment"],
            overrides: [("kafka.brokers", "flag:1")]
        )
        #expect(problems.isEmpty)
        let configuration = try #require(loaded).configuration
        #expect(configuration.kafka.brokers == "flag:1")
        #expect(configuration.kafka.group == "environment")
        #expect(configuration.kafka.input == ["a", "b"])
        #expect(configuration.rules.timeout == .milliseconds(250))
    }

    @Test
    func allProblemsAreSaidAtOnceWithTheirPlaces() throws {
        let text = """
            kafka:
              brokrs: x
            rules:
              timeout: soon
              host: { memory: 300 apples }
            concurrency: [1]
            tenant: { domain: d.example, client_id: "${NOT_SET}" }
            """
        let (_, problems) = try Self.load(text)
        #expect(
            problems == [
                "afterlogin.yaml:2:3: there is no key kafka.brokrs; did you mean kafka.brokers?",
                "afterlogin.yaml:4:12: rules.timeout takes a duration with its unit: 250ms, 20s, 5m, 24h, 7d",
                "afterlogin.yaml:5:19: rules.host.memory takes a size: 500KB, 64MB, 2GB",
                "afterlogin.yaml:6:14: concurrency takes no list",
                "afterlogin.yaml:7:41: tenant.client_id: the environment has no NOT_SET",
            ]
        )
    }

    @Test
    func secretsAreTakenFromTheirPlacesAndKnownToTheRedactor() throws {
        let text = """
            tenant: { domain: d.example, client_id: me, client_secret: "${THE_SECRET}" }
            configuration: { API_KEY: key-in-the-file, NAME: "${USER_NAME}" }
            """
        let (loaded, problems) = try Self.load(text, environment: ["THE_SECRET": "hunter22", "USER_NAME": "someone"])
        #expect(problems.isEmpty)
        let secrets = Set(try #require(loaded).secrets)
        #expect(secrets == ["hunter22", "key-in-the-file"])
        #expect(loaded?.configuration.tenant.clientSecret == "hunter22")
        #expect(loaded?.configuration.configuration.first { $0.name == "NAME" }?.value == "someone")
    }

    @Test
    func aMissingSecretOrFileIsAProblemAndIsNotEchoed() throws {
        let text = "tenant: { domain: d.example, client_id: me, client_secret: \"${file:nowhere}\" }"
        let (_, problems) = try Self.load(text)
        #expect(problems.count == 1)
        #expect(problems.first?.contains("tenant.client_secret: the file nowhere can't be read") == true)
    }

    @Test
    func librdkafkasPropertiesPassThrough() throws {
        let (loaded, _) = try Self.load(
            "kafka:\n  properties:\n    security.protocol: SASL_SSL\n    sasl.password: hunter22"
        )
        #expect(
            loaded?.configuration.kafka.properties == ["security.protocol": "SASL_SSL", "sasl.password": "hunter22"]
        )
        #expect(loaded?.secrets == ["hunter22"])
    }
}
