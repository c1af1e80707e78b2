import AfterloginCryptography
import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginSandbox
import Testing

@Suite("The sandbox's token endpoint, over TLS", .timeLimit(.minutes(1)))
struct TokenEndpointTests {
    @Test func aTokenAsksForJSONOrAFormAndOpensTheAPI() async throws {
        let client = try SandboxClient()
        let path = "/profiles/auth0%7C000001"
        #expect(try await client.get(path).status == 401)
        #expect(try await client.get(path, bearer: "nonsense").status == 401)
        let json = try await client.send("POST", "/oauth/token", json: SandboxClient.tokenRequest())
        #expect(json.status == 200)
        #expect(json.json["token_type"]?.string == "Bearer" && json.json["expires_in"]?.int == 3_600)
        let profile = try await client.get(path, bearer: json.json["access_token"]?.string)
        #expect(profile.status == 200)
        #expect(profile.json["user_id"]?.string == "auth0|000001")
        #expect(["free", "silver", "gold"].contains(profile.json["plan"]?.string))
        let form =
            "grant_type=client_credentials&client_id=sandbox-client&client_secret=sandbox-secret"
            + "&audience=https%3A%2F%2Fprofiles.example%2Fapi&scope=read%3Aprofiles+write"
        let answer = try await client.send(
            "POST",
            "/oauth/token",
            headers: [HTTPField("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            body: Array(form.utf8)
        )
        #expect(answer.json["scope"]?.string == "read:profiles write")
        #expect(client.sandbox.statistics.tokensByAudience == ["https://profiles.example/api": 2])
        await client.stop()
    }

    @Test(arguments: [
        (SandboxClient.tokenRequest(secret: "wrong"), 401, "access_denied"),
        (SandboxClient.tokenRequest(audience: "https://other.example"), 403, "access_denied"),
        (SandboxClient.tokenRequest(audience: nil), 403, "access_denied"),
        (SandboxClient.tokenRequest(grant: "password"), 400, "unsupported_grant_type"),
        (JSONValue.array([]), 400, "invalid_request"),
    ])
    func whatIsNotGrantedSaysWhy(_ row: (request: JSONValue, status: Int, error: String)) async throws {
        let client = try SandboxClient()
        let response = try await client.send("POST", "/oauth/token", json: row.request)
        #expect(response.status == row.status)
        #expect(response.json["error"]?.string == row.error)
        #expect(client.sandbox.statistics.tokensByAudience.isEmpty)
        await client.stop()
    }

    @Test func basicCredentialsAreTakenPercentEncoded() async throws {
        let client = try SandboxClient { $0.clientSecret = "a b:c%" }
        var request = SandboxClient.tokenRequest()
        request["client_secret"] = nil
        for (credentials, status) in [("sandbox-client:a+b%3Ac%25", 200), ("sandbox-client:a+b", 401)] {
            let basic = "Basic \(Base64.encode(Array(credentials.utf8)))"
            let response = try await client.send(
                "POST",
                "/oauth/token",
                headers: [HTTPField("content-type", "application/json"), HTTPField("authorization", basic)],
                body: request.serialized()
            )
            #expect(response.status == status)
        }
        await client.stop()
    }

    @Test(arguments: SigningKey.Algorithm.allCases)
    func aClientAssertionIsVerifiedAndTakenOnce(_ algorithm: SigningKey.Algorithm) async throws {
        let key = try algorithm == .es256 ? SigningKey.generateP256() : SigningKey.generateRSA()
        let stranger = try algorithm == .es256 ? SigningKey.generateP256() : SigningKey.generateRSA()
        let clock = TurnedClock()
        let publicPEM = try key.publicPEM
        let client = try SandboxClient {
            $0.clientPublicKey = publicPEM
            $0.now = clock.now
        }
        func ask(_ assertion: String) async throws -> Int {
            var request = SandboxClient.tokenRequest()
            request["client_secret"] = nil
            request["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            request["client_assertion"] = .string(assertion)
            return try await client.send("POST", "/oauth/token", json: request).status
        }
        func assertion(by key: SigningKey, lifetime: Double = 60, audience: String? = nil) throws -> String {
            let claims: JSONValue = [
                "iss": "sandbox-client", "sub": "sandbox-client", "jti": .string(RandomBytes.uuid()),
                "aud": .string(audience ?? "\(client.address.url)/"), "exp": JSONValue(clock.now() + lifetime),
            ]
            let header: JSONValue = ["alg": .string(algorithm.rawValue), "typ": "JWT"]
            let text = Base64URL.encode(header.serialized()) + "." + Base64URL.encode(claims.serialized())
            return text + "." + Base64URL.encode(try key.sign(Array(text.utf8), algorithm))
        }
        let good = try assertion(by: key)
        #expect(try await ask(good) == 200)
        #expect(try await ask(good) == 401)
        #expect(try await ask(assertion(by: stranger)) == 401)
        #expect(try await ask(assertion(by: key, lifetime: -1)) == 401)
        #expect(try await ask(assertion(by: key, lifetime: 3_600)) == 401)
        #expect(try await ask(assertion(by: key, audience: "https://elsewhere.example/")) == 401)
        await client.stop()
    }

    @Test func aTokenExpiresAndIsForOneAudience() async throws {
        let clock = TurnedClock()
        let client = try SandboxClient {
            $0.now = clock.now
            $0.tokenLifetime = .seconds(60)
        }
        let token = try await client.token()
        let management = try await client.token("https://localhost/api/v2/")
        clock.turn(59)
        #expect(try await client.get("/profiles/a", bearer: token).status == 200)
        #expect(try await client.get("/profiles/a", bearer: management).status == 401)
        #expect(try await client.get("/api/v2/users/a", bearer: token).status == 401)
        #expect(try await client.get("/api/v2/users/a", bearer: management).status == 200)
        clock.turn(2)
        #expect(try await client.get("/profiles/a", bearer: token).status == 401)
        #expect(try await client.get("/profiles/a", bearer: try await client.token()).status == 200)
        await client.stop()
    }

    @Test func aTokenThatWasChangedOrSignedByAnotherIsRefused() async throws {
        let (client, other) = (try SandboxClient(), try SandboxClient())
        let token = try await client.token()
        let stranger = try await other.token()
        let parts = token.split(separator: ".")
        let foreignParts = stranger.split(separator: ".")
        let forged = "\(parts[0]).\(parts[1]).\(foreignParts[2])"
        for bad in [stranger, forged, "\(parts[0]).\(parts[1])."] {
            #expect(try await client.get("/profiles/a", bearer: bad).status == 401)
        }
        #expect(try await client.get("/profiles/a", bearer: token).status == 200)
        await client.stop()
        await other.stop()
    }

    @Test func aQuotaAnswers429UntilItsWindowEnds() async throws {
        let clock = TurnedClock()
        let client = try SandboxClient {
            $0.now = clock.now
            $0.tokenQuota = .init(tokens: 2, window: .seconds(30))
        }
        let request = SandboxClient.tokenRequest()
        for status in [200, 200, 429] {
            #expect(try await client.send("POST", "/oauth/token", json: request).status == status)
        }
        clock.turn(9.5)
        let refused = try await client.send("POST", "/oauth/token", json: request)
        #expect(refused.json["error"]?.string == "too_many_requests")
        #expect(refused.headers["retry-after"] == "21")
        clock.turn(20.5)
        #expect(try await client.send("POST", "/oauth/token", json: request).status == 200)
        await client.stop()
    }
}
