import AfterloginJSON
import AfterloginTestSupport
import Testing

@testable import AfterloginRuleHost

/// A host is not trusted: what has another shape than agreed ends it.
@Suite("Messages of a host that means harm", .timeLimit(.minutes(1)))
struct HostileMessageTests {
    private static func part(_ text: String) -> [UInt8] {
        let count = UInt32(text.utf8.count)
        return [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: count >> $0) } + Array(text.utf8)
    }

    private static let nothing = #"{"set":{},"removed":[]}"#

    /// A whole result but for some of its members.
    private static func head(_ changed: KeyValuePairs<String, String> = [:]) -> String {
        var members = [
            "outcome": #""completed""#, "rules": "[]", "userMetadata": self.nothing, "appMetadata": self.nothing,
            "unsupported": "[]",
        ]
        for (name, value) in changed { members[name] = value.isEmpty ? nil : value }
        return "{\(members.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",")) }"
    }

    private static func done(
        _ head: String,
        user: String = "",
        context: String = "",
        beforeUser: String = "",
        before: String = ""
    ) throws -> EvaluationReply {
        let payload =
            self.part(head) + self.part(user) + self.part(context) + self.part(beforeUser) + Array(before.utf8)
        var frame = Frame(kind: .done, evaluation: 1, payload: payload[...])
        return try EvaluationReply(&frame, rules: 2..<4)
    }

    @Test func aWholeResultIsTaken() throws {
        let reply = try Self.done(Self.head(), user: "{}", context: #"{"a":1}"#)
        #expect(reply.outcome == .completed)
        #expect(reply.context?.description == #"{"a":1}"#)
    }

    private static let heads: [String] = [
        "", "null", "[]", "{", head(["outcome": ""]), head(["outcome": #""done""#]), head(["outcome": "1"]),
        head(["outcome": #""denied""#]), head(["outcome": #""denied""#, "rule": "1"]),
        head(["outcome": #""error""#, "rule": "4"]), head(["outcome": #""ended""#, "rule": #""2""#]),
        head(["rules": ""]), head(["rules": "{}"]), head(["rules": "[1]"]),
        head(["rules": #"[{"rule":9,"ms":1,"calls":0,"late":[]}]"#]),
        head(["rules": #"[{"rule":2,"ms":"1","calls":0,"late":[]}]"#]),
        head(["rules": #"[{"rule":2,"ms":1,"calls":0,"late":[1]}]"#]),
        head(["userMetadata": ""]), head(["userMetadata": "[]"]), head(["appMetadata": #"{"set":[],"removed":[]}"#]),
        head(["appMetadata": #"{"set":{},"removed":[1]}"#]), head(["unsupported": ""]),
        head(["unsupported": #"["everything"]"#]), head(["before": "{}"]), head(["before": "1"]),
        head([
            "before": #"{"rule":5,"userMetadata":\#(nothing),"appMetadata":\#(nothing),"unsupported":[]}"#
        ]),
    ]

    @Test(arguments: heads)
    func aResultOfAnotherShapeIsRefused(_ head: String) {
        #expect(throws: ProtocolViolation.self) { try Self.done(head) }
    }

    @Test(arguments: ["[]", "{", "null", "{}{}", "\"", "{\"a\":\u{1}}"])
    func whatIsNoObjectIsNoUser(_ text: String) {
        #expect(throws: ProtocolViolation.self) { try Self.done(Self.head(), user: text) }
        #expect(throws: ProtocolViolation.self) { try Self.done(Self.head(), context: text) }
        #expect(throws: ProtocolViolation.self) { try Self.done(Self.head(), beforeUser: text) }
        #expect(throws: ProtocolViolation.self) { try Self.done(Self.head(), before: text) }
    }

    private static let requests = [
        "", "[]", #"{"rule":2,"method":"GET","url":"http://a/","headers":[]}"#,
        #"{"rule":4,"method":"GET","url":"http://a/","headers":[],"remaining":1}"#,
        #"{"rule":-1,"method":"GET","url":"http://a/","headers":[],"remaining":1}"#,
        #"{"rule":2,"method":1,"url":"http://a/","headers":[],"remaining":1}"#,
        #"{"rule":2,"method":"GET","url":null,"headers":[],"remaining":1}"#,
        #"{"rule":2,"method":"GET","url":"http://a/","headers":{},"remaining":1}"#,
        #"{"rule":2,"method":"GET","url":"http://a/","headers":[["a"]],"remaining":1}"#,
        #"{"rule":2,"method":"GET","url":"http://a/","headers":[["a","b","c"]],"remaining":1}"#,
        #"{"rule":2,"method":"GET","url":"http://a/","headers":[["a",1]],"remaining":1}"#,
        #"{"rule":2,"method":"GET","url":"http://a/","headers":[],"remaining":-1}"#,
        #"{"rule":2,"method":"GET","url":"http://a/","headers":[],"remaining":1.5}"#,
        #"{"rule":2,"method":"GET","url":"http://a/","headers":[],"remaining":9223372036854775807}"#,
    ]

    @Test(arguments: requests)
    func aRequestOfAnotherShapeIsRefused(_ head: String) {
        // With its number in front, which counts as a part of it.
        var payload = Self.part("1234" + head)
        #expect(throws: ProtocolViolation.self) {
            var frame = Frame(kind: .request, evaluation: 1, payload: payload[...])
            return try HostRequest(&frame, rules: 2..<4) { _, _ in }
        }
        payload = Self.part("123")
        #expect(throws: ProtocolViolation.self) {
            var frame = Frame(kind: .request, evaluation: 1, payload: payload[...])
            return try HostRequest(&frame, rules: 2..<4) { _, _ in }
        }
    }

    @Test(arguments: ["", "{}", #"{"rule":0,"level":"shout","text":""}"#, #"{"rule":"a","level":"log","text":""}"#])
    func aLineOfAnotherShapeIsRefused(_ line: String) {
        #expect(throws: ProtocolViolation.self) { try ConsoleLine(Array(line.utf8)[...]) }
        #expect(throws: ProtocolViolation.self) { try HostWarning(Array(line.utf8)[...]) }
    }

    @Test(arguments: ["", "{}", #"{"node":1,"notes":[]}"#, #"{"node":"v1"}"#, #"{"node":"v1","notes":[{}]}"#])
    func loadedOfAnotherShapeIsRefused(_ payload: String) {
        #expect(throws: ProtocolViolation.self) { try LoadReply(Array(payload.utf8)[...]) }
        #expect(throws: ProtocolViolation.self) { try RuleHostRefusal(Array(payload.utf8)[...]) }
    }

    /// No bytes at all bring the worker down.
    @Test(arguments: ["done", "request", "waits", "console", "warning", "loaded", "refused"])
    func noDamagedMessageIsMoreThanRefused(_ name: String) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var refused = 0
        for fixture in try Fixture.all(name) {
            for _ in 0..<500 {
                var bytes = fixture.bytes
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    bytes[Int.random(in: 9..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                if Bool.random(using: &random) {
                    bytes.removeLast(Int.random(in: 0...(bytes.count - 9), using: &random))
                }
                if !Self.isTaken(name, bytes[9...]) { refused += 1 }
            }
        }
        #expect(refused > 100, "seed \(seed)")
    }

    private static func isTaken(_ name: String, _ payload: ArraySlice<UInt8>) -> Bool {
        do {
            var frame = Frame(kind: .done, evaluation: 1, payload: payload)
            switch name {
            case "console": _ = try ConsoleLine(payload)
            case "warning": _ = try HostWarning(payload)
            case "loaded": _ = try LoadReply(payload)
            case "refused": _ = try RuleHostRefusal(payload)
            case "request":
                _ = try frame.takeSecret()
                _ = try HostRequest(&frame, rules: 0..<3) { _, _ in }
            case "waits":
                _ = try frame.takeSecret()
                _ = try WaitsMessage(frame, rules: 0..<3)
            default:
                _ = try frame.takeSecret()
                _ = try EvaluationReply(&frame, rules: 0..<3)
            }
            return true
        } catch {
            return false
        }
    }

    @Test func secretsAreNeverTheSame() {
        var source = SecretSource()
        var seen: Set<[UInt64]> = []
        for _ in 0..<1_000 {
            let secret = source.next()
            #expect(secret.bytes.0 != 0 && secret.bytes.1 != 0 && secret.bytes.0 != secret.bytes.1)
            seen.formUnion([[secret.bytes.0], [secret.bytes.1]])
        }
        #expect(seen.count == 2_000)
    }
}
