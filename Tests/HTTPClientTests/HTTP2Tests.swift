import AfterloginHTTPClient
import AfterloginHTTPMessages
import Testing

/// One connection, many streams, against Node's server.
@Suite(.timeLimit(.minutes(1)))
struct HTTP2Tests {
    private let certificates: TestCertificates
    private let server: TLSServer
    private let client: HTTPClient

    init() async throws {
        let certificates = try await TestCertificates()
        self.certificates = certificates
        let pem = try await certificates.makeServer(names: "IP:127.0.0.1")
        self.server = try await TLSServer(pem: pem, http2: true)
        var configuration = HTTPClient.Configuration()
        configuration.caFile = certificates.authority
        self.client = try HTTPClient(configuration: configuration)
    }

    private func end() async {
        await self.client.shutdown()
        self.server.stop()
    }

    @Test func itIsUsedWhereItIsOffered() async throws {
        let fields: HTTPFields = [
            HTTPField("X-Mixed", "a, b"), HTTPField("Connection", "close"), HTTPField("TE", "gzip"),
            HTTPField("Transfer-Encoding", "chunked"), HTTPField("Upgrade", "h2c"), HTTPField("Empty", ""),
        ]
        for count in [0, 1, 16_384, 65_535, 65_536, 200_000] {
            let body = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let response = try await self.client.send(
                .local("PATCH", self.server.url("/echo?a=b"), headers: fields, body: body)
            )
            #expect(response.status == 200)
            #expect(response.reason == "")
            #expect(response.values(of: "x-version") == ["2.0"])
            #expect(response.body == body)
            let seen = try #require(response.values(of: "x-seen").first)
            #expect(seen.contains(#""x-mixed":"a, b""#) && seen.contains(#""empty":"""#))
            #expect(!seen.contains("h2c") && !seen.contains("close"))
        }
        await self.server.waitFor("connection", count: 1)
        #expect(self.server.count("connection") == 1)
        await self.end()
    }

    @Test func aServerWithoutItIsSpokenToInHTTP1() async throws {
        let plain = try await TLSServer(pem: self.certificates.makeServer(names: "IP:127.0.0.1"))
        defer { plain.stop() }
        let request = HTTPRequest.local(plain.url("/echo"))
        #expect(try await self.client.send(request).values(of: "x-version") == ["1.1"])
        await self.end()
    }

    @Test func requestsAtOnceShareOneConnection() async throws {
        let client = self.client
        let url = self.server.url("/together/50")
        // None is answered before all are there.
        let texts = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<50 { group.addTask { try await client.send(.local(url)).text } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(texts == Array(repeating: "together", count: 50))
        await self.server.waitFor("connection", count: 1)
        #expect(self.server.count("connection") == 1)
        await self.end()
    }

    @Test func repeatedHeadersAreKept() async throws {
        let response = try await self.client.send(.local(self.server.url("/cookies")))
        #expect(response.values(of: "set-cookie") == ["a=1", "b=2", "c=3"])
        await self.end()
    }

    @Test(arguments: ["/fail", "/cut"])
    func aStreamThatTheServerBreaksOffIsAFailure(path: String) async throws {
        let failure = try #require(await self.client.failure(of: .local(self.server.url(path))))
        #expect(failure.kind == .badResponse)
        #expect(failure.code == "ERR_HTTP2_STREAM_ERROR")
        #expect(failure.sentBytes)
        #expect(try await self.client.send(.local(self.server.url("/bytes/3"))).text == "xxx")
        await self.end()
    }

    @Test func aConnectionThatTheServerEndsPolitelyIsReplaced() async throws {
        for count in 1...3 {
            #expect(try await self.client.send(.local(self.server.url("/goaway"))).text == "bye")
            await self.server.waitFor("goodbye", count: count)
        }
        #expect(try await self.client.send(.local(self.server.url("/bytes/3"))).text == "xxx")
        await self.server.waitFor("connection", count: 4)
        #expect(self.server.count("connection") == 4)
        await self.end()
    }

    @Test func aRequestThatMeetsTheEndOfItsConnectionFailsAloneAndMayBeRepeated() async throws {
        for _ in 0..<3 {
            #expect(try await self.client.send(.local(self.server.url("/goaway"))).text == "bye")
            // libcurl has read that the server takes no more streams, or sent one more before it read that, or seen the end.
            let request = HTTPRequest.local(self.server.url("/bytes/3"))
            let failure = await self.client.failure(of: request)
            #expect(failure.map { [.connectionReset, .badResponse].contains($0.kind) } ?? true, "\(failure as Any)")
            #expect(try await self.client.send(request).text == "xxx")
        }
        await self.end()
    }
}
