import Glibc
import RuleHost
import Testing

@Suite("Confinement", .serialized, .timeLimit(.minutes(1)))
struct ConfinementTests {
    /// What is tried; each throws, or returns something with `error`.
    static let attempts = [
        "require('fs').readFileSync('/etc/passwd')",
        "require('fs').readdirSync('/root')",
        "require('fs').writeFileSync('/tmp/afterlogin-was-here', 'x')",
        "require('fs').chmodSync('/tmp', 0o777)",
        "require('fs').symlinkSync('/etc/passwd', '/tmp/afterlogin-link')",
        "require('fs').readFileSync('/proc/' + process.ppid + '/environ')",
        "require('child_process').execFileSync('/bin/true')",
        "require('child_process').spawnSync(process.execPath, ['--version'])",
    ]

    @Test(arguments: attempts)
    func theKernelRefuses(_ attempt: String) async throws {
        let rule = """
            function (user, context, callback) {
                try {
                    const result = \(attempt);
                    user.refusal = result && result.error ? result.error.code : 'none: ' + String(result).slice(0, 80);
                } catch (error) {
                    user.refusal = error.code;
                }
                callback(null, user, context);
            }
            """
        try await RunningHosts.with(rule, confinement: .required) { hosts in
            let user = await hosts.evaluate().user
            #expect(user == #"{"refusal":"EACCES"}"# || user == #"{"refusal":"EPERM"}"#, "\(user ?? "no user")")
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    @Test func theEnvironmentIsEmpty() async throws {
        let rule = """
            function (user, context, callback) {
                user.environment = require('fs').readFileSync('/proc/self/environ', 'latin1');
                callback(null, user, context);
            }
            """
        setenv("AFTERLOGIN_TEST_SECRET", "a-secret", 1)
        try await RunningHosts.with(rule) { hosts in
            let user = try #require(await hosts.evaluate().user)
            #expect(user.contains("environment"))
            #expect(!user.contains("a-secret"))
            #expect(!user.contains("PATH"))
        }
    }

    @Test func aConfinedProcessDiesWithItsParent() async throws {
        let file = "/tmp/afterlogin-orphan-\(getpid())"
        defer { unlink(file) }
        let script = "'\(BuiltProducts.confine)' --mode off --parent $$ -- /bin/sleep 600 & echo $!; wait"
        let parent = try ChildProgram(["/bin/sh", "-c", script], output: file, errors: "/dev/null")
        var child: Int32 = 0
        while child == 0 || !Self.isRunning(child, "sleep") {
            try await Task.sleep(for: .milliseconds(1))
            child = Self.text(file).split(separator: "\n").first.flatMap { Int32($0) } ?? 0
        }
        parent.send(SIGKILL)
        while Self.isRunning(child, "sleep") { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test func aProcessWhoseParentIsAnotherDoesNotStart() async throws {
        let program = try ChildProgram(
            [BuiltProducts.confine, "--mode", "off", "--parent", "1", "--", "/bin/true"],
            output: "/dev/null",
            errors: "/dev/null"
        )
        while program.exitCode == nil { try await Task.sleep(for: .milliseconds(1)) }
        #expect(program.exitCode == 125)
    }

    /// Whether there is such a process with that name that is no zombie.
    private static func isRunning(_ process: Int32, _ name: String) -> Bool {
        let text = self.text("/proc/\(process)/stat")
        return text.contains("(\(name)) ") && !text.contains(") Z ")
    }

    private static func text(_ path: String) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = read(file, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : ""
    }
}
