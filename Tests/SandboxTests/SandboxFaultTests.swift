import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginSandbox
import Testing

@Suite("The sandbox's ports and what goes wrong on them", .timeLimit(.minutes(1)))
struct SandboxFaultTests {
    private func put(_ name: String, _ fault: JSONValue, _ client: SandboxClient) async throws {
        let response = try await client.send("PUT", "/control/faults/\(name)", json: fault)
        #expect(response.status == 200, "\(response.json)")
    }

    @Test func aTruncatedAnswerAnnouncesMoreThanItSends() async throws {
        let client = try SandboxClient { $0.isPlain = true }
        try await self.put("slow", ["truncate": 1], client)
        // What is received, as it stands: the client itself only says that the connection ended.
        let text = try await RawExchange.get("/slow/a", port: client.address.port)
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1)
        let length = parts[0].split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
            .flatMap { Int($0.dropFirst(15).drop { $0 == " " }) }
        #expect(parts[0].hasPrefix("HTTP/1.1 200"))
        #expect(length == parts[1].utf8.count * 2 || length == parts[1].utf8.count * 2 + 1)
        let failure = await #expect(throws: HTTPFailure.self) { try await client.get("/slow/a") }
        #expect(failure?.kind == .connectionReset)
        let statistics = try await client.get("/control/stats").json["endpoints"]?["slow"]
        #expect(statistics?["truncated"]?.int == 2 && statistics?["answered"]?["200"]?.int == 2)
        await client.stop()
    }

    @Test func inABlackHoleNoConnectionIsMadeAndNoRequestAnswered() async throws {
        let client = try SandboxClient()
        // On this connection the second request hangs; a new one is never made.
        #expect(try await client.get("/slow/a").status == 200)
        try await self.put("main", ["connection": "blackhole"], client)
        let kept = await #expect(throws: HTTPFailure.self) {
            try await client.send("GET", "/slow/a", timeout: .milliseconds(300))
        }
        #expect(kept?.kind == .timeout && kept?.sentBytes == true)
        let new = await #expect(throws: HTTPFailure.self) {
            try await client.send("GET", "/slow/a", timeout: .milliseconds(300))
        }
        #expect(new?.kind == .connectTimeout && new?.sentBytes == false)
        #expect(try await client.get("/control/faults").json["main"]?["connection"]?.string == "blackhole")
        #expect(try await client.send("DELETE", "/control/faults/main").status == 204)
        #expect(try await client.get("/slow/a").status == 200)
        await client.stop()
    }

    @Test func anExpiredCertificateIsShownUntilItIsTakenAway() async throws {
        let client = try SandboxClient { $0.doors = [.token: "127.0.0.1:0"] }
        try await self.put("token", ["connection": "expired"], client)
        let door = try #require(client.address.doors[.token])
        let failure = await #expect(throws: HTTPFailure.self) { try await client.get("\(door)/slow/a") }
        #expect(failure?.kind == .certificate && failure?.code == "CERT_HAS_EXPIRED", "\(String(describing: failure))")
        // The port of all has a good one.
        #expect(try await client.get("/slow/a").status == 200)
        #expect(try await client.send("DELETE", "/control/faults").status == 204)
        #expect(try await client.get("\(door)/slow/a").status == 200)
        await client.stop()
    }

    @Test func aDoorIsClosedForItsTimeAndOpensByItself() async throws {
        let client = try SandboxClient { $0.doors = [.profiles: "127.0.0.1:0"] }
        let door = try #require(client.address.doors[.profiles])
        try await self.put("profiles", ["connection": "refused", "seconds": 0.3], client)
        let failure = await #expect(throws: HTTPFailure.self) { try await client.get("\(door)/slow/a") }
        #expect(failure?.kind == .connectionRefused)
        while try await client.get("/control/faults").json["profiles"] != nil { await Task.yield() }
        #expect(try await client.get("\(door)/slow/a").status == 200)
        await client.stop()
    }

    @Test func aFaultOfRequestsEndsWhenItsTimeIsOver() async throws {
        let clock = TurnedClock()
        let client = try SandboxClient { $0.now = clock.now }
        try await self.put("slow", ["error": ["status": 500], "seconds": 30], client)
        clock.turn(29)
        #expect(try await client.get("/slow/a").status == 500)
        clock.turn(1)
        #expect(try await client.get("/slow/a").status == 200)
        #expect(try await client.get("/control/faults").json == [:])
        await client.stop()
    }

    @Test func aBucketSaysWhatItLetThroughAndCouldHave() async throws {
        let clock = TurnedClock()
        let client = try SandboxClient { $0.now = clock.now }
        try await self.put("slow", ["bucket": ["capacity": 2, "rate": 0.5]], client)
        var responses: [HTTPResponse] = []
        for _ in 0..<3 { responses.append(try await client.get("/slow/a")) }
        #expect(responses.map(\.status) == [200, 200, 429])
        #expect(responses[2].headers["retry-after"] == "2")
        clock.turn(2)
        #expect(try await client.get("/slow/a").status == 200)
        // What it did is there after its end as well.
        #expect(try await client.send("DELETE", "/control/faults/slow").status == 204)
        let bucket = try await client.get("/control/stats").json["endpoints"]?["slow"]?["bucket"]
        #expect(bucket == ["allowed": 3, "refused": 1, "offered": 3])
        try await self.put("slow", ["bucket": ["capacity": 1, "rate": 1, "status": 503, "retry_after": false]], client)
        #expect(try await client.get("/slow/a").status == 200)
        let empty = try await client.get("/slow/a")
        #expect(empty.status == 503 && empty.headers["retry-after"] == nil)
        await client.stop()
    }

    @Test func anAnswerOfManyBytesIsStillJSON() async throws {
        let client = try SandboxClient()
        try await self.put("slow", ["size": 3_000_000], client)
        let response = try await client.get("/slow/a")
        #expect(response.body.count == 3_000_000 && response.json["points"]?.int != nil)
        await client.stop()
    }

    @Test(arguments: [
        ("main", #"{"delay": 5}"#, 409), ("slow", #"{"connection": "refused"}"#, 409),
        ("main", #"{"connection": "gone"}"#, 400), ("slow", #"{"seconds": 0, "hang": 1}"#, 400),
        ("slow", #"{"seconds": 100000, "hang": 1}"#, 400), ("slow", #"{"truncate": 2}"#, 400),
        ("slow", #"{"size": -1}"#, 400), ("slow", #"{"size": 1e300}"#, 400), ("slow", #"{"bucket": 5}"#, 400),
        ("slow", #"{"bucket": {"capacity": 1}}"#, 400), ("slow", #"{"bucket": {"capacity": 1, "rate": 0}}"#, 400),
        ("slow", #"{"bucket": {"capacity": 0, "rate": 1}}"#, 400),
        ("slow", #"{"bucket": {"capacity": 1, "rate": 1, "retry_after": "1"}}"#, 400),
        ("slow", #"{"bucket": {"capacity": 1, "rate": 1, "burst": 2}}"#, 400),
        ("slow", #"{"error": {"retry_after": 1e18}}"#, 400), ("nobody", "{}", 404),
    ])
    func whatCannotBeIsRefusedAndChangesNothing(_ name: String, _ text: String, _ status: Int) async throws {
        let client = try SandboxClient()
        try await self.put("slow", ["error": ["status": 500, "share": 1]], client)
        #expect(try await client.send("PUT", "/control/faults/\(name)", body: Array(text.utf8)).status == status)
        let faults = try await client.get("/control/faults").json
        #expect(faults["slow"]?["error"]?["status"]?.int == 500 && faults["main"] == nil)
        await client.stop()
    }

    @Test func withoutTLSNoCertificateExpires() async throws {
        let client = try SandboxClient { $0.isPlain = true }
        let fault: JSONValue = ["connection": "expired"]
        #expect(try await client.send("PUT", "/control/faults/main", json: fault).status == 409)
        #expect(try await client.get("/slow/a").status == 200)
        await client.stop()
    }

    @Test(arguments: [
        #"{"truncate":0.5,"size":1000}"#, #"{"connection":"expired"}"#,
        #"{"bucket":{"capacity":5,"rate":2.5,"status":429,"retry_after":1}}"#,
        #"{"bucket":{"capacity":5,"rate":2.5,"status":503,"retry_after":false}}"#, #"{"hang":1,"seconds":2.5}"#,
    ])
    func aFaultIsReadAndWrittenInTheSameForm(_ text: String) throws {
        let value = try JSONValue(parsing: Array(text.utf8))
        #expect(try SwitchedFault(value).json == value)
    }
}
