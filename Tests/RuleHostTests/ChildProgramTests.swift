import AfterloginRuleHost
import Glibc
import Testing

@Suite("Child programs", .timeLimit(.minutes(1)))
struct ChildProgramTests {
    private func wait(for program: ChildProgram) async throws -> Int32 {
        while true {
            if let code = program.exitCode { return code }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    @Test func itsExitCodeAndTheSignalThatEndedItAreTold() async throws {
        let failing = try ChildProgram(["/bin/sh", "-c", "exit 7"], output: "/dev/null", errors: "/dev/null")
        #expect(try await self.wait(for: failing) == 7)
        let sleeping = try ChildProgram(["/bin/sleep", "600"], output: "/dev/null", errors: "/dev/null")
        #expect(sleeping.exitCode == nil)
        sleeping.send(SIGTERM)
        #expect(try await self.wait(for: sleeping) == 128 + SIGTERM)
    }

    @Test func oneThatIsForgottenIsGone() throws {
        var program: ChildProgram? = try ChildProgram(["/bin/sleep", "600"], output: "/dev/null", errors: "/dev/null")
        let identifier = try #require(program?.identifier)
        #expect(kill(identifier, 0) == 0)
        program = nil
        #expect(kill(identifier, 0) == -1)
    }

    @Test func aProgramThatIsNoneIsRefusedByName() {
        let failure = #expect(throws: ChildProgram.Failure.self) {
            try ChildProgram(["/no/such/program"], output: "/dev/null", errors: "/dev/null")
        }
        #expect(failure?.description.contains("/no/such/program") == true)
    }
}
