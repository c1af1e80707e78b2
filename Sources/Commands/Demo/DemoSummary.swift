import AfterloginDelivery
import AfterloginJSON
import AfterloginSandbox

/// What the demo has to show for itself.
struct DemoSummary {
    var report: AuditReport
    var tally: Dispatcher.Tally
    var tokens: [String: Int]
    var work: Duration
    /// Inside of calls, after a 503 or the like.
    var callsSentAgain: Int
    /// What the APIs took to answer: not what calls waited for in the worker.
    var answers: Duration

    var isGood: Bool {
        self.report.lost == 0 && self.report.orderViolations == 0 && self.report.strangers == 0
            && self.tokens.values.allSatisfy { $0 == 1 }
    }

    private var seconds: Double { self.work / .seconds(1) }
    private var savedSeconds: Double { self.answers / .seconds(1) }

    var json: JSONValue {
        [
            "logins": JSONValue(self.report.logins), "updates": JSONValue(self.report.updates),
            "denials": JSONValue(self.report.denials),
            "failures": .array(
                self.report.failures.sorted { $0.key < $1.key }.map {
                    ["reason": .string($0.key), "count": JSONValue($0.value)]
                }
            ),
            "callsSentAgain": JSONValue(self.callsSentAgain), "rulesRunAgain": JSONValue(self.tally.retries),
            "tokensFetched": JSONValue(
                self.tokens.sorted { $0.key < $1.key }.map { (name: $0.key, value: JSONValue($0.value)) }
            ),
            "orderViolations": JSONValue(self.report.orderViolations), "lost": JSONValue(self.report.lost),
            "duplicates": JSONValue(self.report.duplicates),
            "latencyMilliseconds": [
                "p50": JSONValue(self.report.latency.p50), "p99": JSONValue(self.report.latency.p99),
            ],
            "loginTimeSavedSeconds": JSONValue(self.savedSeconds.rounded()),
            "seconds": JSONValue((self.seconds * 10).rounded() / 10),
        ]
    }

    var text: String {
        let failures = self.report.failures.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        // Whatever else fails was not.
        let isMeant = self.report.failures == ["limit": 1, "undecodable": 1]
        let tokens = self.tokens.sorted { $0.key < $1.key }.map { "\($0.value) for \($0.key)" }
        let rows: [(String, String)] = [
            ("logins", "\(self.report.logins) in \(Self.rounded(self.seconds)) s"),
            ("updates", "\(self.report.updates)"),
            ("denials", "\(self.report.denials)   (email not verified)"),
            (
                "failures",
                "\(self.report.failureCount)   (\(failures.joined(separator: ", "))\(isMeant ? ": put in on purpose" : ""))"
            ),
            ("calls sent again", "\(self.callsSentAgain)   (a 503 of the loyalty API)"),
            ("tokens fetched", tokens.joined(separator: ", ")),
            (
                "order violations",
                "\(self.report.orderViolations)   found by an independent reader of the result topics"
            ),
            ("lost", "\(self.report.lost)"),
            (
                "latency of a backlog",
                "p50 \(Self.rounded(self.report.latency.p50 / 1_000)) s, p99 \(Self.rounded(self.report.latency.p99 / 1_000)) s"
                    + "   all logins arrive at once: most of it is waiting in line"
            ),
            (
                "login time saved",
                "\(Self.time(self.savedSeconds)): what the rules' calls took, and users would have waited for"
            ),
        ]
        let lines = rows.map { "  \($0.0.padded(to: 21))\($0.1)" }
        let verdict =
            self.isGood ? Terminal.colored("all is well", 32) : Terminal.colored("something is wrong, see above", 31)
        return """

            \(lines.joined(separator: "\n"))

            \(verdict)

            Next: what your own rules need, then your own events, then Kafka
              \(Self.program) check --set rules.directory=YOUR_RULES
              \(Self.program) run --input events.ndjson --set rules.directory=YOUR_RULES
              \(Self.program) help configuration
            """
    }

    /// As it was called: not everybody has it in the path.
    private static var program: String { CommandLine.arguments.first ?? "afterlogin" }

    private static func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    private static func time(_ seconds: Double) -> String {
        seconds < 120 ? "\(self.rounded(seconds)) s" : "\(Int(seconds) / 60) min \(Int(seconds) % 60) s"
    }
}
