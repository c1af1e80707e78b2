import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginSandbox
import Testing

@Suite("The sandbox's APIs and faults", .timeLimit(.minutes(1)))
struct SandboxServerTests {
    @Test func aPatchMergesTheFirstLevelAndNullDeletes() async throws {
        let client = try SandboxClient()
        let token = try await client.token("https://localhost/api/v2/")
        let path = "/api/v2/users/auth0%7C000001"
        let before = try await client.get(path, bearer: token).json
        #expect(before["user_id"]?.string == "auth0|000001")
        #expect(before["app_metadata"]?["consents"]?["recorded_at"] != nil)
        let changes: JSONValue = [
            "app_metadata": ["plan": "gold", "consents": ["analytics": true], "segments": .null],
            "email_verified": false,
        ]
        #expect(try await client.send("PATCH", path, json: changes, bearer: token).status == 200)
        let response = try await client.get(path, bearer: token)
        let metadata = response.json["app_metadata"]
        #expect(metadata?["plan"]?.string == "gold")
        #expect(metadata?["consents"] == ["analytics": true])
        #expect(metadata?["segments"] == nil)
        #expect(metadata?["customer_number"] == before["app_metadata"]?["customer_number"])
        #expect(response.json["email_verified"]?.bool == false)
        #expect(response.headers["x-ratelimit-limit"] == "50")
        #expect(Int(response.headers["x-ratelimit-remaining"] ?? "").map { $0 < 50 } == true)
        #expect(try await client.send("PATCH", path, json: ["user_id": "x"], bearer: token).status == 400)
        #expect(client.sandbox.statistics.usersWritten == 1)
        await client.stop()
    }

    @Test func theManagementAPIHasALimitPerSecond() async throws {
        let clock = TurnedClock()
        let client = try SandboxClient {
            $0.managementRate = 2
            $0.now = clock.now
        }
        let token = try await client.token("https://localhost/api/v2/")
        var statuses: [Int] = []
        for _ in 0..<3 { statuses.append(try await client.get("/api/v2/users/a", bearer: token).status) }
        #expect(statuses == [200, 200, 429])
        clock.turn(1)
        #expect(try await client.get("/api/v2/users/a", bearer: token).status == 200)
        await client.stop()
    }

    @Test func aFaultSetOverTheControlAPIHoldsUntilItIsTakenAway() async throws {
        let client = try SandboxClient()
        let fault: JSONValue = ["error": ["status": 503, "retry_after": 7]]
        #expect(try await client.send("PUT", "/control/faults/slow", json: fault).status == 200)
        let faulty = try await client.get("/slow/a")
        #expect(faulty.status == 503 && faulty.headers["retry-after"] == "7")
        #expect(try await client.get("/control/faults").json["slow"]?["error"]?["status"]?.int == 503)
        #expect(try await client.send("DELETE", "/control/faults/slow").status == 204)
        let well = try await client.send("POST", "/slow/a", body: [1])
        #expect(well.status == 200 && well.json["points"]?.int != nil)
        let statistics = try await client.get("/control/stats").json
        #expect(statistics["endpoints"]?["slow"]?["received"]?.int == 2)
        #expect(statistics["endpoints"]?["slow"]?["answered"] == ["200": 1, "503": 1])
        await client.stop()
    }

    @Test(arguments: [
        #"{"dela": 1}"#, #"{"delay": -1}"#, #"{"delay": {"uniform": [5, 1]}}"#, #"{"error": 1.5}"#, "[]", "{",
        #"{"error": {"status": 200}}"#, #"{"outage": 1}"#,
    ])
    func aFaultThatIsNoneIsRefusedAndChangesNothing(_ text: String) async throws {
        let client = try SandboxClient()
        client.sandbox.faults.set(.failing(500), on: .slow)
        let response = try await client.send("PUT", "/control/faults/slow", body: Array(text.utf8))
        #expect(response.status == 400)
        #expect(client.sandbox.faults.faults == [.slow: .failing(500)])
        await client.stop()
    }

    @Test(arguments: [
        #"{"delay":100}"#, #"{"delay":{"uniform":[50,150]}}"#, #"{"delay":{"exponential":100}}"#,
        #"{"delay":{"lognormal":[80,0.5]},"hang":0.25,"reset":0.5}"#,
        #"{"error":{"share":0.1,"status":429,"retry_after":2}}"#, #"{"outage":true}"#,
    ])
    func aFaultIsReadAndWrittenInTheSameForm(_ text: String) throws {
        let value = try JSONValue(parsing: Array(text.utf8))
        let fault = try Fault(value)
        #expect(fault.json == value)
    }

    @Test func aDelayHoldsBackItsEndpointAndNoOther() async throws {
        let client = try SandboxClient()
        // The connection is there, so that the handshake does not pass for the delay.
        #expect(try await client.get("/slow/a").status == 200)
        client.sandbox.faults.set(.slow(.fixed(.milliseconds(300))), on: .slow)
        let start = ContinuousClock.now
        #expect(try await client.get("/slow/a").status == 200)
        #expect(start.duration(to: .now) >= .milliseconds(300))
        // Far more than the pool has threads: one that was blocked by each would make it a minute.
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<400 { group.addTask { try await client.get("/slow/\(number)").status } }
            #expect(try await client.get("/profiles/a").status == 401)
            for try await status in group { #expect(status == 200) }
        }
        #expect(start.duration(to: .now) < .seconds(30))
        await client.stop()
    }

    @Test func aHangNeverAnswersAndAResetBreaksTheConnection() async throws {
        let client = try SandboxClient()
        // The connection is there, so that only the answer is waited for.
        #expect(try await client.get("/slow/a").status == 200)
        var hang = Fault()
        hang.hangShare = 1
        client.sandbox.faults.set(hang, on: .slow)
        client.sandbox.faults.set(.outage, on: .token)
        let hung = await #expect(throws: HTTPFailure.self) {
            try await client.send("GET", "/slow/a", timeout: .milliseconds(200))
        }
        #expect(hung?.kind == .timeout)
        await #expect(throws: HTTPFailure.self) { try await client.token() }
        // The other endpoints of the same port are well.
        #expect(try await client.get("/profiles/a").status == 401)
        await client.stop()
    }

    @Test func anOutageRefusesConnectionsUntilItEnds() async throws {
        let client = try SandboxClient()
        let token = try await client.token()
        #expect(try await client.send("PUT", "/control/outage").status == 204)
        let failure = await #expect(throws: HTTPFailure.self) { try await client.get("/profiles/a", bearer: token) }
        #expect(failure?.code == "ECONNREFUSED")
        #expect(try await client.send("DELETE", "/control/outage").status == 204)
        #expect(try await client.get("/profiles/a", bearer: token).status == 200)
        await client.stop()
    }

    @Test func sharesOfFaultsAreThoseAskedForAndTheSameForTheSameSeed() async throws {
        func statuses(seed: UInt64) async throws -> [Int] {
            let client = try SandboxClient { $0.seed = seed }
            client.sandbox.faults.set(.failing(503, share: 0.3), on: .slow)
            var statuses: [Int] = []
            for _ in 0..<300 { statuses.append(try await client.get("/slow/a").status) }
            await client.stop()
            return statuses
        }
        let first = try await statuses(seed: 4)
        #expect((60...120).contains(first.count { $0 == 503 }))
        #expect(try await statuses(seed: 4) == first)
        #expect(try await statuses(seed: 5) != first)
    }

    @Test func plainHTTPIsForMeasurements() async throws {
        let client = try SandboxClient { $0.isPlain = true }
        #expect(client.address.url.hasPrefix("http://localhost:"))
        #expect(client.address.domain == "localhost:\(client.address.port)")
        #expect(try await client.get("/slow/a").status == 200)
        await client.stop()
    }
}
