import AfterloginDelivery
import AfterloginObservability
import AfterloginTestSupport
import Testing

@testable import Afterlogin
@testable import AfterloginEgress
@testable import AfterloginRules

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
        let text = "kafka: { brokers: 'file:1', group: file, input: [a, b] }\nrules: { timeout: 250ms, quiet: 2s }"
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
        #expect(configuration.rules.quiet == .seconds(2))
    }

    @Test(arguments: [("auto", nil), ("text", .text), ("json", .json)] as [(String, Log.Format?)])
    func theLogHasTheFormatThatIsAskedFor(text: String, format: Log.Format?) throws {
        #expect(try Self.load("log: { format: \(text) }").loaded?.configuration.logFormat == format)
    }

    @Test
    func bodiesInFlightHaveABudgetOfAMegabyteAtLeast() throws {
        #expect(try Self.load("").loaded?.configuration.egress.bodyBytes == 128 << 20)
        let (loaded, _) = try Self.load("egress: { bodies: 64MB }")
        #expect(loaded?.configuration.egress.bodyBytes == 64 << 20)
        let (_, problems) = try Self.load("egress: { bodies: 500KB }")
        #expect(problems.count == 1 && problems[0].contains("egress.bodies takes at least 1MB"), "\(problems)")
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
                "afterlogin.yaml:6:14: concurrency takes one value, not a list",
                "afterlogin.yaml:7:41: tenant.client_id: the environment has no NOT_SET: set it where afterlogin is started",
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

    @Test(arguments: [
        (
            "kafka: { brokers: ['a:1', 'b:2'], properties: { sasl.passwrod: hunter22 } }",
            "1:49: kafka.properties: property sasl.passwrod: No such"
        ),
        (
            "kafka: { properties: { sasl.mechanism: x, acks: 1 } }",
            "1:43: kafka.properties: property acks cannot be set to 1: "
        ),
        ("rules: { backoff: { base: 60s } }", "1:27: rules.backoff.base is longer than rules.backoff.cap"),
        ("egress: { backoff: { base: 2s, cap: 1s } }", "1:28: egress.backoff.base is longer than egress.backoff.cap"),
        ("egress: { tunnels: ['db:5432'] }", "1:20: egress.tunnels: tunnels are not supported yet"),
        ("tenant: { domain: 'https://d.example/' }", "1:19: tenant.domain takes a host name, without https://"),
        ("tenant: { client_secret: [hunter22] }", "1:26: tenant.client_secret takes one value, not a list"),
        ("rules: { host: { memory: 1MB } }", "1:26: rules.host.memory takes at least 96MB"),
    ])
    func whatCannotWorkIsSaidBeforeTheStartAndNamesNoSecret(text: String, problem: String) throws {
        let (_, problems) = try Self.load(text)
        #expect(problems.count == 1 && problems[0].hasPrefix("afterlogin.yaml:\(problem)"), "\(problems)")
        #expect(!problems.joined().contains("hunter22"))
    }

    @Test
    func theEnvironmentIsFilledInAsTheFileIs() throws {
        let folder = try RuleFolder()
        try folder.write("secret", "hunter22\n")
        let (loaded, problems) = try Self.load(
            "kafka: { brokers: ['a:1', 'b:2'] }",
            environment: [
                "AFTERLOGIN_TENANT_CLIENT_SECRET": "${file:\(folder.path)/secret}",
                "AFTERLOGIN_TENANT_CLIENT_ID": "${WHO}",
                "AFTERLOGIN_TENANT_DOMAIN": "d.example", "WHO": "me",
                "AFTERLOGIN_CONFIGURATION_TEMPLATE": "Dear $${name}",
            ]
        )
        #expect(problems.isEmpty)
        let configuration = try #require(loaded).configuration
        #expect(configuration.tenant.clientSecret == "hunter22" && configuration.tenant.clientID == "me")
        #expect(configuration.configuration.first?.value == "Dear ${name}")
        #expect(configuration.kafka.brokers == "a:1,b:2")
        #expect(loaded?.secrets == ["hunter22"] || loaded?.secrets == ["hunter22", "hunter22"])
        let (_, missing) = try Self.load("", environment: ["AFTERLOGIN_RULES_DIRECTORY": "${file:/no/such/file}"])
        #expect(
            missing == [
                "AFTERLOGIN_RULES_DIRECTORY: rules.directory: the file /no/such/file can't be read: No such file or directory; "
                    + "the user that runs afterlogin must be able to read it"
            ]
        )
    }

    @Test
    func aByteOrderMarkIsNoKey() throws {
        let (loaded, problems) = try Self.load("\u{FEFF}kafka: { group: marked }")
        #expect(problems.isEmpty && loaded?.configuration.kafka.group == "marked")
    }

    @Test(arguments: [
        ("a,b", ["a", "b"]), ("[a, b]", ["a", "b"]), ("['a', \"b\"]", ["a", "b"]), ("[]", []), ("[::1]", ["[::1]"]),
        ("[::1]:9092", ["[::1]:9092"]), ("a", ["a"]), ("[a]", ["a"]),
    ])
    func aListIsWrittenAsInTheFileToo(text: String, items: [String]) throws {
        let (loaded, problems) = try Self.load("", overrides: [("egress.optional", text)])
        #expect(problems.isEmpty && loaded?.configuration.egress.optional == items)
        let (other, _) = try Self.load("", environment: ["AFTERLOGIN_EGRESS_OPTIONAL": text])
        #expect(other?.configuration.egress.optional == items)
    }

    @Test
    func aVariableForNamesWithoutANameSaysHowItIsWritten() throws {
        let (loaded, _) = try Self.load("", environment: ["AFTERLOGIN_KAFKA_PROPERTIES": "x"])
        let note = try #require(loaded).notes.map(\.description).joined()
        #expect(note.contains("each in a variable of its own, as in AFTERLOGIN_KAFKA_PROPERTIES_NAME"), "\(note)")
        #expect(!note.contains("did you mean"))
    }

    @Test(arguments: [
        ("kafka: { input: [same] }\nresults: { updates: same }", "results.updates is same, which kafka.input reads"),
        ("results: { updates: same, failures: same }", "results.failures is same, as results.updates is: name another"),
        ("results: { failures: 'a b' }", "results.failures: a b can't be the name of a topic: write letters, digits"),
        ("kafka: [1]", "kafka has keys below it, and takes no value: set kafka.brokers, kafka.group, kafka.input, …"),
        ("nothing: like it", "there is no key nothing; afterlogin help configuration lists them"),
        ("- a", "holds no keys: write them as in kafka: { brokers: localhost:9092 }"),
        ("kafka: { input: { a: b } }", "kafka.input takes a list, and no keys below it: kafka.input: [VALUE, …]"),
    ])
    func aProblemSaysWhatToWrite(text: String, words: String) throws {
        let (_, problems) = try Self.load(text)
        #expect(problems.count == 1 && problems[0].contains(words), "\(problems)")
    }

    @Test
    func aVariableThatIsNoKeyIsNotedWithTheNearest() throws {
        let (loaded, problems) = try Self.load(
            "",
            environment: [
                "AFTERLOGIN_KAFAK_BROKERS": "a:1", "AFTERLOGIN_CONFIGURATION": "x", "AFTERLOGIN_NPM": "/packages",
            ]
        )
        #expect(problems.isEmpty)
        let notes = try #require(loaded).notes.map(\.description)
        #expect(notes.count == 2, "\(notes)")
        #expect(notes.last?.hasPrefix("AFTERLOGIN_KAFAK_BROKERS: ") == true)
        #expect(notes.last?.hasSuffix("did you mean AFTERLOGIN_KAFKA_BROKERS?") == true)
    }

    @Test(arguments: [
        ("kafka.properties", "kafka.properties takes names with values: kafka.properties.NAME=VALUE"),
        ("kafka", "kafka has keys below it, and takes no value"), ("kafak.group", "did you mean kafka.group?"),
    ])
    func aFlagForNoSingleKeySaysWhatThereIs(path: String, words: String) throws {
        let (_, problems) = try Self.load("", overrides: [(path, "x")])
        #expect(
            problems.count == 1 && problems[0].hasPrefix("--set \(path): ") && problems[0].contains(words),
            "\(problems)"
        )
    }

    // MARK: Secrets

    @Test
    func theFileSaysWhatIsSecret() throws {
        let text = """
            configuration:
              DATABASE: swordfish
              NAME: harmless
              FROM_ELSEWHERE: unsaid
              TOKEN_URL: https://id.example/oauth/token
              PASSWORD_URL: https://me:hunter22@id.example/
              secret: [DATABASE, OF_THE_ENVIRONMENT]
            """
        let (loaded, problems) = try Self.load(
            text,
            environment: ["AFTERLOGIN_CONFIGURATION_OF_THE_ENVIRONMENT": "from outside"]
        )
        #expect(problems.isEmpty, "\(problems)")
        let configuration = try #require(loaded)
        #expect(!configuration.configuration.configuration.map(\.name).contains("secret"))
        let redactor = Redactor(secrets: configuration.secrets)
        let said = redactor.redact(
            "swordfish, harmless, from outside, https://id.example/oauth/token, hunter22, https://id.example/"
        )
        #expect(
            said
                == "[redacted], harmless, [redacted], https://id.example/oauth/token, [redacted], https://id.example/"
        )
    }

    @Test
    func aRulesOwnKeyMayBeCalledSecret() throws {
        let (loaded, problems) = try Self.load("configuration: { secret: hunter22 }")
        #expect(problems.isEmpty)
        #expect(loaded?.configuration.configuration.map(\.name) == ["secret"])
        #expect(loaded?.secrets == ["hunter22"])
    }

    @Test
    func aSecretThatIsNoKeyIsAProblemThatNamesTheNearest() throws {
        let (_, problems) = try Self.load("configuration: { DATABASE: swordfish, secret: [DATABSE] }")
        #expect(
            problems == [
                "afterlogin.yaml:1:48: configuration.secret: configuration has no DATABSE; did you mean DATABASE?"
            ]
        )
    }

    /// An address with a password, a misspelt property, a list: what is wrong is said, and nothing that is secret.
    @Test(arguments: [
        "egress: { allow: ['https://me:hunter22@api.example'] }", "egress: { allow: ['me:hunter22@api.example:443'] }",
        "tenant: { token_url: 'ftp://me:hunter22@id.example/' }", "tenant: { domain: 'me:hunter22@id.example/x' }",
        "admin: { listen: 'me:hunter22@localhost' }", "kafka: { input: ['me:hunter22@topic'] }",
        "kafka: { properties: { security.protocol: '${file:secret}' } }",
        "rules: { timeout: '${file:secret}', directory: '${file:secret}/x' }\nkafka: { input: '${file:secret} x' }",
        "log: { level: '${THE_SECRET}' }\nkafka: { properties: { 'x${THE_SECRET}': y } }",
        "egress: { allow: ['api.example/?key=${THE_SECRET}'] }",
    ])
    func noMessageEchoesASecret(text: String) throws {
        let folder = try RuleFolder()
        try folder.write("afterlogin.yaml", text)
        try folder.write("secret", "hunter22\n")
        let loader = ConfigurationLoader(
            file: "\(folder.path)/afterlogin.yaml",
            environment: ["THE_SECRET": "hunter22"],
            overrides: []
        )
        let problems = #expect(throws: ConfigurationProblems.self) { try loader.load() }
        let said = try #require(problems).description
        #expect(!said.isEmpty && !said.contains("hunter22"), "\(said)")
    }

    /// Rules read what lies in their folder.
    @Test
    func aSecretInTheRulesFolderIsRefused() throws {
        func problems(_ text: String, _ secret: String) throws -> [String] {
            let folder = try RuleFolder()
            try folder.write("afterlogin.yaml", text)
            try folder.write(secret, "hunter22\n")
            do throws(ConfigurationProblems) {
                let loader = ConfigurationLoader(
                    file: "\(folder.path)/afterlogin.yaml",
                    environment: ["THE_SECRET": "hunter22"],
                    overrides: []
                )
                return try loader.load().notes.map(\.message)
            } catch {
                return error.problems.map { "refused: \($0.message)" }
            }
        }
        let tenant = "tenant: { domain: d.example, client_id: me, client_secret: "
        let inFile = try problems("rules: { directory: . }\n\(tenant)hunter22 }", "unused")
        #expect(
            inFile.count == 1 && inFile[0].hasPrefix("refused: rules.directory")
                && inFile[0].contains("afterlogin.yaml"),
            "\(inFile)"
        )
        let besides = try problems("rules: { directory: . }\n\(tenant)'${file:secret}' }", "secret")
        #expect(besides.count == 1 && besides[0].hasPrefix("refused: ") && besides[0].contains("/secret"), "\(besides)")
        // Nothing secret in it: rules see it all the same.
        let plain = try problems("rules: { directory: . }\n\(tenant)'${THE_SECRET}' }", "unused")
        #expect(plain.count == 1 && plain[0].contains("rules can read afterlogin.yaml"), "\(plain)")
        #expect(try problems("rules: { directory: rules }\n\(tenant)hunter22 }", "unused") == [])
    }

    @Test
    func aNameOfTheInsideIsNotedWhereItsEntryAllowsNoPrivateAddress() throws {
        let (loaded, problems) = try Self.load(
            "egress: { allow: [sandbox:8443, api.example.com, db.internal, 'private:kafka:9092', '10.0.0.1', localhost:1] }"
        )
        #expect(problems.isEmpty)
        let notes = try #require(loaded).notes.map(\.message)
        #expect(notes.count == 2, "\(notes)")
        #expect(notes.first?.contains("private:sandbox:8443") == true)
        #expect(notes.last?.contains("private:db.internal") == true)
    }
}
