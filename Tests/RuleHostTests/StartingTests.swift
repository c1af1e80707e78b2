import AfterloginRuleHost
import Foundation
import Testing

/// What happens to a host between its start and its rules.
@Suite("The start of a host", .timeLimit(.minutes(1)))
struct StartingTests {
    private static let rule = "function (user, context, callback) { callback(null, user, context); }"

    /// A program in the place of `afterlogin-confine`, and a folder for what it notes; it goes on as the real one after `lines`.
    private func start(_ lines: String) async throws -> (note: String, deaths: Int, refusal: RuleHostRefusal?) {
        let folder = FileManager.default.temporaryDirectory.appending(path: "afterlogin-start-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let program = "\(folder)/confine"
        let script = "#!/bin/sh\nnote=\(folder)/note\n\(lines)\nexec \(BuiltProducts.confine) \"$@\"\n"
        try Data(script.utf8).write(to: URL(filePath: program))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        var refusal: RuleHostRefusal?
        var deaths = 0
        do throws(RuleHostRefusal) {
            try await RunningHosts.starting(Self.rule, confine: program) { deaths = $0.witness.deaths.count }
        } catch {
            refusal = error
        }
        let note = FileManager.default.contents(atPath: "\(folder)/note").map { String(decoding: $0, as: UTF8.self) }
        return (note ?? "", deaths, refusal)
    }

    @Test func aHostThatIsKilledWhileItStartsIsStartedAgain() async throws {
        let (note, deaths, refusal) = try await self.start(
            "echo start >>$note; [ $(wc -l <$note) -gt 1 ] || kill -9 $$"
        )
        #expect(note == "start\nstart\n" && deaths == 1)
        #expect(refusal == nil, "\(refusal?.message ?? "")")
    }

    @Test func whoeverIsKilledEachTimeIsGivenUpAndNotTheRules() async throws {
        let (note, _, refusal) = try await self.start("echo start >>$note; kill -9 $$")
        #expect(note == "start\nstart\nstart\n")
        #expect(refusal?.isDeath == true && refusal?.message.contains("signal 9") == true)
    }

    @Test func whatEndsByItselfIsNotTriedAgain() async throws {
        let (note, _, refusal) = try await self.start("echo start >>$note; echo 'Error: no' >&2; exit 3")
        #expect(note == "start\n")
        #expect(refusal?.isDeath == false && refusal?.message.contains("Error: no") == true)
    }

    /// Ctrl-C in the moment between the start of a process and its first line would else end it.
    @Test func itIsInASessionOfItsOwnFromItsFirstInstructionOn() async throws {
        let (note, _, _) = try await self.start("cut -d' ' -f1,5,6 /proc/self/stat >$note; echo $$ >>$note")
        let lines = note.split(separator: "\n")
        let fields = (lines.first ?? "").split(separator: " ")
        // The group and the session of what `cut` says are the shell's.
        #expect(lines.count == 2 && fields.count == 3 && fields[1] == lines[1] && fields[2] == lines[1], "\(note)")
    }
}
