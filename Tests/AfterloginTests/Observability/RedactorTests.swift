import Afterlogin
import Testing

@Suite(.timeLimit(.minutes(1)))
struct RedactorTests {
    private static let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"

    @Test(arguments: [
        ("secret is hunter2!", "secret is [redacted]"),
        ("hunter2%21 and hunter2!", "[redacted] and [redacted]"),
        ("Authorization: Bearer abcdef123456, next", "Authorization: [redacted]"),
        ("sent bearer abcdef123456 to it", "sent bearer [redacted] to it"),
        ("basic authentication is on", "basic authentication is on"),
        ("token \(Self.token) leaked", "token [redacted] leaked"),
        (#"{"client_secret":"a\"b","x":1}"#, #"{"client_secret":"[redacted]","x":1}"#),
        ("client_secret=abc&x=1", "client_secret=[redacted]&x=1"),
        ("password = swordfish; user=me", "password = [redacted]; user=me"),
        ("GET https://me:pass@host/path", "GET https://[redacted]@host/path"),
        ("GET https://host/path@5", "GET https://host/path@5"),
        ("time: 10:00:01", "time: 10:00:01"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\nafter", "[redacted]\nafter"),
    ])
    func secretsAreReplaced(text: String, expected: String) {
        #expect(Redactor(secrets: ["hunter2!"]).redact(text) == expected)
    }

    @Test
    func aTokenLearntAtRunTimeIsReplaced() {
        let redactor = Redactor()
        #expect(redactor.redact("got opaque-token-1") == "got opaque-token-1")
        redactor.add("opaque-token-1")
        #expect(redactor.redact("got opaque-token-1") == "got [redacted]")
    }

    @Test
    func theLongestOfTwoSecretsWins() {
        #expect(Redactor(secrets: ["abcd", "abcdef"]).redact("abcdefg") == "[redacted]g")
    }

    @Test
    func oldTokensAreForgotten() {
        let redactor = Redactor(secrets: ["of-the-configuration"])
        for number in 0..<3_000 { redactor.add("opaque-\(number)-") }
        #expect(redactor.redact("opaque-0- opaque-2999- of-the-configuration") == "opaque-0- [redacted] [redacted]")
    }

    @Test
    func textIsCutBetweenCharacters() {
        let text = String(repeating: "é", count: 2_000)
        let redacted = Redactor().redact(text, limit: 100)
        #expect(redacted.utf8.count <= 100)
        #expect(redacted.hasPrefix("éé"))
        #expect(redacted.hasSuffix("…"))
        #expect(!redacted.contains("\u{FFFD}"))
    }

    /// A square of a million steps would run into the time limit.
    @Test(arguments: ["eyJ", "://", "a=", "bearer ", "-----begin ", "\"", "client_secret", "https://a@"])
    func hostileTextTakesLinearTime(piece: String) {
        let text = String(repeating: piece, count: 1_000_000 / piece.utf8.count)
        #expect(Redactor(secrets: ["aaaa", "aaab"]).redact(text, limit: 1_000).utf8.count <= 1_000)
    }
}
