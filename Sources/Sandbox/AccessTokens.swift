import AfterloginCryptography
import AfterloginJSON
import AfterloginSystem

/// Issues access tokens (JWTs, ES256: 20 µs to sign, a tenth of RS256) and checks them.
///
/// The key is new in every process, so a restart makes all tokens invalid, as the rotation of a real key does.
final class AccessTokens: Sendable {
    /// Why a bearer is turned away with 401.
    struct Refusal: Error, Equatable {
        let message: String
    }

    private struct Grant {
        let audience: String
        let expiry: Double
    }

    /// Tokens that were verified once; a client that asks for one per request must not fill the memory.
    private static let maxRemembered = 4_096

    private let issuer: String
    private let key: SigningKey
    private let now: @Sendable () -> Double
    private let remembered = Mutex<[String: Grant]>([:])

    init(issuer: String, now: @escaping @Sendable () -> Double) throws(CryptographyError) {
        self.issuer = issuer
        self.key = try SigningKey.generateP256()
        self.now = now
    }

    func issue(client: String, audience: String, scope: String?, lifetime: Duration) throws(CryptographyError) -> String
    {
        let time = self.now()
        var claims: JSONValue = [
            "iss": .string(self.issuer), "sub": .string("\(client)@clients"), "aud": .string(audience),
            "iat": JSONValue(Int(time)), "exp": JSONValue(Int(time + lifetime / .seconds(1))), "azp": .string(client),
            "gty": "client-credentials", "jti": .string(RandomBytes.uuid()),
        ]
        claims["scope"] = scope.map { .string($0) }
        let header = #"{"alg":"ES256","typ":"JWT","kid":"sandbox"}"#
        let text = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(claims.serialized())
        return text + "." + Base64URL.encode(try self.key.sign(Array(text.utf8), .es256))
    }

    /// Checks signature, issuer, expiry and audience of what stands in the header `Authorization`.
    func check(_ authorization: String?, accepts: (_ audience: String) -> Bool) throws(Refusal) {
        guard let authorization else { throw Refusal(message: "Missing authentication") }
        guard authorization.utf8.count > 7, authorization.prefix(7).lowercased() == "bearer " else {
            throw Refusal(message: "Bad HTTP authentication header format")
        }
        let token = String(authorization.dropFirst(7))
        let grant = try self.grant(of: token)
        guard grant.expiry > self.now() else { throw Refusal(message: "Expired token") }
        guard accepts(grant.audience) else { throw Refusal(message: "Bad audience: \(grant.audience)") }
    }

    private func grant(of token: String) throws(Refusal) -> Grant {
        if let grant = self.remembered.withLock({ $0[token] }) { return grant }
        guard let jwt = SignedToken(token), jwt.algorithm == .es256, jwt.isSigned(by: self.key),
            jwt.claims["iss"]?.string == self.issuer,
            let audience = jwt.claims["aud"]?.string, let expiry = jwt.claims["exp"]?.double
        else { throw Refusal(message: "Invalid token") }
        let grant = Grant(audience: audience, expiry: expiry)
        self.remembered.withLock { remembered in
            if remembered.count >= Self.maxRemembered { remembered.removeAll(keepingCapacity: true) }
            remembered[token] = grant
        }
        return grant
    }
}

/// A JWT taken apart (RFC 7519, compact form); nothing in it is to be believed before `isSigned`.
struct SignedToken {
    let algorithm: SigningKey.Algorithm
    let claims: JSONValue
    private let signed: [UInt8]
    private let signature: [UInt8]

    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, text.utf8.count <= 16_384,
            let header = Base64URL.decode(String(parts[0])), let claims = Base64URL.decode(String(parts[1])),
            let signature = Base64URL.decode(String(parts[2])),
            let name = try? JSONValue(parsing: header)["alg"]?.string,
            let algorithm = SigningKey.Algorithm(rawValue: name),
            let claims = try? JSONValue(parsing: claims)
        else { return nil }
        self.algorithm = algorithm
        self.claims = claims
        self.signed = Array("\(parts[0]).\(parts[1])".utf8)
        self.signature = signature
    }

    func isSigned(by key: SigningKey) -> Bool { key.verify(self.signature, of: self.signed, self.algorithm) }
}
