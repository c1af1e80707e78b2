import AfterloginHTTPClient
import AfterloginHTTPMessages
import Testing

/// What stands on the wire, byte for byte.
@Suite(.timeLimit(.minutes(1)))
struct RequestBytesTests {
    private static let okay = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    /// The bytes of a request, with the port of the server as `PORT`.
    private func bytes(of request: (RawServer) -> HTTPRequest) async throws -> String {
        let server = RawServer(answer: Self.okay)
        defer { server.stop() }
        let client = try HTTPClient()
        _ = try await client.send(request(server))
        await client.shutdown()
        #expect(server.log.value.requests.count == 1)
        return server.log.value.requests[0].replacing("\(server.port)", with: "PORT")
    }

    @Test func aPlainGetSaysNoMoreThanItMust() async throws {
        let bytes = try await self.bytes { .local($0.url("/a?b=c#fragment")).with { $0.decompresses = false } }
        #expect(bytes == "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nUser-Agent: afterlogin\r\n\r\n")
    }

    @Test func encodingsAreOfferedWhereTheyAreDecodedHere() async throws {
        let bytes = try await self.bytes { .local($0.url(), headers: [HTTPField("Accept-Encoding", "zstd")]) }
        #expect(bytes.contains("\r\nAccept-Encoding: gzip, deflate, br\r\n"))
        #expect(!bytes.contains("zstd"))
        let own = try await self.bytes {
            .local($0.url(), headers: [HTTPField("Accept-Encoding", "zstd")]).with { $0.decompresses = false }
        }
        #expect(own.contains("\r\nAccept-Encoding: zstd\r\n"))
    }

    @Test func headersAreSentAsTheyAreGivenAndInOrder() async throws {
        let fields: HTTPFields = [
            HTTPField("X-One", "1"), HTTPField("x-TWO", "  kept  inside "), HTTPField("X-One", "again"),
            HTTPField("X-Empty", ""), HTTPField("X-Blank", " \t "), HTTPField("X-Colon", "a: b; c"),
            HTTPField("X-Ünicode".replacing("Ü", with: "u"), "Grüße"), HTTPField("X-Tab", "a\tb"),
            HTTPField("Accept", "text/plain"), HTTPField("Content-Type", "a/b"), HTTPField("User-Agent", "mine"),
            HTTPField("Authorization", "Bearer t"), HTTPField("Cookie", "a=b; c=d"),
        ]
        let bytes = try await self.bytes { server in
            .local("POST", server.url("/p"), headers: fields, body: [1, 2, 3]).with { $0.decompresses = false }
        }
        #expect(
            bytes == """
                POST /p HTTP/1.1\r
                Host: 127.0.0.1:PORT\r
                X-One: 1\r
                x-TWO:   kept  inside \r
                X-One: again\r
                X-Empty:\r
                X-Blank:\r
                X-Colon: a: b; c\r
                X-unicode: Grüße\r
                X-Tab: a\tb\r
                Accept: text/plain\r
                Content-Type: a/b\r
                User-Agent: mine\r
                Authorization: Bearer t\r
                Cookie: a=b; c=d\r
                Content-Length: 3\r
                \r
                \u{1}\u{2}\u{3}
                """
        )
    }

    @Test(arguments: [
        "Content-Length", "content-length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "TE", "Trailer",
        "Expect", "Proxy-Connection", "Proxy-Authorization", "HTTP2-Settings", "Host", "hOST",
    ])
    func whatFramesTheMessageIsTheClientsOwn(name: String) async throws {
        let bytes = try await self.bytes { server in
            .local("POST", server.url(), headers: [HTTPField(name, "17")], body: Array("body".utf8))
        }
        #expect(!bytes.contains("17"))
        #expect(bytes.contains("\r\nContent-Length: 4\r\n"))
        #expect(bytes.lowercased().ranges(of: "\r\nhost:").count == 1)
        #expect(bytes.contains("\r\nHost: 127.0.0.1:PORT\r\n"))
        #expect(bytes.hasSuffix("\r\n\r\nbody"))
    }

    @Test(arguments: [
        "a\r\nX-Smuggled: 1", "a\nb", "a\rb", "a\0b", "\r\n", "a\u{b}b", "a\u{7f}b", "a\u{1b}[0m",
    ])
    func aValueThatWouldBreakItsLineIsRefused(value: String) async throws {
        try await self.expectRefused(code: "ERR_INVALID_CHAR") {
            .local($0.url(), headers: [HTTPField("X-Fine", "1"), HTTPField("X-Bad", value)])
        }
    }

    @Test(arguments: [
        "", " ", "a b", "a:", ":authority", "a\r\nX-Smuggled", "a\n", "a\0", "a;", "ä", "a\"", "a/b", "a(b)",
        "X-Bad:1\r\nB",
    ])
    func aNameThatIsNoTokenIsRefused(name: String) async throws {
        try await self.expectRefused(code: "ERR_INVALID_HTTP_TOKEN") {
            .local($0.url(), headers: [HTTPField(name, "1")])
        }
    }

    @Test(arguments: [
        "", "GE T", "GET /other HTTP/1.1\r\nX:", "GET\n", "G\0", "CONNECT", "ä", String(repeating: "A", count: 65),
        // What only a proxy or another protocol could mean by them, in any spelling.
        "connect", "Connect", "TRACE", "trace", "TRACK", "PRI",
    ])
    func aMethodThatIsNoTokenIsRefused(method: String) async throws {
        try await self.expectRefused(code: "ERR_INVALID_HTTP_TOKEN") { .local(method, $0.url()) }
    }

    @Test(arguments: [
        "", "/path", "ftp://127.0.0.1:PORT/", "file:///etc/passwd", "http://", "https://", "http:127.0.0.1:PORT",
        "http://127.0.0.1:PORT/\r\nX-Smuggled: 1", "http://127.0.0.1:PORT/a\0b", "http://127.0.0.1:PORT\n/",
        "http://127.0.0.1:99999/", "http://127.0.0.1:port/", "http://a b/", "gopher://127.0.0.1:PORT/_x",
        "http://[::1/",
    ])
    func anAddressThatIsNoneIsRefused(address: String) async throws {
        try await self.expectRefused(code: "ERR_INVALID_URL") { server in
            .local(address.replacing("PORT", with: "\(server.port)"))
        }
    }

    private func expectRefused(code: String, _ request: (RawServer) -> HTTPRequest) async throws {
        let server = RawServer(answer: Self.okay)
        defer { server.stop() }
        let client = try HTTPClient()
        let failure = try #require(await client.failure(of: request(server)))
        #expect(failure.kind == .invalidRequest)
        #expect(failure.code == code)
        #expect(!failure.sentBytes)
        // The handle of the refused request serves the next.
        #expect(try await client.send(.local(server.url("/next"))).status == 200)
        #expect(server.log.value.requests.map { $0.prefix(9) } == ["GET /next"])
        await client.shutdown()
    }

    @Test(arguments: [
        ("/a b|c\"d", "/a%20b%7Cc%22d"), ("/ü?ü=ö", "/%C3%BC?%C3%BC=%C3%B6"), ("/%20%zz", "/%20%zz"),
        ("/a/../b/./c", "/a/../b/./c"), ("//double//", "//double//"), ("?only=query", "/?only=query"), ("", "/"),
        ("/a{b}^`<>\\", "/a%7Bb%7D%5E%60%3C%3E%5C"),
    ])
    func pathsAreKeptButForWhatMustBeEncoded(path: String, sent: String) async throws {
        let bytes = try await self.bytes { .local($0.url(path)) }
        #expect(bytes.hasPrefix("GET \(sent) HTTP/1.1\r\n"))
    }

    @Test func userAndPasswordOfTheAddressBecomeBasicAuthorization() async throws {
        let bytes = try await self.bytes { .local("http://user:p%40ss@127.0.0.1:\($0.port)/") }
        #expect(bytes.contains("\r\nAuthorization: Basic dXNlcjpwQHNz\r\n"))
        #expect(bytes.hasPrefix("GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n"))
    }

    @Test(arguments: ["POST", "PUT", "PATCH", "GET", "DELETE", "QUERY"], [0, 1, 1_000, 16_384, 65_537, 1_500_000])
    func aBodyArrivesWhole(method: String, count: Int) async throws {
        let body = (0..<count).map { UInt8(ascii: "a") + UInt8($0 % 26) }
        let bytes = try await self.bytes { .local(method, $0.url(), body: body) }
        let announces = count > 0 || ["POST", "PUT", "PATCH"].contains(method)
        #expect(bytes.hasPrefix("\(method) / HTTP/1.1\r\n"))
        #expect(bytes.contains("\r\nContent-Length: \(count)\r\n") == announces)
        #expect(!bytes.contains("Expect") && !bytes.contains("Content-Type") && !bytes.contains("chunked"))
        #expect(bytes.utf8.suffix(count + 4).elementsEqual(Array("\r\n\r\n".utf8) + body))
    }

    @Test func aRequestLeavesNothingToTheNextOnTheSameHandle() async throws {
        let server = RawServer(answer: Self.okay)
        defer { server.stop() }
        let client = try HTTPClient()
        let plain = HTTPRequest.local(server.url("/plain"))
        let others: [HTTPRequest] = [
            .local("POST", server.url(), headers: [HTTPField("X-Left", "1")], body: [65]),
            .local("HEAD", server.url()), .local("PUT", server.url(), body: [65]), .local("DELETE", server.url()),
            .local("http://user:secret@127.0.0.1:\(server.port)/"), .local("POST", server.url()),
        ]
        for other in others {
            _ = try await client.send(other)
            _ = try await client.send(plain)
        }
        let requests = server.log.value.requests
        let plains = requests.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        #expect(Set(plains).count == 1)
        #expect(plains[0].hasPrefix("GET /plain HTTP/1.1\r\n"))
        #expect(server.log.value.accepted == 1)
        await client.shutdown()
    }
}
