import AfterloginJSON
import Foundation
import Testing

/// What a person or a supervisor does to a command: signals, closed descriptors, full disks.
@Suite("Commands that are broken off", .timeLimit(.minutes(3)))
struct InterruptionTests {
    /// A rule that calls back when it is too late for every test here.
    private func slowRules() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write(
            "(user, context, callback) => { console.log('begun'); setTimeout(callback, 15000); }",
            to: "rules/slow.js"
        )
        try folder.write(#"{"order": 1, "enabled": true, "stage": "login_success"}"#, to: "rules/slow.json")
        return folder
    }

    private func shell(_ script: String, in folder: TemporaryFolder) throws -> ChildProcess {
        try ChildProcess("sh", ["-c", script], environment: ["AFTERLOGIN": Executables.afterlogin], in: folder.path)
    }

    /// A login whose rule has begun.
    private func slowRun(_ folder: TemporaryFolder, drain: String) throws -> ChildProcess {
        let process = try ChildProcess(
            Executables.afterlogin,
            ["run", "--input", "-", "--set", "rules.directory=\(folder.path)/rules", "--set", "drain=\(drain)"],
            input: #"{"user":{"user_id":"a"}}"#
        )
        try process.waitUntil("the rule has begun") { process.standardErrorText.contains("begun") }
        return process
    }

    @Test(arguments: [(SIGINT, Int32(130)), (SIGTERM, Int32(143))])
    func linesThatAreLeftAreNoSuccess(signal: Int32, code: Int32) throws {
        let folder = try self.slowRules()
        let process = try self.slowRun(folder, drain: "100ms")
        process.send(signal)
        #expect(process.wait() == Int32(code), "\(process.standardErrorText)")
        #expect(process.standardOutputText.isEmpty)
    }

    @Test func aSecondSignalEndsAtOnce() throws {
        let folder = try self.slowRules()
        let process = try self.slowRun(folder, drain: "1m")
        let start = ContinuousClock.now
        process.send(SIGTERM)
        process.send(SIGINT)
        let code = process.wait()
        #expect([130, 143].contains(code) && ContinuousClock.now - start < .seconds(10))
    }

    @Test func aDemoThatIsStoppedClaimsNoLossAndLeavesNothingBehind() throws {
        let folder = try TemporaryFolder()
        let demo = try ChildProcess(Executables.afterlogin, ["demo"], environment: ["TMPDIR": folder.path])
        try demo.waitUntil("the rules are loaded") { demo.standardErrorText.contains("rules in order") }
        demo.send(SIGINT)
        #expect(demo.wait() == 130, "\(demo.standardErrorText)")
        #expect(demo.standardOutputText.isEmpty && demo.standardErrorText.contains("stopped after"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func aWorkerWithoutABrokerStopsWhenItIsTold() throws {
        let folder = try self.slowRules()
        let worker = try ChildProcess(
            Executables.afterlogin,
            [
                "run", "--set", "rules.directory=\(folder.path)/rules", "--set", "kafka.brokers=127.0.0.1:1", "--set",
                "admin.listen=none",
            ]
        )
        try worker.waitUntil("it has started") { worker.standardErrorText.contains("\"started\"") }
        let start = ContinuousClock.now
        worker.send(SIGTERM)
        #expect(worker.wait() == 0, "\(worker.standardErrorText)")
        // Before the broker's ten seconds are over, and before Docker's.
        #expect(ContinuousClock.now - start < .seconds(7))
    }

    @Test(arguments: [
        (#""$AFTERLOGIN" run --input - --set rules.directory=rules <&-"#, 1, "cannot read standard input"),
        (
            #"echo '{"user":{"user_id":"a"}}' | "$AFTERLOGIN" run --input - --set rules.directory=fast >&-"#, 1,
            "cannot write standard output"
        ),
        (
            #"echo '{"user":{"user_id":"a"}}' | "$AFTERLOGIN" run --input - --set rules.directory=fast >/dev/full"#, 1,
            "cannot write standard output: No space left"
        ),
        (#""$AFTERLOGIN" check --set rules.directory=fast >/dev/full"#, 1, "cannot write to standard output"),
        (#""$AFTERLOGIN" --help | true; exit 0"#, 0, ""),
        (#""$AFTERLOGIN" run --input events --output events --set rules.directory=fast"#, 2, "the same file"),
        (#""$AFTERLOGIN" run --input evnets --output events --set rules.directory=fast"#, 2, "cannot read evnets"),
    ])
    func whatCannotBeReadOrWrittenIsSaid(script: String, code: Int, words: String) throws {
        let folder = try self.slowRules()
        try folder.write("(user, context, callback) => callback(null, user, context)", to: "fast/fast.js")
        try folder.write(#"{"order": 1, "enabled": true, "stage": "login_success"}"#, to: "fast/fast.json")
        try folder.write("{}\n", to: "events")
        let process = try self.shell(script, in: folder)
        #expect(process.wait() == Int32(code), "\(process.standardErrorText)")
        #expect(process.standardErrorText.contains(words) || words.isEmpty, "\(process.standardErrorText)")
        #expect(folder.text("events") == "{}\n")
    }
}
