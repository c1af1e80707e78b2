import AfterloginCryptography
import AfterloginHTTPMessages
import AfterloginJSON

/// The worker's own client, and how it proves to be that client.
struct TokenCredentials: Sendable {
    enum Proof: Sendable {
        case secretInBody(String)
        case secretInHeader(String)
        case assertion(SigningKey, SigningKey.Algorithm, audience: String)
    }

    let clientID: String
    let tokenURL: String
    let proof: Proof
    let usesForm: Bool

    /// From `tenant` of the configuration; nil where it names no client.
    ///
    /// - Throws: `EgressProblem` where a part is missing or the key is none.
    init?(_ tenant: TenantSettings) throws(EgressProblem) {
        guard let tokenURL = tenant.resolvedTokenURL, let clientID = tenant.clientID else { return nil }
        self.clientID = clientID
        self.tokenURL = tokenURL
        self.usesForm = tenant.tokenRequest == .form
        switch tenant.clientAuth {
        case .clientSecretPost, .clientSecretBasic:
            guard let secret = tenant.clientSecret else {
                throw EgressProblem(
                    description:
                        "set tenant.client_secret, which tenant.client_id needs to get tokens; without a secret set "
                        + "tenant.client_auth: private_key_jwt"
                )
            }
            self.proof = tenant.clientAuth == .clientSecretPost ? .secretInBody(secret) : .secretInHeader(secret)
        case .privateKeyJWT:
            guard let pem = tenant.privateKey, let algorithm = SigningKey.Algorithm(rawValue: tenant.algorithm) else {
                throw EgressProblem(
                    description:
                        "set tenant.private_key, which tenant.client_auth: private_key_jwt signs with, and tenant.algorithm"
                )
            }
            do {
                // Auth0 wants its domain; a certified OpenID server its issuer, or the address of the endpoint.
                let audience =
                    tenant.assertionAudience ?? tenant.tokenURL ?? tenant.domain.map { "https://\($0)/" } ?? tokenURL
                self.proof = .assertion(try SigningKey(pem: pem), algorithm, audience: audience)
            } catch {
                throw EgressProblem(
                    description:
                        "tenant.private_key: \(error); it takes a private key in PEM, as ${file:/run/secrets/key.pem} gives it"
                )
            }
        }
    }

    /// As a rule's own request shows it, so that both share the token; only the worker has a key.
    var credential: TokenGrant.Credential {
        switch self.proof {
        case .secretInBody(let secret): .shown([("client_secret", secret)])
        case .secretInHeader(let secret): .shown([("authorization", Self.basic(self.clientID, secret))])
        case .assertion: .workersKey
        }
    }

    /// A new request for every attempt: an assertion is good for one.
    func request(for grant: TokenGrant.Key, wallClock: Double) throws(CryptographyError) -> HTTPRequest {
        var members = [("grant_type", "client_credentials")]
        var headers: HTTPFields = []
        switch self.proof {
        case .secretInBody(let secret): members += [("client_id", self.clientID), ("client_secret", secret)]
        case .secretInHeader(let secret): headers["Authorization"] = Self.basic(self.clientID, secret)
        case .assertion(let key, let algorithm, let audience):
            members += [
                ("client_id", self.clientID),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                (
                    "client_assertion",
                    try ClientAssertion.make(self.clientID, audience, key, algorithm, wallClock: wallClock)
                ),
            ]
        }
        for (name, value) in [
            ("audience", grant.audience), ("scope", grant.scope), ("organization", grant.organization),
        ]
        where !value.isEmpty {
            members.append((name, value))
        }
        let body: [UInt8]
        if self.usesForm {
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = Self.form(members)
        } else {
            headers["Content-Type"] = "application/json"
            body = JSONValue(members.map { (name: $0.0, value: .string($0.1)) }).serialized()
        }
        return HTTPRequest(
            "POST",
            self.tokenURL,
            headers: headers + [HTTPField("Accept", "application/json")],
            body: body
        )
    }

    /// RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
    private static func basic(_ clientID: String, _ secret: String) -> String {
        "Basic \(Base64.encode(Array("\(self.encoded(clientID)):\(self.encoded(secret))".utf8)))"
    }

    /// `application/x-www-form-urlencoded`.
    static func form(_ members: [(String, String)]) -> [UInt8] {
        Array(members.map { "\(self.encoded($0.0))=\(self.encoded($0.1))" }.joined(separator: "&").utf8)
    }

    private static func encoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A JWT that a client signs to prove itself (RFC 7523): short-lived, with an id of its own.
enum ClientAssertion {
    /// Seconds.
    static let life = 60

    static func make(
        _ clientID: String,
        _ audience: String,
        _ key: SigningKey,
        _ algorithm: SigningKey.Algorithm,
        wallClock: Double
    ) throws(CryptographyError) -> String {
        let header: JSONValue = ["alg": .string(algorithm.rawValue), "typ": "JWT"]
        let claims: JSONValue = [
            "iss": .string(clientID), "sub": .string(clientID), "aud": .string(audience),
            "iat": .number(JSONNumber(Int(wallClock))), "exp": .number(JSONNumber(Int(wallClock) + self.life)),
            "jti": .string(RandomBytes.uuid()),
        ]
        let signed = "\(Base64URL.encode(header.serialized())).\(Base64URL.encode(claims.serialized()))"
        return "\(signed).\(Base64URL.encode(try key.sign(Array(signed.utf8), algorithm)))"
    }
}

/// Why egress can't be set up.
package struct EgressProblem: Error, Sendable, CustomStringConvertible {
    package var description: String
}
