import AfterloginJSON
import Foundation
import Testing

@Suite("Bad input, through the whole worker", .timeLimit(.minutes(3)))
struct BadInputTests {
    struct Undecodable: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var line: [UInt8]

        init(_ name: String, _ line: String) { (self.testDescription, self.line) = (name, Array(line.utf8)) }
        init(_ name: String, bytes: [UInt8]) { (self.testDescription, self.line) = (name, bytes) }
    }

    static let undecodable = [
        Undecodable("not JSON", #"{"user": "#), Undecodable("an array", "[]"), Undecodable("null", "null"),
        Undecodable("no user", #"{"id":"1"}"#), Undecodable("no user id", #"{"user":{}}"#),
        Undecodable("a user id that is a number", #"{"user":{"user_id":5}}"#),
        Undecodable("an empty user id", #"{"user":{"user_id":""}}"#),
        Undecodable("an invalid context", #"{"user":{"user_id":"a"},"context":5}"#),
        Undecodable("nesting of 10,000", String(repeating: "[", count: 10_000)),
        Undecodable(
            "nesting of 10,000 in a user",
            #"{"user":{"user_id":"a","x":"# + String(repeating: "[", count: 10_000)
        ),
        Undecodable("10 MB", #"{"user":{"user_id":"a","x":""# + String(repeating: "x", count: 10_000_000) + #""}}"#),
        Undecodable(
            "not UTF-8",
            bytes: Array(#"{"user":{"user_id":"a","x":""#.utf8) + [0xC3, 0x28, 0xFF] + Array(#""}}"#.utf8)
        ),
        Undecodable("a byte order mark", bytes: [0xEF, 0xBB, 0xBF] + Array(#"{"user":{"user_id":"a"}}"#.utf8)),
    ]

    @Test func whatCannotBeReadFailsWithItsBytesAndTheRestGoesOn() throws {
        let chain = try HostileChain()
        var input = Data()
        for (index, bad) in Self.undecodable.enumerated() {
            input += Data(bad.line) + Data("\n".utf8)
            input += Data(HostileChain.event("fine", user: "u\(index)").utf8) + Data("\n".utf8)
        }
        try input.write(to: URL(fileURLWithPath: "\(chain.folder.path)/input"))
        let process = try ChildProcess(
            Executables.afterlogin,
            ["run", "--config", "\(chain.folder.path)/afterlogin.yaml", "--input", "\(chain.folder.path)/input"]
        )
        #expect(process.wait() == 0, "\(process.standardErrorText.suffix(2_000))")
        let lines = try ResultLines(process.standardOutputText)
        #expect(lines.updates.count == Self.undecodable.count)
        #expect(lines.failures.count == Self.undecodable.count)
        #expect(lines.failures.allSatisfy { $0["failure"]?["reason"]?.string == "undecodable" })
        for bad in Self.undecodable {
            let text = String(validating: bad.line, as: UTF8.self)
            let found = lines.failures.contains { failure in
                if let text { return failure["value"]?.string == text }
                return failure["value_base64"]?.string == Data(bad.line).base64EncodedString()
            }
            #expect(found, "the bytes of \(bad.testDescription) are lost")
        }
    }

    struct Hostile: CustomTestStringConvertible, Sendable {
        enum Ending: Sendable {
            case failure(String, message: String)
            /// The rule saw an error, and went on.
            case refused
            case update
        }
        var mode: String
        var ending: Ending
        var testDescription: String { self.mode }
    }

    static let hostile = [
        Hostile(mode: "loop", ending: .failure("limit", message: "one turn")),
        // Its promises are garbage that is never collected: of memory and the turn's processor time, either can be over first.
        Hostile(mode: "promises", ending: .failure("limit", message: "")),
        Hostile(mode: "regexp", ending: .failure("limit", message: "one turn")),
        Hostile(mode: "never", ending: .failure("rule-timeout", message: "did not call back")),
        Hostile(mode: "memory", ending: .failure("limit", message: "")),
        Hostile(mode: "late", ending: .failure("rule-error", message: "thrown late")),
        Hostile(mode: "rejects", ending: .failure("rule-error", message: "rejected")),
        Hostile(mode: "nonsense", ending: .failure("crashed", message: "")),
        Hostile(mode: "twice", ending: .update), Hostile(mode: "prints", ending: .update),
        Hostile(mode: "exit", ending: .failure("rule-error", message: "is not available to rules")),
        Hostile(mode: "socket", ending: .refused),
        Hostile(mode: "file", ending: .refused), Hostile(mode: "program", ending: .refused),
        Hostile(mode: "signal", ending: .failure("rule-error", message: "is not available to rules")),
    ]

    @Test func aRuleThatHurtsFailsAloneAndTheOthersAreUnaffected() throws {
        let chain = try HostileChain()
        let input = Self.hostile.flatMap { hostile in
            [
                HostileChain.event("fine", user: "before-\(hostile.mode)"),
                HostileChain.event(hostile.mode, user: hostile.mode),
                HostileChain.event("fine", user: "after-\(hostile.mode)"),
            ]
        }
        let process = try chain.run(input.joined(separator: "\n"))
        #expect(process.wait() == 0)
        let lines = try ResultLines(process.standardOutputText)
        #expect(lines.all.count == input.count)
        for hostile in Self.hostile {
            for user in ["before-\(hostile.mode)", "after-\(hostile.mode)"] {
                #expect(lines.update(of: user)?["data"]?["user"]?["seen"]?.string == "fine", "\(user)")
            }
            let failure = lines.failure(of: hostile.mode)
            let update = lines.update(of: hostile.mode)
            switch hostile.ending {
            case .failure(let reason, let message):
                #expect(failure?["reason"]?.string == reason, "\(hostile.mode): \(String(describing: failure))")
                let said = failure?["message"]?.string ?? ""
                #expect(message.isEmpty || said.contains(message), "\(hostile.mode): \(said)")
                #expect(failure?["rule"]?.string == "hostile")
            case .refused:
                let seen = update?["data"]?["user"]?["seen"]?.string ?? ""
                #expect(seen.hasPrefix("refused: "), "\(hostile.mode): \(seen) \(String(describing: failure))")
            case .update: #expect(update != nil, "\(hostile.mode): \(String(describing: failure))")
            }
        }
        // What a rule prints is a line of the log, and no line of the results.
        let log = process.standardErrorText
        #expect(log.contains("printed by a rule") && log.contains("logged by a rule"))
        #expect(log.contains("callback was called again"))
    }

    @Test func aTokenOfARuleAppearsNowhere() throws {
        let chain = try HostileChain()
        let sandbox = try SandboxProcess(in: chain.folder)
        let process = try chain.run(
            HostileChain.event("token", user: "a"),
            "--set",
            "tenant.domain=\(sandbox.host)",
            "--set",
            "egress.allow=\(sandbox.host)",
            "--set",
            "egress.ca_file=\(sandbox.certificate)",
            "--set",
            "configuration.TOKEN_URL=\(sandbox.url)/oauth/token"
        )
        sandbox.kill()
        let data = try #require(
            try ResultLines(process.standardOutputText).update(of: "a")?["data"],
            "\(process.standardOutputText)\(process.standardErrorText)"
        )
        let token = String(try #require(data["user"]?["reversed"]?.string).reversed())
        #expect(token.count > 40)
        #expect(
            data["rules"]?.array?.first?["warnings"]?.array?.first?.string?.contains("late [redacted]") == true,
            "\(data)"
        )
        #expect(process.standardErrorText.contains("got [redacted]"))
        for text in [process.standardOutputText, process.standardErrorText] {
            #expect(!text.contains(token) && !text.contains(token.suffix(20)))
        }
    }

    @Test func secretsAppearNowhere() throws {
        let chain = try HostileChain()
        let modes = ["secret", "denied with a secret", "late secret"]
        let process = try chain.run(modes.map { HostileChain.event($0, user: $0) }.joined(separator: "\n"))
        let lines = try ResultLines(process.standardOutputText)
        #expect(lines.failure(of: "secret")?["reason"]?.string == "rule-error")
        #expect(lines.denials.first?["data"]?["denial"]?["message"]?.string == "not with [redacted]")
        let late = lines.update(of: "late secret")?["data"]?["rules"]?.array?.first?["warnings"]?.array?.first?.string
        #expect(late?.contains("late [redacted]") == true, "\(lines.updates)")
        for text in [process.standardOutputText, process.standardErrorText] {
            #expect(text.contains("[redacted]"))
            for secret in [HostileChain.secret, "pass-in-url", "token-in-query", "ijklmnop"] {
                #expect(!text.contains(secret), "\(secret) in \(text.suffix(1_000))")
            }
        }
    }
}
