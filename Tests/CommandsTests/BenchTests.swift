import AfterloginJSON
import AfterloginRuleHost
import FoundationEssentials
import Glibc
import Testing

@testable import AfterloginCommands

@Suite("What the bench and the sandbox say", .timeLimit(.minutes(1)))
struct BenchTests {
    @Test func aFigureSaysWhetherItsAimIsMet() {
        var figure = BenchFigure(row: "rate", value: 5_499.4, unit: "logins/s", aim: .atLeast(5_500))
        #expect(figure.isMet == false && figure.line.hasPrefix("MISS rate "))
        figure.value = 5_500
        #expect(figure.isMet == true && figure.line.contains("5500 logins/s"))
        figure.aim = .under(5_500)
        #expect(figure.isMet == false)
        figure.aim = .none
        #expect(figure.isMet == nil && figure.json["met"] == nil)
    }

    @Test func twoBuildsAreComparedPairByPair() throws {
        func figures(_ value: Double, _ unit: String = "µs/login") -> [JSONValue] {
            [
                ["row": "chain", "value": JSONValue(value), "unit": .string(unit)],
                ["row": value > 150 ? "old" : "new", "value": 1, "unit": "s"],
            ]
        }
        var comparison = BenchComparison()
        try comparison.add(other: figures(200), own: figures(100))
        try comparison.add(other: figures(400), own: figures(120))
        try comparison.add(other: figures(160), own: figures(144))
        #expect(
            comparison.rows == [.init(name: "chain", unit: "µs/login", others: [200, 400, 160], own: [100, 120, 144])]
        )
        #expect(comparison.rows[0].ratios == [0.3, 0.5, 0.9])
        #expect(comparison.summary[0].hasSuffix("median 0.5, 0.3 to 0.9 in 3 pairs"))
        #expect(comparison.lines(ofPair: 3)[0].hasSuffix("160 -> 144 µs/login  0.9"))
        #expect(comparison.json[0]?["ratio"] == ["median": 0.5, "lowest": 0.3, "highest": 0.9])
        try comparison.add(other: figures(200), own: figures(140))
        #expect(comparison.rows[0].ratio == 0.6)
        #expect(throws: CommandFailure.self) { try comparison.add(other: figures(1, "ms"), own: figures(1)) }
    }

    @Test func aProcessHasMemoryAndTimeUnlessItDoesNotExist() throws {
        let usage = try #require(ProcessUsage(of: 1))
        #expect(usage.peakBytes >= usage.residentBytes)
        #expect(ProcessUsage(of: -1) == nil)
    }

    @Test func aTreeOfProcessesCountsTheLivingAndTheDead() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "tree-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
        // Itself idle: one child has ended, another lives on and has a busy one of its own that ended.
        let script = "sh -c '\(busy)'; sh -c 'sh -c \"\(busy)\"; echo done; sleep 5'; true"
        let process = try ChildProgram(["/bin/sh", "-c", script], output: file, errors: "/dev/null")
        try await BenchPlace.wait("both have been busy") { BenchPlace.text(file) == "done\n" }
        let seconds = try ProcessTree.processorSeconds(of: process.identifier)
        process.send(SIGKILL)
        #expect(seconds.descendants >= 0.04)
        #expect(seconds.root < seconds.descendants / 2)
        #expect(throws: CommandFailure.self) { try ProcessTree.processorSeconds(of: -1) }
    }

    @Test(arguments: [
        ["sandbox", "--rate", "5"], ["sandbox", "--fault", "slow"], ["sandbox", "--fault", "nothing={}"],
        ["sandbox", "--distribution", "flat", "--brokers", "b"], ["sandbox", "--client-secret-file", "/no/such"],
        ["sandbox", "--listen", "nonsense"], ["sandbox", "--door", "slow"], ["sandbox", "--door", "main=127.0.0.1:0"],
        [
            "sandbox", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--fault",
            #"slow={"connection":"refused"}"#,
        ],
        ["sandbox", "--listen", "127.0.0.1:70000"],
        ["sandbox", "--listen", "127.0.0.1:0", "--control", "256.0.0.1:0"],
        ["bench", "--only", "nothing"], ["bench", "--logins", "1"],
        ["bench", "--brokers", "b", "--against", "/no/such"], ["bench", "--brokers", "b", "--pairs", "0"],
    ])
    func whatCannotBeMeantIsWrongUsage(words: [String]) async {
        #expect(await AfterloginCommand.run(words, rules: []) == .usage)
    }
}
