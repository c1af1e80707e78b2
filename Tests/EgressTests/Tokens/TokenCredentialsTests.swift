import AfterloginCryptography
import AfterloginHTTPMessages
import AfterloginJSON
import Testing

@testable import AfterloginEgress

@Suite("How the worker proves who it is")
struct TokenCredentialsTests {
    /// A client with characters that encodings change.
    private func tenant(_ change: (inout TenantSettings) -> Void = { _ in }) -> TenantSettings {
        var tenant = TenantSettings()
        tenant.domain = "tenant.example"
        tenant.clientID = "me:&+ é"
        tenant.clientSecret = "s=/%\"\n"
        change(&tenant)
        return tenant
    }

    private func request(
        _ tenant: TenantSettings,
        _ profile: TokenProfile = .init(audience: "https://api.example/?a=b", scope: "read write")
    ) throws -> HTTPRequest {
        let credentials = try #require(try TokenCredentials(tenant))
        return try credentials.request(for: TokenGrant(credentials, profile).key, wallClock: 1_000)
    }

    private func header(_ request: HTTPRequest, _ name: String) -> String? {
        request.headers.first { $0.name == name }?.value
    }

    @Test func aSecretGoesInTheBody() throws {
        let request = try self.request(self.tenant())
        #expect(request.method == "POST" && request.url == "https://tenant.example/oauth/token")
        #expect(self.header(request, "Authorization") == nil)
        #expect(self.header(request, "Content-Type") == "application/json")
        #expect(
            try JSONValue(parsing: request.body) == [
                "grant_type": "client_credentials", "client_id": "me:&+ é", "client_secret": "s=/%\"\n",
                "audience": "https://api.example/?a=b", "scope": "read write",
            ]
        )
    }

    @Test func aFormIsEncoded() throws {
        let request = try self.request(self.tenant { $0.tokenRequest = .form })
        #expect(self.header(request, "Content-Type") == "application/x-www-form-urlencoded")
        #expect(
            String(decoding: request.body, as: UTF8.self)
                == "grant_type=client_credentials&client_id=me%3A%26%2B%20%C3%A9&client_secret=s%3D%2F%25%22%0A"
                + "&audience=https%3A%2F%2Fapi.example%2F%3Fa%3Db&scope=read%20write"
        )
        // And read back as it was meant.
        let grant = try #require(TokenGrant(of: request))
        #expect(grant.key.clientID == "me:&+ é" && grant.key.scope == "read write")
    }

    @Test func aSecretInAHeaderIsEncodedBeforeItIsJoined() throws {
        let request = try self.request(self.tenant { $0.clientAuth = .clientSecretBasic })
        let value = try #require(self.header(request, "Authorization"))
        let decoded = try #require(Base64.decode(String(value.dropFirst("Basic ".count))))
        #expect(String(decoding: decoded, as: UTF8.self) == "me%3A%26%2B%20%C3%A9:s%3D%2F%25%22%0A")
        let body = try JSONValue(parsing: request.body)
        #expect(body["client_secret"] == nil && body["client_id"] == nil)
    }

    @Test(arguments: SigningKey.Algorithm.allCases)
    func anAssertionIsSignedAndGoodForOneUse(algorithm: SigningKey.Algorithm) throws {
        let key = try algorithm == .es256 ? SigningKey.generateP256() : SigningKey.generateRSA()
        let pem = try key.privatePEM
        let tenant = self.tenant {
            $0.clientAuth = .privateKeyJWT
            $0.clientSecret = nil
            $0.privateKey = pem
            $0.algorithm = algorithm.rawValue
        }
        var identifiers = Set<String>()
        for _ in 0..<3 {
            let body = try JSONValue(parsing: try self.request(tenant).body)
            #expect(body["client_assertion_type"]?.string == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            #expect(body["client_secret"] == nil)
            let parts = try #require(body["client_assertion"]?.string).split(separator: ".").map(String.init)
            try #require(parts.count == 3)
            let signature = try #require(Base64URL.decode(parts[2]))
            #expect(key.verify(signature, of: Array("\(parts[0]).\(parts[1])".utf8), algorithm))
            let header = try JSONValue(parsing: try #require(Base64URL.decode(parts[0])))
            #expect(header["alg"]?.string == algorithm.rawValue)
            let claims = try JSONValue(parsing: try #require(Base64URL.decode(parts[1])))
            #expect(claims["iss"]?.string == "me:&+ é" && claims["sub"]?.string == "me:&+ é")
            #expect(claims["aud"]?.string == "https://tenant.example/")
            #expect(claims["iat"]?.int == 1_000 && claims["exp"]?.int == 1_060)
            identifiers.insert(try #require(claims["jti"]?.string))
        }
        #expect(identifiers.count == 3)
    }

    /// Auth0 wants its domain; a certified OpenID server its issuer, or the address of the endpoint.
    @Test(arguments: [
        (nil, nil, "https://tenant.example/"),
        ("https://id.example/token", nil, "https://id.example/token"),
        ("https://id.example/token", "https://id.example", "https://id.example"),
        (nil, "https://id.example", "https://id.example"),
    ])
    func anAssertionIsForWhoeverIsToReadIt(url: String?, named: String?, audience: String) throws {
        let pem = try SigningKey.generateP256().privatePEM
        let tenant = self.tenant {
            $0.clientAuth = .privateKeyJWT
            $0.privateKey = pem
            $0.algorithm = "ES256"
            $0.tokenURL = url
            $0.assertionAudience = named
        }
        let body = try JSONValue(parsing: try self.request(tenant).body)
        let parts = try #require(body["client_assertion"]?.string).split(separator: ".").map(String.init)
        let claims = try JSONValue(parsing: try #require(Base64URL.decode(parts[1])))
        #expect(claims["aud"]?.string == audience)
    }

    @Test func whatIsMissingIsToldByItsKey() throws {
        let none = try TokenCredentials(TenantSettings())
        if none != nil { Issue.record("credentials out of nothing") }
        for (change, key) in [
            ({ $0.clientSecret = nil }, "tenant.client_secret"),
            ({ $0.clientAuth = .privateKeyJWT }, "tenant.private_key"),
            (
                {
                    $0.clientAuth = .privateKeyJWT
                    $0.privateKey = "nonsense"
                }, "tenant.private_key"
            ),
        ] as [((inout TenantSettings) -> Void, String)] {
            let tenant = self.tenant(change)
            let problem = #expect(throws: EgressProblem.self) { try TokenCredentials(tenant) }
            #expect(problem?.description.contains(key) == true)
        }
    }
}
