import AfterloginHTTPMessages
import Testing

@testable import AfterloginEgress

@Suite("Token requests that come in the same words")
struct GrantMemoryTests {
    private func request(_ body: String, _ headers: HTTPFields = []) -> HTTPRequest {
        HTTPRequest("POST", "https://tenant.example/oauth/token", headers: headers, body: Array(body.utf8))
    }

    private func body(_ secret: String, audience: String = "api") -> String {
        #"{"grant_type":"client_credentials","client_id":"me","client_secret":"\#(secret)","audience":"\#(audience)"}"#
    }

    @Test func theSameWordsAreTheSameGrant() {
        var memory = GrantMemory()
        let request = self.request(self.body("s"), [HTTPField("Accept", "*/*")])
        let first = memory.grant(of: request)
        #expect(first != nil && first?.key == TokenGrant(of: request)?.key)
        #expect(memory.grant(of: request)?.key == first?.key)
    }

    /// A wrong secret must never get a right one's token.
    @Test func otherWordsAreAnotherGrant() {
        var memory = GrantMemory()
        var requests = [self.request(self.body("right")), self.request(self.body("wrong"))]
        requests.append(self.request(self.body("right", audience: "other")))
        requests.append(self.request(self.body("right"), [HTTPField("Authorization", "Basic eA==")]))
        for _ in 0..<2 {
            #expect(Set(requests.compactMap { memory.grant(of: $0)?.key }).count == 4)
        }
        #expect(memory.grant(of: self.request("{}")) == nil && memory.grant(of: self.request("{}")) == nil)
    }

    @Test func whatIsSentIsTheRequestOfNow() {
        var memory = GrantMemory()
        var request = self.request(self.body("s"))
        _ = memory.grant(of: request)
        request.timeout = .seconds(3)
        #expect(memory.grant(of: request)?.request?.timeout == .seconds(3))
    }

    @Test func aRuleThatNeverAsksInTheSameWordsTakesNoMemory() {
        var memory = GrantMemory()
        for number in 0..<1_000 {
            #expect(memory.grant(of: self.request(self.body("s\(number)")))?.key.clientID == "me")
        }
        #expect(memory.count <= 64)
        _ = memory.grant(of: self.request(self.body(String(repeating: "s", count: 8_000))))
        #expect(memory.count <= 64)
    }
}
