import AfterloginHTTPClient
import AfterloginHTTPMessages
import Testing

/// Whose certificate is trusted, and how the others are told apart.
@Suite(.timeLimit(.minutes(1)))
struct TLSTests {
    private let certificates: TestCertificates

    init() async throws { self.certificates = try await TestCertificates() }

    private func client(trusting file: String?) throws -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        configuration.caFile = file
        return try HTTPClient(configuration: configuration)
    }

    private func failure(
        at server: TLSServer,
        host: String = "127.0.0.1",
        trusting file: String? = nil
    ) async throws -> HTTPFailure {
        let client = try self.client(trusting: file)
        let failure = await client.failure(of: .local("POST", server.url("/echo", host: host), body: [65]))
        await client.shutdown()
        // Nothing of the request has reached the stranger.
        #expect(!server.lines.value.contains { $0.hasPrefix("request") })
        #expect(failure?.sentBytes == false)
        return try #require(failure)
    }

    @Test func aServerOfAnExtraAuthorityIsTrustedByNameAndAddress() async throws {
        let pem = try await self.certificates.makeServer(names: "IP:127.0.0.1,DNS:localhost")
        let server = try await TLSServer(pem: pem)
        defer { server.stop() }
        let client = try self.client(trusting: self.certificates.authority)
        for host in ["127.0.0.1", "localhost", "127.0.0.1", "localhost"] {
            let response = try await client.send(.local("POST", server.url("/echo", host: host), body: [65, 66]))
            #expect(response.text == "AB")
        }
        // One connection for each name.
        await server.waitFor("connection", count: 2)
        #expect(server.count("connection") == 2)
        await client.shutdown()
    }

    @Test func anUnknownAuthorityIsRefused() async throws {
        let server = try await TLSServer(pem: self.certificates.makeServer(names: "IP:127.0.0.1"))
        defer { server.stop() }
        let failure = try await self.failure(at: server)
        #expect(failure.kind == .certificate)
        #expect(failure.code == "UNABLE_TO_VERIFY_LEAF_SIGNATURE")
        #expect(failure.port == server.port)
    }

    @Test func aSelfSignedCertificateIsRefused() async throws {
        let pem = try await self.certificates.makeServer(names: "IP:127.0.0.1", isSelfSigned: true)
        let server = try await TLSServer(pem: pem)
        defer { server.stop() }
        let failure = try await self.failure(at: server, trusting: self.certificates.authority)
        #expect(failure.kind == .certificate)
        #expect(failure.code == "DEPTH_ZERO_SELF_SIGNED_CERT")
    }

    @Test func anExpiredCertificateIsRefused() async throws {
        let server = try await TLSServer(pem: self.certificates.makeServer(names: "IP:127.0.0.1", days: -1))
        defer { server.stop() }
        let failure = try await self.failure(at: server, trusting: self.certificates.authority)
        #expect(failure.kind == .certificate)
        #expect(failure.code == "CERT_HAS_EXPIRED")
    }

    @Test(arguments: [("DNS:other.test", "localhost"), ("DNS:localhost", "127.0.0.1"), ("IP:127.0.0.2", "127.0.0.1")])
    func aCertificateOfAnotherNameIsRefused(names: String, host: String) async throws {
        let server = try await TLSServer(pem: self.certificates.makeServer(names: names))
        defer { server.stop() }
        let failure = try await self.failure(at: server, host: host, trusting: self.certificates.authority)
        #expect(failure.kind == .certificate)
        #expect(failure.code == "ERR_TLS_CERT_ALTNAME_INVALID")
    }

    @Test func aPlainServerAtASecureAddressIsNoCertificateProblem() async throws {
        let server = RawServer { connection in
            connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            connection.waitForEnd()
        }
        defer { server.stop() }
        let client = try HTTPClient()
        let failure = try #require(await client.failure(of: .local(server.url(scheme: "https"))))
        #expect(failure.kind == .tls)
        #expect(failure.code == "EPROTO")
        #expect(!failure.sentBytes)
        await client.shutdown()
    }

    @Test(arguments: [true, false])
    func aServerThatHangsUpInTheHandshakeResetsTheConnection(resets: Bool) async throws {
        let server = RawServer { connection in if resets { connection.resetAtEnd() } }
        defer { server.stop() }
        let client = try HTTPClient()
        let failure = try #require(await client.failure(of: .local(server.url(scheme: "https"))))
        #expect([.connectionReset, .tls].contains(failure.kind))
        #expect(!failure.sentBytes)
        await client.shutdown()
    }

    @Test func aServerThatNeverShakesHandsMeetsTheConnectDeadline() async throws {
        let server = RawServer { $0.waitForEnd() }
        defer { server.stop() }
        let client = try HTTPClient()
        let request = HTTPRequest.local(server.url(scheme: "https")).with { $0.connectTimeout = .milliseconds(150) }
        let failure = try #require(await client.failure(of: request))
        #expect(failure.kind == .connectTimeout)
        #expect(!failure.sentBytes)
        await server.log.wait { $0.ended == 1 }
        await client.shutdown()
    }

    @Test func oldVersionsOfTLSAreRefused() async throws {
        let pem = try await self.certificates.makeServer(names: "IP:127.0.0.1")
        let options = "minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0'"
        let server = try await TLSServer(pem: pem, options: options)
        defer { server.stop() }
        let failure = try await self.failure(at: server, trusting: self.certificates.authority)
        #expect(failure.kind == .tls)
    }

    @Test func anAuthorityFileThatIsNoneIsRefusedAtTheStart() throws {
        for file in ["/nonexistent/ca.pem", "/etc/hostname", "/dev/null", "/"] {
            let failure = #expect(throws: HTTPFailure.self) { try self.client(trusting: file) }
            #expect(failure?.kind == .certificate)
            #expect(failure?.message.contains(file) == true)
        }
    }
}
