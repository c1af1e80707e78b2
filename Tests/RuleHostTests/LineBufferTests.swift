import Testing

@testable import AfterloginRuleHost

@Suite("What a host prints", .timeLimit(.minutes(1)))
struct LineBufferTests {
    private func lines(_ text: String) -> [String] {
        var buffer = LineBuffer()
        return buffer.received(Array(text.utf8)[...]) + [buffer.finished()].compactMap(\.self)
    }

    /// Line by line nobody sees that it is a key.
    @Test(arguments: [
        "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY",
    ])
    func aPrivateKeyIsNotPassedOn(title: String) {
        let key = """
            -----BEGIN \(title)-----
            Proc-Type: 4,ENCRYPTED

            MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ+/
            Ab==
            -----END \(title)-----
            """
        #expect(self.lines("before\nkey: \(key)\nafter") == ["before", "key: [a private key]", "after"])
        #expect(self.lines("before\n\(key.replacing("\n", with: "\r\n"))\nafter").contains("after"))
        #expect(!self.lines("x\(key.replacing("\n", with: "\r\n"))").joined().contains("MIIE"))
    }

    @Test func whatOnlyBeginsLikeOneHidesNothingElse() {
        let text = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nthis is no key\nAAAA"
        #expect(self.lines(text) == ["[a private key]", "this is no key", "AAAA"])
        #expect(self.lines("-----BEGIN CERTIFICATE-----\nAAAA") == ["-----BEGIN CERTIFICATE-----", "AAAA"])
    }
}
