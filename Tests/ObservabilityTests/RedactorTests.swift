import AfterloginObservability
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

    /// As URLs, forms and JSON write it, whoever wrote them.
    @Test(arguments: [
        "p@ss!w0rd(1)*'q/é&z+4 %", "p%40ss!w0rd(1)*'q%2F%C3%A9%26z%2B4%20%25",
        "p%40ss%21w0rd%281%29*%27q%2F%C3%A9%26z%2B4+%25",
        "p%40ss!w0rd(1)*'q%2f%c3%a9%26z%2b4%20%25", "p@ss!w0rd(1)*%27q/%C3%A9&z+4%20%25",
        "p%2540ss!w0rd(1)*'q%252F%25C3%25A9%2526z%252B4%2520%2525",
        #"p@ss!w0rd(1)*'q\/\u00e9\u0026z+4 %"#, #"p\\u0040ss!w0rd(1)*'q/\\u00E9&z+4 %"#,
        "p%40ss!w0rd(1)*%5Cu0027q/%C3%A9&z+4%20%25",
    ])
    func aSecretIsKnownInWhateverEncoding(form: String) {
        let redactor = Redactor(secrets: ["p@ss!w0rd(1)*'q/é&z+4 %"])
        let said = redactor.redact("https://api.example/?p=\(form)&n=1, 7%")
        #expect(said == "https://api.example/?p=[redacted]&n=1, 7%")
    }

    @Test func aPairOfSurrogatesIsOneCharacterOfASecret() {
        #expect(Redactor(secrets: ["key-😀-end"]).redact(#"a \ud83d key-\ud83D\uDe00-end"#) == #"a \ud83d [redacted]"#)
    }

    @Test(arguments: [
        "100 % of 5%zz, 50%", #"a\b \u12 \u00zz \"#, "%e2%82", "a+b = %2Bc", "https://api.example/a%2Fb?c=%C3%A9",
    ])
    func whatHoldsNoSecretStaysAsItIs(text: String) {
        #expect(Redactor(secrets: ["hunter2!", "two words"]).redact(text) == text)
    }

    @Test func anEncodedMemberIsASecretToo() {
        let text = "to https%3A%2F%2Fhost%2F%3Faccess_token%3Dabcdef123%26n%3D1"
        #expect(Redactor().redact(text) == "to https%3A%2F%2Fhost%2F%3Faccess_token%3D[redacted]%26n%3D1")
    }

    /// A key of several lines is printed line by line.
    @Test func eachLineOfASecretIsOne() {
        let lines = ["MIIEvQIBADANBgkqhkiG9w0BAQ", "EFAASCBKcwggSjAgEAAoIBAQ", "Ab=="].joined(separator: "\n")
        let key = "-----BEGIN PRIVATE KEY-----\n\(lines)\n-----END PRIVATE KEY-----"
        let redactor = Redactor(secrets: [key])
        for line in key.split(separator: "\n")[1...2] { #expect(redactor.redact("> \(line)") == "> [redacted]") }
        #expect(redactor.redact("a PRIVATE KEY") == "a PRIVATE KEY")
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
    @Test(arguments: [
        "eyJ", "://", "a=", "bearer ", "-----begin ", "\"", "client_secret", "https://a@", "%25", "%", "+", "\\u0061",
        "\\",
        "%61",
    ])
    func hostileTextTakesLinearTime(piece: String) {
        let text = String(repeating: piece, count: 1_000_000 / piece.utf8.count)
        #expect(Redactor(secrets: ["aaaa", "aaab"]).redact(text, limit: 1_000).utf8.count <= 1_000)
    }
}
