import AfterloginCryptography
import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginObservability
import AfterloginTestSupport
import Testing

@testable import AfterloginEgress

/// What a rule, or a package of it, may try with requests to get what is not its own.
@Suite(.timeLimit(.minutes(1)))
struct EgressAttackTests {
    private static let tokenURL = "https://tenant.example/oauth/token"
    private static let worker = TokenProfile(audience: "profiles")

    private func egress(
        _ sender: ScriptedSender,
        log: Log = .silent,
        metrics: Metrics = Metrics(),
        _ change: (inout EgressSettings) throws -> Void = { _ in }
    ) throws -> WorkerEgress {
        var configuration = EgressSettings()
        configuration.tenant.domain = "tenant.example"
        configuration.tenant.clientID = "me"
        configuration.tenant.clientSecret = "the-secret"
        configuration.tokens = [("profiles", Self.worker)]
        configuration.egress.allow = ["api.example", "*.wild.example"]
        try change(&configuration)
        return try WorkerEgress(
            configuration: configuration,
            sender: sender,
            log: log,
            metrics: metrics,
            waitsForOutages: false
        )
    }

    private func call(_ method: String, _ url: String, _ body: String = "", _ headers: HTTPFields = []) -> EgressCall {
        let request = HTTPRequest(method, url, headers: headers, body: Array(body.utf8))
        return EgressCall(rule: "r", request: request, deadline: .now + .seconds(20))
    }

    // MARK: Connections

    /// A host asks with a method that nothing is sent with.
    @Test
    func aConnectionToElsewhereIsRefusedAndCounted() async throws {
        let metrics = Metrics()
        let sender = ScriptedSender { _, _ in .status(200) }
        let egress = try self.egress(sender, metrics: metrics)
        guard case .failed(let failure, _) = await egress.send(self.call("CONNECT", "http://evil.example:5432/")) else {
            Issue.record("it was not refused")
            return
        }
        #expect(failure.code == "EACCES" && failure.message.contains("the host is not in egress.allow"))
        #expect(sender.requests.isEmpty)
        #expect(metrics.value(.callsRefused, "evil.example", "5432") == 1)
    }

    @Test
    func ruleHostsAreToldNamesAndPortsAndNothingElse() throws {
        let egress = try self.egress(ScriptedSender { _, _ in .status(200) }) {
            $0.egress.allow = ["API.example", "*.wild.example:8443", "private:db.internal:5432", "[::1]:9000"]
        }
        #expect(
            egress.reach == [
                "*.wild.example:8443", "::1:9000", "api.example:0", "db.internal:5432", "tenant.example:443",
            ]
        )
    }

    private func status(_ reply: EgressReply) -> Int? {
        if case .response(let response, _) = reply { response.status } else { nil }
    }

    /// Gives a token to whoever shows what the endpoint wants to see, and 401 to all others.
    private static func endpoint(wanting words: String...) -> ScriptedSender {
        ScriptedSender { request, _ in
            guard request.url.hasSuffix("/oauth/token") else { return .status(204) }
            let shown =
                String(decoding: request.body, as: UTF8.self) + request.headers.map(\.value).joined(separator: " ")
            return words.allSatisfy { shown.contains($0) }
                ? .status(200, #"{"access_token":"token-of-the-worker","expires_in":3600}"#)
                : .status(401, #"{"error":"access_denied"}"#)
        }
    }

    @Test(arguments: [
        #""client_secret":"private_key_jwt RS256""#, #""client_assertion":"private_key_jwt RS256""#,
        #""client_secret":"""#, #""client_secret":"private_key_jwt ","client_assertion":"RS256""#,
        #""client_assertion_type":"urn:ietf:params:oauth:client-assertion-type:jwt-bearer""#,
    ])
    func theWorkersTokenIsNotForWhoeverNamesItsMethod(credential: String) async throws {
        let sender = Self.endpoint(wanting: #"client_assertion":"ey"#)
        let key = try SigningKey.generateRSA().privatePEM
        let egress = try self.egress(sender) {
            $0.tenant.clientAuth = .privateKeyJWT
            $0.tenant.clientSecret = nil
            $0.tenant.privateKey = key
        }
        #expect(self.status(await egress.send(self.call("GET", "https://api.example/"), token: "profiles")) == 204)
        let body =
            #"{"grant_type":"client_credentials","client_id":"me","audience":"profiles",\#(credential)}"#
        #expect(self.status(await egress.send(self.call("POST", Self.tokenURL, body))) == 401)
    }

    /// Which of the two counts is the server's choice: a token would be kept under the name of another.
    @Test(arguments: [
        "grant_type=client_credentials&client_id=me&client_secret=the-secret&audience=other&audience=profiles",
        #"{"grant_type":"client_credentials","client_id":"me","client_secret":"the-secret","audience":"other","audience":"profiles"}"#,
    ])
    func aRequestThatNamesSomethingTwiceLeavesNothingInTheCache(body: String) async throws {
        let sender = Self.endpoint(wanting: "the-secret")
        let egress = try self.egress(sender)
        #expect(self.status(await egress.send(self.call("POST", Self.tokenURL, body))) == 200)
        #expect(egress.tokenStatus().isEmpty)
    }

    @Test func credentialsInTheAddressOfTheTokenEndpointAreShownToIt() async throws {
        let sender = Self.endpoint(wanting: "Basic bWU6dGhlLXNlY3JldA==")
        let egress = try self.egress(sender)
        let body = "grant_type=client_credentials&audience=profiles"
        let right = self.call("POST", "https://me:the-secret@tenant.example/oauth/token", body)
        #expect(self.status(await egress.send(right)) == 200)
        let wrong = self.call("POST", "https://me:another-one@tenant.example/oauth/token", body)
        #expect(self.status(await egress.send(wrong)) == 401)
    }

    @Test func anEndpointThatWantsAFormGetsARulesRequestAsOne() async throws {
        let sender = ScriptedSender { request, _ in
            let type = request.headers.values("content-type")
            let body = String(decoding: request.body, as: UTF8.self)
            return type == ["application/x-www-form-urlencoded"]
                && body
                    == "grant_type=client_credentials&client_id=me&client_secret=s%26%2B%20%C3%A9&audience=profiles&n=1"
                ? .status(200, #"{"access_token":"opaque-token-1","expires_in":3600}"#) : .status(400)
        }
        let egress = try self.egress(sender) { $0.tenant.tokenRequest = .form }
        let reply = await egress.send(
            self.call(
                "POST",
                Self.tokenURL,
                #"{"grant_type":"client_credentials","client_id":"me","client_secret":"s&+ é","audience":"profiles","n":1}"#,
                [HTTPField("content-type", "application/json")]
            )
        )
        #expect(self.status(reply) == 200, "\(sender.requests.map { String(decoding: $0.body, as: UTF8.self) })")
    }

    /// A name that the configuration allows, led to the inside of the network by whoever answers for it.
    @Test(arguments: [
        ("https://port.example:8443/", false), ("https://tenant.example/api/v2/users", false),
        ("https://inside.example:8443/", true), ("https://10.0.0.1/", true),
    ])
    func aNameLeadsToAPrivateAddressOnlyWhereItsEntrySaysSo(url: String, isAllowed: Bool) async throws {
        let sender = ScriptedSender { _, _ in .status(200) }
        let egress = try self.egress(sender) {
            $0.egress.allow = ["port.example:8443", "private:inside.example:8443", "10.0.0.1"]
        }
        #expect(self.status(await egress.send(self.call("GET", url))) == 200)
        #expect(sender.requests.map(\.allowsSpecialAddresses) == [isAllowed])
    }

    @Test(arguments: [
        (["api.example"], "tenant.example", false), (["private:tenant.example"], "tenant.example", true),
        ([], "127.0.0.1:8443", true),
    ])
    func theTokenEndpointIsNoExceptionToThat(allow: [String], domain: String, isAllowed: Bool) async throws {
        let sender = Self.endpoint(wanting: "the-secret")
        let egress = try self.egress(sender) {
            $0.egress.allow = allow
            $0.tenant.domain = domain
        }
        #expect(await egress.probeToken() == nil)
        #expect(sender.requests.map(\.allowsSpecialAddresses) == [isAllowed])
    }

    /// The names of hosts, audiences and the like are a rule's own: what it puts there must not leave by a metric or a status.
    @Test func aSecretInTheNameOfAHostOrAnAudienceIsNotShown() async throws {
        let metrics = Metrics()
        let log = Log(level: .error, redactor: Redactor(secrets: ["the-secret"]), format: .json) { _ in }
        let sender = ScriptedSender { _, _ in .status(500) }
        let egress = try self.egress(sender, log: log, metrics: metrics)
        for url in ["https://the-secret.evil.example/", "https://the-secret.wild.example/"] {
            _ = await egress.send(self.call("POST", url))
        }
        let grant =
            #"{"grant_type":"client_credentials","client_id":"x","client_secret":"y","audience":"the-secret","scope":"the-secret"}"#
        _ = await egress.send(self.call("POST", Self.tokenURL, grant))
        let shown = "\(metrics.snapshot()) \(egress.tokenStatus()) \(egress.outages())"
        #expect(shown.contains("evil.example") && shown.contains("wild.example"))
        #expect(!shown.contains("the-secret"), "\(shown)")
    }
}
