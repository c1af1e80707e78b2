import AfterloginHTTPMessages
import AfterloginHTTPServer
import AfterloginSystem
import Testing

import struct Synchronization.Atomic

@Suite(.timeLimit(.minutes(1)))
struct HTTPServerTests {
    private func makeServer(
        _ configure: (inout HTTPServer.Configuration) -> Void = { _ in },
        handler: @escaping @Sendable (HTTPServer.Request) -> HTTPServer.Answer
    ) throws -> HTTPServer {
        var configuration = HTTPServer.Configuration(listen: "127.0.0.1:0")
        configure(&configuration)
        return try HTTPServer(configuration: configuration, handler: handler)
    }

    private func noContent(_ request: HTTPServer.Request) -> HTTPServer.Answer { .now(.init(status: 204)) }

    /// Sends one request and takes everything until the connection closes.
    private func exchange(_ text: String, with server: HTTPServer) async -> (text: String, end: RawConnection.End?) {
        let connection = RawConnection(port: server.port)
        connection.send(text)
        return await connection.receive()
    }

    @Test func aHandlerSeesTheWholeRequest() async throws {
        let seen = Mutex<HTTPServer.Request?>(nil)
        let server = try self.makeServer { request in
            seen.withLock { $0 = request }
            return .now(.init(status: 201, headers: ["X-Kind": "now"], body: Array("done".utf8)))
        }
        let reply = await self.exchange(
            "POST /a%20b/c?x=1%262&y=a+b&z HTTP/1.1\r\nHost: h\r\nX-Name: value\r\nContent-Length: 5\r\n"
                + "Connection: close\r\n\r\nhello",
            with: server
        )
        #expect(reply.text.hasPrefix("HTTP/1.1 201 Created\r\n"))
        #expect(reply.text.contains("\r\nX-Kind: now\r\n"))
        #expect(reply.text.hasSuffix("\r\n\r\ndone"))
        let request = try #require(seen.withLock { $0 })
        #expect(request.method == "POST")
        #expect(request.path == "/a%20b/c")
        #expect(request.query.map(\.name) == ["x", "y", "z"])
        #expect(request.query.map(\.value) == ["1&2", "a b", ""])
        #expect(request.headers["x-NAME"] == "value")
        #expect(request.headers["x-none"] == nil)
        #expect(request.body == Array("hello".utf8))
        await server.shutdown()
    }

    @Test func aLaterAnswerArrivesOnTheSameKeptConnection() async throws {
        let server = try self.makeServer { request in
            guard request.path == "/later" else { return .now(.init(status: 200, body: Array("now".utf8))) }
            return .later {
                await Task.yield()
                return .init(status: 202, body: request.body)
            }
        }
        let connection = RawConnection(port: server.port)
        for round in 0..<3 {
            connection.send("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nb\(round)")
            let later = await connection.receive { $0.hasSuffix("b\(round)") }
            #expect(later.text.hasPrefix("HTTP/1.1 202 "))
            connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            let now = await connection.receive { $0.hasSuffix("now") }
            #expect(now.text.hasPrefix("HTTP/1.1 200 "))
        }
        await server.shutdown()
    }

    @Test func anAnswerWaitsForItsTimeWhateverElseWaits() async throws {
        let server = try self.makeServer { request in
            let delay: Duration = request.path == "/never" ? .seconds(3_600) : .milliseconds(40)
            return .at(.now + delay, .init(status: 200, body: Array("due".utf8)))
        }
        let never = RawConnection(port: server.port)
        never.send("GET /never HTTP/1.1\r\nHost: h\r\n\r\n")
        let connection = RawConnection(port: server.port)
        for _ in 0..<3 {
            let start = ContinuousClock.now
            connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(await connection.receive { $0.hasSuffix("due") }.text.hasPrefix("HTTP/1.1 200 "))
            #expect(ContinuousClock.now - start >= .milliseconds(40))
        }
        await server.shutdown()
        #expect(await never.receive().text.isEmpty)
    }

    @Test func aResetReachesTheClientWithoutAByte() async throws {
        let server = try self.makeServer { request in
            var response = HTTPServer.Response(status: 200)
            response.resets = true
            let reset = response
            return request.path == "/later" ? .later { reset } : .now(reset)
        }
        for path in ["/", "/later"] {
            let reply = await self.exchange("GET \(path) HTTP/1.1\r\nHost: h\r\n\r\n", with: server)
            #expect(reply.text.isEmpty)
            #expect(reply.end == .reset)
        }
        await server.shutdown()
    }

    @Test(arguments: [false, true])
    func aBodyBeyondTheLimitGets413(isChunked: Bool) async throws {
        let handled = Atomic(0)
        let server = try self.makeServer(
            { $0.maxBodyBytes = 1_000 },
            handler: { _ in
                handled.add(1, ordering: .relaxed)
                return .now(.init(status: 204))
            }
        )
        let body = String(repeating: "x", count: 100_000)
        let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 100000"
        let payload = isChunked ? "186a0\r\n\(body)\r\n0\r\n\r\n" : body
        let head = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        let reply = await self.exchange("\(head)\(framing)\r\n\r\n\(payload)", with: server)
        #expect(reply.text.hasPrefix("HTTP/1.1 413 "))
        let fits = await self.exchange("\(head)Content-Length: 1000\r\n\r\n\(body.prefix(1_000))", with: server)
        #expect(fits.text.hasPrefix("HTTP/1.1 204 "))
        let count = handled.load(ordering: .relaxed)
        #expect(count == 1)
        await server.shutdown()
    }

    @Test func aBodyAnnouncedFarBeyondTheLimitIsNotRead() async throws {
        let server = try self.makeServer(handler: self.noContent)
        let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n"
        let reply = await self.exchange(head, with: server)
        #expect(reply.text.hasPrefix("HTTP/1.1 413 "))
        #expect(reply.end == .closed)
        await server.shutdown()
    }

    @Test func headersWithoutEndAreRefused() async throws {
        let server = try self.makeServer(handler: self.noContent)
        let connection = RawConnection(port: server.port)
        connection.send("GET / HTTP/1.1\r\nHost: h\r\n")
        var isOpen = true
        for number in 0..<1_000 where isOpen {
            isOpen = connection.send("X-\(number): \(String(repeating: "v", count: 200))\r\n")
        }
        let reply = await connection.receive()
        // The reply may be overtaken by the reset that unread input causes.
        #expect(reply.text.hasPrefix("HTTP/1.1 431 ") || reply.end == .reset)
        await server.shutdown()
    }

    @Test func aHeadReplyHasNoBody() async throws {
        let server = try self.makeServer { _ in .now(.init(status: 200, body: Array("four".utf8))) }
        let reply = await self.exchange("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", with: server)
        #expect(reply.text.contains("\r\nContent-Length: 4\r\n"))
        #expect(reply.text.hasSuffix("\r\n\r\n"))
        await server.shutdown()
    }

    @Test func aResponseHeaderThatWouldSplitTheReplyBecomes500() async throws {
        let server = try self.makeServer { _ in .now(.init(status: 200, headers: ["X-A": "1\r\nX-B: 2"])) }
        let reply = await self.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", with: server)
        #expect(reply.text.hasPrefix("HTTP/1.1 500 "))
        #expect(!reply.text.contains("X-B"))
        await server.shutdown()
    }

    @Test(arguments: ["GET / HT", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhal"])
    func aRequestThatDoesNotArriveWithinItsDeadlineIsHungUpOn(text: String) async throws {
        let server = try self.makeServer({ $0.transferDeadline = .milliseconds(200) }, handler: self.noContent)
        let reply = await self.exchange(text, with: server)
        #expect(reply.end == .closed || reply.end == .reset)
        #expect(reply.text.isEmpty)
        await server.shutdown()
    }

    @Test func shutdownEndsSuspendedAndIdleConnectionsAndFreesThePort() async throws {
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let wasCancelled = Atomic(false)
        let (cancelled, cancel) = AsyncStream.makeStream(of: Void.self)
        let server = try self.makeServer { _ in
            .later {
                start.yield()
                // Ends by cancellation only.
                try? await Task.sleep(for: .seconds(3_600))
                wasCancelled.store(Task.isCancelled, ordering: .relaxed)
                cancel.finish()
                return .init(status: 200)
            }
        }
        let idle = RawConnection(port: server.port)
        let hanging = RawConnection(port: server.port)
        hanging.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        for await _ in started { break }
        await server.shutdown()
        await server.shutdown()
        let end = await hanging.receive()
        #expect(end.text.isEmpty)
        #expect(end.end != .silent)
        #expect(await idle.receive().end != .silent)
        for await _ in cancelled {}
        let isCancelled = wasCancelled.load(ordering: .relaxed)
        #expect(isCancelled)
        let successor = try HTTPServer(configuration: .init(listen: "127.0.0.1:\(server.port)")) { _ in
            .now(.init(status: 204))
        }
        await successor.shutdown()
    }

    @Test(arguments: ["nonsense", "127.0.0.1", "127.0.0.1:70000", "256.0.0.1:0", "[::1:0"])
    func anAddressThatIsNoneIsRefusedByName(listen: String) throws {
        let error = #expect(throws: HTTPServer.ListenError.self) {
            try HTTPServer(configuration: .init(listen: listen)) { _ in .now(.init(status: 204)) }
        }
        #expect(error?.description.contains(listen) == true)
        #expect(error?.isOfTheAddress == true)
    }

    @Test func aPortInUseAndABadCertificateAreRefused() async throws {
        let server = try self.makeServer(handler: self.noContent)
        let error = #expect(throws: HTTPServer.ListenError.self) {
            try self.makeServer({ $0.listen = "127.0.0.1:\(server.port)" }, handler: self.noContent)
        }
        #expect(error?.isOfTheAddress == false)
        #expect(throws: HTTPServer.ListenError.self) {
            try self.makeServer(
                {
                    $0.privateKey = "no key"
                    $0.certificate = "no certificate"
                },
                handler: self.noContent
            )
        }
        await server.shutdown()
    }
}
