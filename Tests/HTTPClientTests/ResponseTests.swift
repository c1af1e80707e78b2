import AfterloginHTTPClient
import AfterloginHTTPMessages
import Testing

/// What becomes of the bytes of a server.
@Suite(.timeLimit(.minutes(1)))
struct ResponseTests {
    private func answer(
        _ answer: String,
        method: String = "GET",
        change: (inout HTTPRequest) -> Void = { _ in }
    ) async throws -> HTTPResponse {
        let server = RawServer(answerAndClose: answer)
        defer { server.stop() }
        let client = try HTTPClient()
        let response = try await client.send(.local(method, server.url()).with(change))
        await client.shutdown()
        return response
    }

    private func failure(_ answer: String) async throws -> HTTPFailure {
        let server = RawServer(answerAndClose: answer)
        defer { server.stop() }
        let client = try HTTPClient()
        let failure = await client.failure(of: .local(server.url()))
        await client.shutdown()
        return try #require(failure)
    }

    @Test func headersAreKeptInOrderWithTheirRepetitions() async throws {
        let response = try await self.answer(
            "HTTP/1.1 200 All right\r\nSet-Cookie: a=1\r\nX-A:1\r\nset-cookie:  b=2; c \t\r\nX-Empty:\r\nX-C: d: e\r\n"
                + "Content-Length: 2\r\n\r\nok"
        )
        #expect(response.status == 200)
        #expect(response.reason == "All right")
        #expect(
            response.headers == [
                HTTPField("Set-Cookie", "a=1"), HTTPField("X-A", "1"), HTTPField("set-cookie", "b=2; c"),
                HTTPField("X-Empty", ""), HTTPField("X-C", "d: e"), HTTPField("Content-Length", "2"),
            ]
        )
        #expect(response.text == "ok")
    }

    @Test func foldedHeadersAndBareLineFeedsAreUnderstood() async throws {
        let response = try await self.answer(
            "HTTP/1.1 200 OK\nX-Folded: one\n  two\n\tthree\nContent-Length: 2\n\nok"
        )
        #expect(response.values(of: "x-folded") == ["one two three"])
        #expect(response.text == "ok")
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK", 200, "OK"), ("HTTP/1.1 200 ", 200, ""), ("HTTP/1.1 200", 200, ""),
        ("HTTP/1.0 404 Not Found", 404, "Not Found"), ("HTTP/1.1 503 a  b", 503, "a  b"), ("HTTP/1.1 599 x", 599, "x"),
        ("HTTP/1.1 999 odd", 999, "odd"), ("HTTP/1.1 429 Zu viel für", 429, "Zu viel für"),
    ])
    func anyStatusIsAResponse(line: String, status: Int, reason: String) async throws {
        let response = try await self.answer("\(line)\r\nContent-Length: 4\r\n\r\nbody")
        #expect(response.status == status)
        #expect(response.reason == reason)
        #expect(response.text == "body")
    }

    @Test func whatComesBeforeTheResponseIsDropped() async throws {
        let response = try await self.answer(
            "HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\nLink: b\r\n\r\n"
                + "HTTP/1.1 201 Made\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n"
        )
        #expect(response.status == 201)
        #expect(response.reason == "Made")
        #expect(response.headers == [HTTPField("X-B", "2"), HTTPField("Content-Length", "0")])
    }

    @Test(arguments: [
        ("HEAD", "200 OK", "Content-Length: 5\r\n"), ("HEAD", "200 OK", "Transfer-Encoding: chunked\r\n"),
        ("GET", "204 No Content", ""), ("GET", "304 Not Modified", "Content-Length: 5\r\n"),
        ("POST", "204 No Content", ""), ("GET", "205 Reset", "Content-Length: 0\r\n"),
    ])
    func whatHasNoBodyEndsWithItsHead(method: String, status: String, headers: String) async throws {
        let server = RawServer(answer: "HTTP/1.1 \(status)\r\n\(headers)X-A: b\r\n\r\n")
        defer { server.stop() }
        let client = try HTTPClient()
        for _ in 0..<3 {
            let response = try await client.send(.local(method, server.url()))
            #expect("\(response.status) \(response.reason)" == status)
            #expect(response.body.isEmpty)
            #expect(response.values(of: "x-a") == ["b"])
        }
        #expect(server.log.value.accepted == 1)
        await client.shutdown()
    }

    /// Bytes behind a response must never be taken for the response of the next request.
    @Test(arguments: [
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 56\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 56\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 56\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ])
    func bytesBehindAResponseAnswerNobody(method: String, answer: String) async throws {
        let smuggled = "HTTP/1.1 200 Smuggled\r\nContent-Length: 8\r\n\r\nsmuggled"
        let server = RawServer { connection in
            while let request = connection.readRequest() {
                connection.send(
                    request.contains(" /first ")
                        ? answer + smuggled : "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"
                )
            }
        }
        defer { server.stop() }
        let client = try HTTPClient()
        for _ in 0..<3 {
            let first = try await client.send(.local(method, server.url("/first")))
            #expect(!first.text.contains("smuggled"))
            let second = try await client.send(.local(server.url("/second")))
            #expect(second.reason == "OK")
            #expect(second.text == "true")
        }
        await client.shutdown()
    }

    enum Framing: CaseIterable { case length, chunked, close }

    @Test(
        arguments: Framing.allCases,
        [0, 1, 2, 4_095, 4_096, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 102_400, 262_145, 1_048_577]
    )
    func aBodyOfAnySizeComesWhole(framing: Framing, count: Int) async throws {
        let body = String(decoding: (0..<count).map { UInt8(ascii: "a") + UInt8($0 % 23) }, as: UTF8.self)
        let answer =
            switch framing {
            case .length: "HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n\(body)"
            case .close: "HTTP/1.1 200 OK\r\n\r\n\(body)"
            case .chunked:
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + (count == 0 ? "" : "1;extension=\"x\"\r\n\(body.prefix(1))\r\n")
                    + (count < 2 ? "" : "\(String(count - 1, radix: 16).uppercased())\r\n\(body.dropFirst())\r\n")
                    + "0\r\n\r\n"
            }
        let response = try await self.answer(answer) { $0.maxResponseBytes = count }
        #expect(response.text == body)
    }

    @Test(arguments: ["", "2\r\nok\r\n"])
    func trailersAreNoHeaders(chunks: String) async throws {
        let response = try await self.answer(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n\(chunks)0\r\nX-Trailer: 2\r\n\r\n"
        )
        #expect(response.values(of: "x-a") == ["1"])
        #expect(response.values(of: "x-trailer") == [])
        #expect(response.reason == "OK")
    }

    @Test func aHeaderThatLooksLikeAStatusLineTakesNothingAway() async throws {
        let response = try await self.answer(
            "HTTP/1.1 200 OK\r\nX-A: 1\r\nHTTP/1.1: strange\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n"
        )
        #expect(response.reason == "OK")
        #expect(response.values(of: "x-a") == ["1"])
        #expect(response.values(of: "x-b") == ["2"])
    }

    @Test(arguments: [
        "SSH-2.0-OpenSSH_9.2\r\n", "<html>hello</html>", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/3.7 200 OK\r\n\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhello", "HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: \(String(repeating: "a", count: 200_000))",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nframes",
    ])
    func whatIsNoHTTPIsAFailure(answer: String) async throws {
        let failure = try await self.failure(answer)
        #expect(failure.kind == .badResponse)
        #expect(failure.sentBytes)
        #expect(failure.message.contains("127.0.0.1"))
    }

    @Test(arguments: [
        "", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ])
    func aResponseThatIsCutShortIsAFailure(answer: String) async throws {
        let failure = try await self.failure(answer)
        #expect(failure.kind == .connectionReset)
        #expect(failure.code == "ECONNRESET")
        #expect(failure.sentBytes)
    }

    @Test(arguments: ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"])
    func aResetIsAFailure(answer: String) async throws {
        let server = RawServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.send(answer)
            connection.resetAtEnd()
        }
        defer { server.stop() }
        let client = try HTTPClient()
        let failure = try #require(await client.failure(of: .local(server.url())))
        #expect(failure.kind == .connectionReset)
        #expect(failure.code == "ECONNRESET")
        #expect(failure.port == server.port)
        #expect(failure.address == "127.0.0.1")
        await client.shutdown()
    }

    @Test(arguments: [301, 302, 303, 307, 308])
    func aRedirectIsAResponseAndNobodyGoesThere(status: Int) async throws {
        let target = RawServer(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        defer { target.stop() }
        let response = try await self.answer(
            "HTTP/1.1 \(status) Elsewhere\r\nLocation: \(target.url("/secret"))\r\nContent-Length: 0\r\n\r\n"
        )
        #expect(response.status == status)
        #expect(response.values(of: "location") == [target.url("/secret")])
        #expect(target.log.value.accepted == 0)
    }

    @Test func messagesNeverTellWhatAnAddressKeepsSecret() async throws {
        let server = RawServer(answerAndClose: "")
        defer { server.stop() }
        let client = try HTTPClient()
        let failure = try #require(
            await client.failure(of: .local("http://user:hush@127.0.0.1:\(server.port)/hush?token=hush"))
        )
        #expect(!failure.message.contains("hush") && !failure.message.contains("user"))
        await client.shutdown()
    }
}
