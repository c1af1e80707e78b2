import AfterloginCryptography
import Testing

@Suite(.timeLimit(.minutes(1)))
struct CryptographyTests {
    @Test func digestsMatchTheStandardsVector() {
        // FIPS 180-4, example "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(Digest.sha256Hexadecimal([Array("a".utf8), Array("bc".utf8)]) == abc)
    }

    @Test(arguments: SigningKey.Algorithm.allCases)
    func aSignatureIsVerifiedAndADamagedOneIsNot(_ algorithm: SigningKey.Algorithm) throws {
        let key = try algorithm == .es256 ? SigningKey.generateP256() : SigningKey.generateRSA()
        let message = Array("a message".utf8)
        var signature = try key.sign(message, algorithm)
        let reader = try SigningKey(publicPEM: key.publicPEM)
        #expect(reader.verify(signature, of: message, algorithm))
        #expect(try SigningKey(pem: key.privatePEM).verify(signature, of: message, algorithm))
        #expect(!reader.verify(signature, of: Array("another".utf8), algorithm))
        signature[signature.count / 2] ^= 1
        #expect(!reader.verify(signature, of: message, algorithm))
        #expect(!reader.verify([], of: message, algorithm))
        if algorithm == .es256 { #expect(signature.count == 64) }
    }

    @Test func theExampleOfRFC7515IsVerified() throws {
        // RFC 7515, appendix A.3: ES256.
        let input =
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        // The key of the same appendix (x, y), as SubjectPublicKeyInfo.
        let x = try #require(Base64URL.decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"))
        let y = try #require(Base64URL.decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"))
        let prefix: [UInt8] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
            0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
        ]
        let pem = "-----BEGIN PUBLIC KEY-----\n\(Base64.encode(prefix + x + y))\n-----END PUBLIC KEY-----\n"
        let key = try SigningKey(publicPEM: pem)
        #expect(key.verify(try #require(Base64URL.decode(signature)), of: Array(input.utf8), .es256))
    }

    @Test func anAlgorithmThatDoesNotFitTheKeyIsRefused() throws {
        let key = try SigningKey.generateP256()
        #expect(throws: CryptographyError.self) { try key.sign([1], .rs256) }
        #expect(throws: CryptographyError.self) { try SigningKey(pem: "nonsense") }
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ])
    func base64MatchesRFC4648(_ vector: (plain: String, encoded: String)) {
        #expect(Base64.encode(Array(vector.plain.utf8)) == vector.encoded)
        #expect(Base64.decode(vector.encoded) == Array(vector.plain.utf8))
        let unpadded = String(vector.encoded.prefix { $0 != "=" })
        #expect(Base64URL.encode(Array(vector.plain.utf8)) == unpadded)
        #expect(Base64URL.decode(unpadded) == Array(vector.plain.utf8))
    }

    @Test(arguments: ["A", "Zg=", "Zg", "Zh==", "Zm 9", "Zm9v====", "=Zg="])
    func malformedBase64IsRefused(_ text: String) { #expect(Base64.decode(text) == nil) }

    @Test(arguments: ["A", "Zg==", "Zh", "a+b/"])
    func malformedBase64URLIsRefused(_ text: String) { #expect(Base64URL.decode(text) == nil) }

    @Test func aCertificateNamesWhatItServes() throws {
        let key = try SigningKey.generateP256()
        let pem = try key.makeCertificate(names: ["localhost", "127.0.0.1", "::1"], days: 2)
        #expect(pem.hasPrefix("-----BEGIN CERTIFICATE-----"))
        #expect(throws: CryptographyError.self) { try key.makeCertificate(names: ["a,DNS:evil"], days: 1) }
        #expect(throws: CryptographyError.self) { try key.makeCertificate(names: [], days: 1) }
    }

    @Test func randomUUIDsAreOfVersion4AndDiffer() {
        let uuids = (0..<100).map { _ in RandomBytes.uuid() }
        #expect(Set(uuids).count == 100)
        #expect(uuids.allSatisfy { $0.count == 36 && Array($0)[14] == "4" && "89ab".contains(Array($0)[19]) })
    }
}
