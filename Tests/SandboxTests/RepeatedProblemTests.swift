import AfterloginSandbox
import Testing

@Suite("What the sandbox says of a broker that is away", .timeLimit(.minutes(1)))
struct RepeatedProblemTests {
    @Test func eachKindIsSaidOnceAndTheEndToo() {
        var problem = RepeatedProblem()
        let refused = (kind: "_TRANSPORT", message: "broker 1: connection refused")
        #expect(problem.line(nil) == nil)
        #expect(problem.line(refused) == "logins can't be written: broker 1: connection refused")
        #expect(problem.line(("_TRANSPORT", "broker 2: connection refused")) == nil)
        #expect(problem.line(nil) == nil)
        #expect(problem.line(("_ALL_BROKERS_DOWN", "all are down")) != nil)
        // It comes and goes: that is not the end.
        for _ in 0..<10 {
            #expect(problem.line(nil) == nil)
            #expect(problem.line(refused) == nil)
        }
        let calm = (0..<RepeatedProblem.calmLooks).map { _ in problem.line(nil) }
        #expect(calm == [nil, nil, "logins are written again"])
        #expect(problem.line(nil) == nil)
        #expect(problem.line(refused) != nil)
    }
}
