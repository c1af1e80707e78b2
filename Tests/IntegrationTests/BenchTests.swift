import Foundation
import Testing

@Suite(.enabled(if: KafkaBroker.isAvailable, "needs KAFKA_HOME"), .timeLimit(.minutes(3)))
struct BenchTests {
    /// Small, and without a look at its figures: they mean nothing here.
    ///
    /// The bench refuses to report a run that lost or disordered anything.
    @Test
    func theBenchMeasuresOnARealBroker() throws {
        let bench = try ChildProcess(
            Executables.afterlogin,
            [
                "bench", "--only", "backlog,start,host-death", "--logins", "400", "--users", "100", "--repeat", "1",
                "--format", "json",
            ]
        )
        let text = bench.waitForOutput()
        try #require(bench.wait() == 0, "\(bench.standardErrorText)")
        let rows = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
        let names = rows.compactMap { $0["row"] as? String }
        for part in ["native Swift rule, API 0 ms, plain", "axios, API 0 ms", "death of the only", "start"] {
            #expect(names.contains { $0.contains(part) }, "\(part) is not among \(names)")
        }
        #expect(rows.allSatisfy { ($0["value"] as? Double).map { $0 >= 0 } ?? false })
    }
}
