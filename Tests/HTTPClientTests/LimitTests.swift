import AfterloginHTTPClient
import AfterloginHTTPMessages
import Glibc
import Testing

/// Servers that never end, and how much of them is taken.
@Suite(.timeLimit(.minutes(1)))
struct LimitTests {
    /// Fails, and the server sees the end of the connection.
    private func failure(
        of request: HTTPRequest,
        at server: RawServer
    ) async throws -> HTTPFailure {
        let client = try HTTPClient()
        let failure = await client.failure(of: request)
        await server.log.wait { $0.accepted == 1 && $0.ended == 1 }
        await client.shutdown()
        return try #require(failure)
    }

    private func server(_ start: String, thenEndlessly more: String = "", pause: UInt32 = 0) -> RawServer {
        RawServer { connection in
            guard connection.readRequest() != nil, connection.send(start) else { return }
            while !more.isEmpty, connection.send(more) { if pause > 0 { Self.pause(pause) } }
            connection.waitForEnd()
        }
    }

    private static func pause(_ milliseconds: UInt32) { usleep(milliseconds * 1_000) }

    @Test(
        arguments: [
            ("", "", 0), ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "", 0),
            ("HTTP/1.1 200 OK\r\nX-A: ", "a", 5),
            ("HTTP/1.1 200 OK\r\n\r\n", "a", 5),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", 5),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x", 1), ("H", "", 0),
            ("", "HTTP/1.1 102 Processing\r\n\r\n", 50),
        ] as [(String, String, UInt32)]
    )
    func aServerThatNeverEndsMeetsTheDeadline(start: String, more: String, pause: UInt32) async throws {
        let server = self.server(start, thenEndlessly: more, pause: pause)
        defer { server.stop() }
        let clock = ContinuousClock()
        let begin = clock.now
        let request = HTTPRequest.local(server.url()).with { $0.timeout = .milliseconds(200) }
        let failure = try await self.failure(of: request, at: server)
        #expect(clock.now - begin >= .milliseconds(200))
        #expect(failure.kind == .timeout)
        #expect(failure.code == "ETIMEDOUT")
        #expect(failure.sentBytes)
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\n", "X-A: b\r\n"), ("HTTP/1.1 200 OK\r\nX-A: ", String(repeating: "a", count: 10_000)),
        ("HTTP/1.1 200 ", String(repeating: "a", count: 10_000)), ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\n", "X-Long: \(String(repeating: "a", count: 50_000))\r\n"),
        ("HTTP/1.1 200 OK\r\nX-A: b\r\n", " \(String(repeating: "a", count: 1_000))\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", "X-A: b\r\n"),
    ])
    func headersWithoutEndAreRefused(start: String, more: String) async throws {
        let server = self.server(start, thenEndlessly: more)
        defer { server.stop() }
        let failure = try await self.failure(of: .local(server.url()), at: server)
        #expect(failure.kind == .headersTooLarge)
        #expect(failure.code == "HPE_HEADER_OVERFLOW")
    }

    @Test func headersWithinTheLimitAreTaken() async throws {
        let long = String(repeating: "a", count: 90_000)
        let lines = (0..<900).map { "X-\($0): b\r\n" }.joined()
        let server = RawServer(answer: "HTTP/1.1 200 OK\r\nX-Long: \(long)\r\n\(lines)Content-Length: 0\r\n\r\n")
        defer { server.stop() }
        let client = try HTTPClient()
        for _ in 0..<2 {
            let response = try await client.send(.local(server.url()))
            #expect(response.headers.count == 902)
            #expect(response.headers[0].value == long)
        }
        await client.shutdown()
    }

    @Test(arguments: ResponseTests.Framing.allCases, [0, 1, 1_000, 16_384, 100_000])
    func theLimitOfABodyIsExact(framing: ResponseTests.Framing, limit: Int) async throws {
        for count in [limit, limit + 1] {
            let body = String(repeating: "x", count: count)
            let answer =
                switch framing {
                case .length: "HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n\(body)"
                case .close: "HTTP/1.1 200 OK\r\n\r\n\(body)"
                case .chunked:
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + (count == 0 ? "" : "\(String(count, radix: 16))\r\n\(body)\r\n") + "0\r\n\r\n"
                }
            let server = RawServer(answerAndClose: answer)
            defer { server.stop() }
            let client = try HTTPClient()
            let request = HTTPRequest.local(server.url()).with { $0.maxResponseBytes = limit }
            if count == limit {
                #expect(try await client.send(request).body.count == count)
            } else {
                let failure = await client.failure(of: request)
                #expect(failure?.kind == .responseTooLarge)
                #expect(failure?.code == "ERR_RESPONSE_TOO_LARGE")
                #expect(failure?.message.contains("\(limit) bytes") == true)
            }
            await client.shutdown()
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    ])
    func aBodyWithoutEndIsRefusedAtTheLimit(head: String) async throws {
        let server = self.server(head, thenEndlessly: String(repeating: "x", count: 32_768))
        defer { server.stop() }
        let failure = try await self.failure(of: .local(server.url()), at: server)
        #expect(failure.kind == .responseTooLarge)
    }

    // MARK: Encoded bodies

    private static func encode(_ encoding: String, _ body: String) async throws -> [UInt8] {
        let function = ["gzip": "gzipSync", "deflate": "deflateSync", "br": "brotliCompressSync"][encoding] ?? ""
        return try await ChildProgram.output(
            of: ["node", "-e", "process.stdout.write(require('zlib').\(function)(\(body)))"]
        )
    }

    private func serve(_ encoding: String, _ bytes: [UInt8]) -> RawServer {
        RawServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.send(
                "HTTP/1.1 200 OK\r\nContent-Encoding: \(encoding)\r\nContent-Length: \(bytes.count)\r\nX-A: b\r\n\r\n"
            )
            connection.send(bytes)
        }
    }

    @Test(arguments: ["gzip", "deflate", "br"])
    func encodedBodiesAreDecodedUpToTheLimit(encoding: String) async throws {
        let bytes = try await Self.encode(encoding, "'a'.repeat(50000)")
        let server = self.serve(encoding, bytes)
        defer { server.stop() }
        let client = try HTTPClient()
        let response = try await client.send(.local(server.url()).with { $0.maxResponseBytes = 50_000 })
        #expect(response.text == String(repeating: "a", count: 50_000))
        #expect(response.headers == [HTTPField("X-A", "b")])
        let failure = await client.failure(of: .local(server.url()).with { $0.maxResponseBytes = 49_999 })
        #expect(failure?.kind == .responseTooLarge)
        // A rule's own library decodes: it gets what was sent.
        let raw = try await client.send(
            .local(server.url()).with {
                $0.decompresses = false
                $0.maxResponseBytes = bytes.count
            }
        )
        #expect(raw.body == bytes)
        #expect(raw.values(of: "content-encoding") == [encoding])
        #expect(raw.values(of: "content-length") == ["\(bytes.count)"])
        await client.shutdown()
    }

    @Test func theLimitIsThatOfTheDecodedBodyEvenWhereTheEncodedOneIsLarger() async throws {
        let bytes = try await Self.encode("gzip", "'ab'")
        #expect(bytes.count > 2)
        let server = self.serve("gzip", bytes)
        defer { server.stop() }
        let client = try HTTPClient()
        #expect(try await client.send(.local(server.url()).with { $0.maxResponseBytes = 2 }).text == "ab")
        await client.shutdown()
    }

    @Test func aBombIsRefusedAtTheLimit() async throws {
        let bytes = try await Self.encode("gzip", "require('zlib').gzipSync(Buffer.alloc(64 << 20))")
        #expect(bytes.count < 10_000)
        let server = self.serve("gzip, gzip", bytes)
        defer { server.stop() }
        let failure = try await self.failure(of: .local(server.url()), at: server)
        #expect(failure.kind == .responseTooLarge)
    }

    @Test(arguments: ["gzip", "deflate", "br"])
    func aBrokenEncodingIsAFailure(encoding: String) async throws {
        let server = self.serve(encoding, Array("this is plain text and nothing else".utf8))
        defer { server.stop() }
        let failure = try await self.failure(of: .local(server.url()), at: server)
        #expect(failure.kind == .badResponse)
        #expect(failure.code == "Z_DATA_ERROR")
    }

    @Test func anUnknownEncodingIsAFailure() async throws {
        let server = self.serve("mystery", Array("?".utf8))
        defer { server.stop() }
        let failure = try await self.failure(of: .local(server.url()), at: server)
        #expect(failure.kind == .badResponse)
    }
}
