import AfterloginJSON
import AfterloginKafka
import Foundation
import Testing

@Suite("Commands, as processes", .timeLimit(.minutes(2)))
struct CommandTests {
    private func run(_ words: String..., input: String? = nil) throws -> (code: Int32, output: String, errors: String) {
        let process = try ChildProcess(Executables.afterlogin, words, input: input)
        let code = process.wait()
        return (code, process.standardOutputText, process.standardErrorText)
    }

    private static let names = ["run", "demo", "sandbox", "check", "doctor", "topics", "bench"]

    @Test(arguments: names)
    func everyCommandSaysWhatItTakes(name: String) throws {
        let help = try self.run(name, "--help")
        #expect(help.code == 0 && help.output.hasPrefix("afterlogin \(name): ") && help.output.contains("Example:"))
        let wrong = try self.run(name, "--hepl")
        #expect(wrong.code == 2 && wrong.errors.contains("--help"))
        #expect(try self.run("--help").output.contains("  \(name) "))
        #expect(try self.run().code == 2)
    }

    @Test func anUnknownCommandNamesTheNearest() throws {
        let result = try self.run("chekc")
        #expect(result.code == 2 && result.errors.contains("check"))
    }

    @Test(arguments: [
        ["run", "--output", "results"], ["run", "--input"], ["check", "rules"], ["check", "--format", "xml"],
        ["check", "--set", "rules.directory"], ["check", "--help=yes"], ["topics", "--partitions", "0"],
        ["topics", "--create=yes"], ["run", "--set", "kafka.broker=localhost"],
    ])
    func whatCannotBeMeantIsSaidAndEndsWith2(words: [String]) throws {
        let process = try ChildProcess(Executables.afterlogin, words)
        #expect(process.wait() == 2)
        #expect(process.standardOutputText.isEmpty)
        #expect(process.standardErrorText.hasPrefix("afterlogin \(words[0]): "), "\(process.standardErrorText)")
    }

    @Test(arguments: ["check", "run"])
    func everyProblemOfTheRulesIsToldAtOnce(command: String) throws {
        let folder = try TemporaryFolder()
        func rule(_ name: String, _ source: String, _ sidecar: String) throws {
            try folder.write(source, to: "rules/\(name).js")
            try folder.write(sidecar, to: "rules/\(name).json")
        }
        let good = "function (user, context, callback) { callback(null, user, context); }"
        try rule("first", good, #"{"order": 1, "enabled": true, "stage": "login_success"}"#)
        try rule("same-order", good, #"{"order": 1, "enabled": true, "stage": "login_success"}"#)
        try rule(
            "broken",
            "function (user, context, callback) {\n    const a = ;\n}",
            #"{"order": 3, "enabled": true, "stage": "login_success"}"#
        )
        try rule(
            "unknown-module",
            "function (user, context, callback) {\n  require('no-such-module-at-all');\n  callback(null, user, context);\n}",
            #"{"order": 4, "enabled": true, "stage": "login_success"}"#
        )
        try rule("bad-sidecar", good, "{\n  \"order\": }")
        try rule("disabled", "this is not JavaScript", #"{"order": 9, "enabled": false, "stage": "login_success"}"#)
        let result = try self.run(
            command,
            "--set",
            "rules.directory=\(folder.path)/rules",
            "--set",
            "admin.listen=none",
            "--set",
            "kafka.brokers=127.0.0.1:1"
        )
        #expect(result.code == 2)
        let errors = result.errors
        #expect(errors.contains("same-order.json:1:11: ") && errors.contains("order 1"), "\(errors)")
        #expect(errors.contains("broken.js:2:15: "), "\(errors)")
        #expect(errors.contains("unknown-module.js:2:") && errors.contains("no-such-module-at-all"), "\(errors)")
        #expect(errors.contains("bad-sidecar.json:2:"), "\(errors)")
        #expect(!errors.contains("disabled.js:") && errors.contains("note: "))
    }

    @Test func goodRulesAreListedInOrder() throws {
        let folder = try TemporaryFolder()
        for (name, order) in [("zuerst", 1), ("dann", 20), ("danach", 3)] {
            try folder.write("(user, context, callback) => callback(null, user, context)", to: "\(name).js")
            try folder.write(#"{"order": \#(order), "enabled": true, "stage": "login_success"}"#, to: "\(name).json")
        }
        let result = try self.run("check", "--set", "rules.directory=\(folder.path)", "--format", "json")
        #expect(result.code == 0, "\(result.errors)")
        let report = try JSONValue(parsing: Array(result.output.utf8))
        #expect(report["rules"] == ["zuerst", "danach", "dann"])
        #expect(report["problems"] == [])
    }

    @Test(arguments: ["check", "run", "doctor", "topics"])
    func everyProblemOfTheConfigurationIsToldAtOnce(command: String) throws {
        let folder = try TemporaryFolder()
        let text = """
            kafka:
              broker: localhost:9092
            rules:
              timeout: soon
              attempts: many
            tenant:
              client_secret: ${file:/no/such/secret}
              client_id: ${AFTERLOGIN_NO_SUCH_VARIABLE}
            concurrency: 0
            """
        try folder.write(text, to: "a.yaml")
        let result = try self.run(command, "--config", "\(folder.path)/a.yaml")
        #expect(result.code == 2)
        for (place, words) in [
            ("a.yaml:2:3: ", "kafka.brokers"), ("a.yaml:4:12: ", "timeout"), ("a.yaml:5:13: ", "attempts"),
            ("a.yaml:7:18: ", "/no/such/secret"), ("a.yaml:8:14: ", "AFTERLOGIN_NO_SUCH_VARIABLE"),
            ("a.yaml:9:14: ", "concurrency"),
        ] {
            let line = result.errors.split(separator: "\n").first { $0.contains(place) }
            #expect(line?.contains(words) == true, "\(place)\(words): \(result.errors)")
        }
        let missing = try self.run(command, "--config", "\(folder.path)/none.yaml")
        #expect(missing.code == 2 && missing.errors.contains("none.yaml"))
    }

    @Test func problemsOfTheConfigurationAreJSONWhereThatIsAskedFor() throws {
        let folder = try TemporaryFolder()
        try folder.write("kafka:\n  broker: localhost:9092\n", to: "a.yaml")
        let words = ["check", "--format", "json", "--config", "\(folder.path)/a.yaml", "--set", "drain=soon"]
        let process = try ChildProcess(Executables.afterlogin, words, environment: ["AFTERLOGIN_DRIAN": "1s"])
        #expect(process.wait() == 2)
        let problems = try JSONValue(parsing: Array(process.standardOutputText.utf8))["problems"]
        #expect(problems?[0]?["file"]?.string == "\(folder.path)/a.yaml" && problems?[0]?["line"]?.int == 2)
        #expect(problems?[1]?["file"]?.string == "--set drain" && problems?[1]?["line"] == nil)
        let noted = try ChildProcess(
            Executables.afterlogin,
            ["check", "--format", "json"],
            environment: ["AFTERLOGIN_DRIAN": "1s"]
        )
        let notes = try JSONValue(parsing: Array(noted.waitForOutput().utf8))["notes"]
        #expect(notes?[0]?["reason"]?.string?.contains("AFTERLOGIN_DRAIN") == true, "\(noted.standardOutputText)")
    }

    @Test func helpFitsATerminalAndHasTheKeysOnce() throws {
        let keys = try self.run("help", "configuration")
        #expect(keys.code == 0 && keys.output.contains("  kafka.brokers") && keys.output.contains("admin.listen"))
        #expect(keys.output.contains("What --set says goes before the environment, that before the file"))
        for words in [["help", "configuration"], ["--help"]] + Self.names.map({ [$0, "--help"] }) {
            let process = try ChildProcess(Executables.afterlogin, words)
            let lines = process.waitForOutput().split(separator: "\n", omittingEmptySubsequences: false)
            for line in lines { #expect(line.count <= 80, "\(words): \(line)") }
            // The sandbox lists its faults, which no other help does.
            if words.last == "--help", words != ["sandbox", "--help"] { #expect(lines.count < 30, "\(words)") }
        }
    }

    /// What a person reads holds no lines for machines, and says things once.
    @Test func doctorAndTopicsSpeakToPeople() throws {
        for command in ["topics", "doctor"] {
            let process = try ChildProcess(
                Executables.afterlogin,
                [command, "--set", "kafka.brokers=127.0.0.1:1"],
                environment: ["AFTERLOGIN_DRIAN": "1s"]
            )
            #expect(process.wait() == 1)
            let text = process.standardOutputText + process.standardErrorText
            #expect(!text.contains("{\"time\""), "\(text)")
            #expect(text.contains("note: AFTERLOGIN_DRIAN: ") && text.contains("AFTERLOGIN_DRAIN?"), "\(text)")
            #expect(text.contains("Connect to 127.0.0.1:1 failed: Connection refused"), "\(text)")
            #expect(
                !text.contains("_TRANSPORT") && !text.contains("bootstrap") && !text.contains("in state"),
                "\(text)"
            )
            #expect(command == "topics" || text.contains("1 problem; see afterlogin check"), "\(text)")
        }
    }

    @Test func aNodeThatOnlyStartsNodeIsNamed() throws {
        let chain = try HostileChain()
        let shim = "\(chain.folder.path)/node"
        try chain.folder.write("#!/bin/sh\nexec /usr/bin/env node \"$@\"\n", to: "node")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: shim)
        let file = "\(chain.folder.path)/afterlogin.yaml"
        let result = try self.run("check", "--config", file, "--set", "rules.host.node=\(shim)")
        #expect(result.code == 2 && result.errors.contains("node -p process.execPath"), "\(result.errors)")
    }

    @Test func aByteOrderMarkBeforeTheFirstLineIsNoPartOfIt() throws {
        let chain = try HostileChain()
        let process = try chain.run("\u{FEFF}" + HostileChain.event("fine", user: "a"))
        let lines = try ResultLines(process.standardOutputText)
        #expect(lines.updates.count == 1 && lines.failures.isEmpty, "\(process.standardOutputText)")
    }

    @Test(arguments: [
        (["check", "afterlogin.yaml"], "--config afterlogin.yaml"),
        (["check", "rules"], "--set rules.directory=rules"),
        (["run", "kafka.group=a"], "--set kafka.group=a"),
        (["check", "--format", "xml"], "takes text or json, not xml"),
        (["topics", "--partitions", "many"], "takes a number from 1 to 10000, not many"),
        (["check", "--nothing-like-it"], "see afterlogin check --help"), (["run", "--input"], "--input FILE|-"),
        (["check", "--help=all"], "write it alone"),
    ])
    func aWrongWordSaysWhatToWrite(words: [String], advice: String) throws {
        let process = try ChildProcess(Executables.afterlogin, words)
        #expect(process.wait() == 2 && process.standardErrorText.contains(advice), "\(process.standardErrorText)")
    }

    @Test func helpIsFoundWhereItIsLookedFor() throws {
        #expect(try self.run("help", "run").output == self.run("run", "--help").output)
        #expect(try self.run("--hlep").errors.contains("--help"))
        #expect(try self.run("nothing-like-it").errors.contains("afterlogin --help"))
        // For the program's own use.
        #expect(try !self.run("bench", "--help").output.contains("--worker"))
    }

    @Test func aConfigurationMayComeThroughAPipe() throws {
        let chain = try HostileChain()
        let process = try ChildProcess(
            "sh",
            ["-c", "cat afterlogin.yaml | \(Executables.afterlogin) check --config /dev/stdin"],
            in: chain.folder.path
        )
        #expect(process.wait() == 0, "\(process.standardErrorText)")
        let endless = try self.run("check", "--config", "/dev/zero")
        #expect(endless.code == 2 && endless.errors.contains("larger than"))
    }

    @Test func aLineWithoutATimeHasThatAtWhichItWasRead() throws {
        let chain = try HostileChain()
        let process = try chain.run(#"{"user":{"user_id":"a"}}"#)
        let time = try #require(try ResultLines(process.standardOutputText).updates.first?["time"]?.string)
        let read = try #require(
            try? Date(time, strategy: .iso8601.year().month().day().time(includingFractionalSeconds: true))
        )
        #expect(abs(read.timeIntervalSinceNow) < 120)
    }

    @Test func linesComeAndGoWithoutKafka() throws {
        let chain = try HostileChain()
        let fine = HostileChain.event("fine", user: "a")
        // Windows line ends, empty lines, no line feed at the end.
        let process = try chain.run("\(fine)\r\n\n\r\n\(HostileChain.event("fine", user: "b"))")
        let lines = try ResultLines(process.standardOutputText)
        #expect(Set(lines.updates.compactMap { $0["subject"]?.string }) == ["a", "b"] && lines.all.count == 2)
        let nothing = try chain.run("")
        #expect(nothing.wait() == 0 && nothing.standardOutputText.isEmpty)
        let many = (0..<500).map { HostileChain.event("fine", user: "u\($0 % 7)", id: "e\($0)") }
        let ordered = try ResultLines(try chain.run(many.joined(separator: "\n")).standardOutputText)
        #expect(ordered.updates.count == 500)
        for user in 0..<7 {
            let offsets = ordered.updates.filter { $0["subject"]?.string == "u\(user)" }
                .compactMap { $0["data"]?["login"]?["offset"]?.int }
            #expect(offsets == offsets.sorted() && offsets.count > 70)
        }
        let unreadable = try self.run(
            "run",
            "--config",
            "\(chain.folder.path)/afterlogin.yaml",
            "--input",
            "/no/such/file"
        )
        #expect(unreadable.code == 2 && unreadable.errors.contains("/no/such/file"))
    }

    @Test func resultsGoToAFile() throws {
        let chain = try HostileChain()
        let process = try chain.run(
            HostileChain.event("fine", user: "a") + "\n{",
            "--output",
            "\(chain.folder.path)/results"
        )
        #expect(process.wait() == 0 && process.standardOutputText.isEmpty)
        let lines = try ResultLines(chain.folder.text("results"))
        #expect(lines.updates.count == 1 && lines.failures.count == 1)
        let nowhere = try chain.run(HostileChain.event("fine", user: "a"), "--output", "/no/such/folder/results")
        #expect(nowhere.wait() == 2 && nowhere.standardErrorText.contains("/no/such/folder/results"))
    }

    @Test func aBrokerThatIsAwayIsNamedAndTheWorkerIsNotReady() throws {
        let chain = try HostileChain()
        let port = try FreePort.take()
        let worker = try chain.start("kafka.brokers=127.0.0.1:1", "admin.listen=127.0.0.1:\(port)")
        try worker.waitUntil("the broker is named") {
            worker.standardErrorText.contains("no broker of 127.0.0.1:1 answers")
        }
        let ready = try ChildProcess("curl", ["--silent", "--write-out", " %{http_code}", "127.0.0.1:\(port)/readyz"])
        let answer = ready.waitForOutput()
        #expect(
            answer.hasPrefix("starting: no broker of 127.0.0.1:1 answers: ") && answer.hasSuffix(" 503"),
            "\(answer)"
        )
        worker.send(SIGTERM)
        #expect(worker.wait() == 0, "\(worker.standardErrorText)")
    }

    @Test(.enabled(if: KafkaBroker.isAvailable))
    func topicsThatAreMissingAreNamedAndCreatedOnARealBroker() throws {
        let broker = try KafkaBroker()
        let set = ["--set", "kafka.brokers=\(broker.bootstrapServers)"]
        func run(_ words: [String]) throws -> (code: Int32, output: String) {
            let process = try ChildProcess(Executables.afterlogin, words + set)
            let code = process.wait()
            return (code, process.standardOutputText)
        }
        let names = ["logins", "user-updates", "user-update-failures"]
        let missing = try run(["topics"])
        #expect(missing.code == 1)
        let examined = try run(["doctor"])
        #expect(examined.code == 1)
        for name in names {
            let advice = "\(name): does not exist; run: afterlogin topics --create"
            #expect(missing.output.contains("no  \(advice)\n"), "\(missing.output)")
            #expect(examined.output.contains("problem  topic \(advice)\n"), "\(examined.output)")
        }
        for line in examined.output.split(separator: "\n") {
            #expect(["ok ", "warning ", "problem "].contains { line.hasPrefix($0) }, "\(line)")
        }
        let created = try run(["topics", "--create", "--partitions", "3"])
        #expect(created.code == 0, "\(created.output)")
        let found = try run(["topics", "--format", "json"])
        #expect(found.code == 0)
        let report = try JSONValue(parsing: Array(found.output.utf8))
        #expect(report.array?.compactMap { $0["state"]?.string } == ["3 partitions", "3 partitions", "3 partitions"])
        #expect(report.array?.compactMap { $0["topic"]?.string } == names)
    }

    @Test func topicsFindsThoseOfTheInProcessCluster() async throws {
        let cluster = try InProcessCluster()
        for topic in ["logins", "user-updates", "user-update-failures"] {
            try cluster.createTopic(topic, partitions: 2)
        }
        let found = try self.run("topics", "--set", "kafka.brokers=\(cluster.bootstrapServers)")
        #expect(found.code == 0)
        #expect(
            found.output
                == "ok  logins: 2 partitions\nok  user-updates: 2 partitions\nok  user-update-failures: 2 partitions\n"
        )
        await cluster.close()
        let away = try self.run("topics", "--set", "kafka.brokers=127.0.0.1:1")
        #expect(away.code == 1 && away.errors.contains("no broker of 127.0.0.1:1 answers"))
    }

    @Test func doctorHasALineForEachPartAndSaysWhatToDo() async throws {
        let cluster = try InProcessCluster()
        for topic in ["logins", "user-updates"] { try cluster.createTopic(topic, partitions: 2) }
        let chain = try HostileChain()
        let sandbox = try SandboxProcess(in: chain.folder)
        let host = sandbox.host
        func doctor(_ settings: String...) throws -> (code: Int32, lines: [String: String]) {
            let base = [
                "doctor", "--format", "json", "--config", "\(chain.folder.path)/afterlogin.yaml", "--set",
                "tenant.domain=\(host)", "--set", "tenant.client_id=sandbox-client", "--set",
                "egress.ca_file=\(sandbox.certificate)", "--set", "egress.allow=\(host),\(sandbox.control)",
                "--set",
                "tokens.profiles.audience=https://profiles.example/api",
            ]
            let process = try ChildProcess(Executables.afterlogin, base + settings.flatMap { ["--set", $0] })
            let code = process.wait()
            let report = try JSONValue(parsing: Array(process.standardOutputText.utf8))
            let lines = (report.array ?? []).map { line in
                (line["what"]?.string ?? "", "\(line["verdict"]?.string ?? ""): \(line["finding"]?.string ?? "")")
            }
            return (code, Dictionary(lines) { $1 })
        }
        let good = try doctor("kafka.brokers=\(cluster.bootstrapServers)", "tenant.client_secret=sandbox-secret")
        #expect(good.code == 0)
        #expect(good.lines["brokers"]?.hasPrefix("ok: ") == true, "\(good.lines)")
        #expect(good.lines["topic logins"] == "ok: 2 partitions")
        #expect(good.lines["token endpoint"]?.hasPrefix("ok: ") == true, "\(good.lines)")
        #expect(good.lines["host \(host)"]?.hasPrefix("ok: ") == true, "\(good.lines)")
        #expect(good.lines["host \(sandbox.control)"]?.hasPrefix("ok: answers without TLS") == true, "\(good.lines)")
        #expect(good.lines["open files"]?.contains("calls at a time") == true, "\(good.lines)")
        let named = good.lines["host api.example"]
        #expect(named?.hasPrefix("warning: ") == true, "\(good.lines)")
        #expect(named?.contains("not in egress.allow") == true, "\(good.lines)")
        #expect(good.lines["rules"]?.hasPrefix("ok: 2 in order; ") == true, "\(good.lines)")
        #expect(good.lines["rules"]?.hasSuffix(" see afterlogin check") == true, "\(good.lines)")
        #expect(good.lines["Node"]?.hasPrefix("ok: v") == true && good.lines["confinement"] != nil)
        let bad = try doctor("kafka.brokers=127.0.0.1:1", "tenant.client_secret=wrong", "rules.host.node=/no/such/node")
        #expect(bad.code == 1)
        #expect(
            bad.lines["brokers"]?.contains("127.0.0.1:1") == true && bad.lines["brokers"]?.hasPrefix("problem") == true
        )
        #expect(bad.lines["token endpoint"]?.hasPrefix("problem: ") == true, "\(bad.lines)")
        #expect(bad.lines["token endpoint"]?.contains("401") == true, "\(bad.lines)")
        #expect(bad.lines["Node"]?.hasPrefix("problem: ") == true)
        sandbox.kill()
        await cluster.close()
    }
}
