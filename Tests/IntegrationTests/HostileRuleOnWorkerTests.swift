import AfterloginJSON
import Foundation
import Testing

/// What a rule can do to the worker itself where the kernel does not keep it in.
@Suite("A rule against its worker", .timeLimit(.minutes(2)))
struct HostileRuleOnWorkerTests {
    private static let rule = """
        function takesOver(user, context, callback) {
            const fs = require('fs');
            const attempt = (body) => { try { return `done: ${body()}`; } catch (error) { return error.code; } };
            const worker = `/proc/${process.ppid}`;
            user.attempts = {
                environment: attempt(() => fs.readFileSync(`${worker}/environ`, 'latin1').includes('SECRET')),
                memory: attempt(() => fs.openSync(`${worker}/mem`, 'r+')),
                descriptors: attempt(() => fs.readdirSync(`${worker}/fd`).length),
                maps: attempt(() => fs.readFileSync(`${worker}/maps`).length),
            };
            callback(null, user, context);
        }
        """

    /// As nobody, since root may look at any process; `off` stands for a kernel without Landlock, and for one without seccomp too.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/setpriv"), "needs setpriv"))
    func theWorkersEnvironmentAndMemoryAreNotAnybodysWhereNothingIsConfined() throws {
        let folder = try TemporaryFolder()
        try folder.write(Self.rule, to: "rules/takes-over.js")
        try folder.write(#"{"order": 1, "enabled": true, "stage": "login_success"}"#, to: "rules/takes-over.json")
        let asNobody =
            geteuid() == 0 ? ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
        let words =
            asNobody + [
                Executables.afterlogin, "run", "--input", "-", "--set", "rules.directory=\(folder.path)/rules", "--set",
                "rules.host.confinement=off", "--set", "rules.host.count=1",
            ]
        let process = try ChildProcess(
            words[0],
            Array(words.dropFirst()),
            environment: ["THE_SECRET": "hunter22"],
            input: #"{"user":{"user_id":"a"}}"# + "\n"
        )
        #expect(process.wait() == 0, "\(process.standardErrorText)")
        let update = try ResultLines(process.standardOutputText).updates.first
        let attempts = try #require(update?["data"]?["user"]?["attempts"])
        #expect(
            attempts == ["environment": "EACCES", "memory": "EACCES", "descriptors": "EACCES", "maps": "EACCES"],
            "\(attempts)"
        )
        let loud = process.standardErrorText.split(separator: "\n").filter { $0.contains("rules can read every file") }
        #expect(loud.count == 1 && loud.first?.contains(#""level":"error""#) == true, "\(process.standardErrorText)")
    }

    /// As where a log collector hangs: its pipe takes 64 KB, and then whoever writes to it waits.
    @Test
    func aLogThatNobodyReadsHoldsUpNothing() throws {
        let folder = try TemporaryFolder()
        let rule = "function (user, context, done) { console.log('x'.repeat(2000)); done(null, user, context); }"
        try folder.write(rule, to: "rules/r.js")
        try folder.write(#"{"order": 1, "enabled": true, "stage": "login_success"}"#, to: "rules/r.json")
        let log = Pipe()
        let process = try ChildProcess(
            Executables.afterlogin,
            ["run", "--input", "-", "--set", "rules.directory=\(folder.path)/rules"],
            input: (0..<200).map { #"{"user":{"user_id":"\#($0)"}}"# + "\n" }.joined(),
            errors: log.fileHandleForWriting
        )
        #expect(process.wait() == 0)
        #expect(try ResultLines(process.standardOutputText).updates.count == 200)
        #expect(try log.fileHandleForReading.read(upToCount: 1) != nil, "the log was there")
    }

    @Test func anAddressForProbesThatIsNotListenedOnIsSaid() throws {
        let folder = try TemporaryFolder()
        try folder.write("function (user, context, callback) { callback(null, user, context); }", to: "rules/r.js")
        try folder.write(#"{"order": 1, "enabled": true, "stage": "login_success"}"#, to: "rules/r.json")
        func errors(_ words: String...) throws -> String {
            let process = try ChildProcess(
                Executables.afterlogin,
                ["run", "--input", "-", "--set", "rules.directory=\(folder.path)/rules"] + words,
                input: #"{"user":{"user_id":"a"}}"# + "\n"
            )
            #expect(process.wait() == 0)
            return process.standardErrorText
        }
        #expect(try errors("--set", "admin.listen=127.0.0.1:18080").contains("admin.listen has no effect with --input"))
        #expect(try !errors().contains("admin.listen"))
        #expect(try !errors("--set", "admin.listen=none").contains("admin.listen"))
    }
}
