import AfterloginHTTPClient
import AfterloginHTTPMessages
import AfterloginHTTPServer
import AfterloginTestSupport
import Glibc
import Testing

/// How connections are opened, kept and shared.
@Suite(.timeLimit(.minutes(1)))
struct ConnectionTests {
    @Test func aConnectionAfterOneThatNeverCameAboutIsLookedAt() async throws {
        let client = try HTTPClient()
        let server = try HTTPServer(configuration: .init(listen: "127.0.0.1:0")) { _ in .now(.init(status: 204)) }
        let hole = try BlackHole(listen: "127.0.0.1:0")
        // The kernel gives the descriptor of the former to the latter; libcurl has closed it without a word.
        let failure = await #expect(throws: HTTPFailure.self) {
            var lost = HTTPRequest("GET", "http://127.0.0.1:\(hole.port)/")
            lost.allowsSpecialAddresses = true
            lost.connectTimeout = .milliseconds(50)
            _ = try await client.send(lost)
        }
        #expect(failure?.kind == .connectTimeout)
        var request = HTTPRequest("GET", "http://127.0.0.1:\(server.port)/")
        request.allowsSpecialAddresses = true
        request.timeout = .seconds(3)
        #expect(try await client.send(request).status == 204)
        hole.close()
        await server.shutdown()
        await client.shutdown()
    }

    private static let okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test func requestsInARowShareOneConnection() async throws {
        let server = RawServer(answer: Self.okay)
        defer { server.stop() }
        let client = try HTTPClient()
        for index in 0..<50 {
            let method = ["GET", "POST", "PATCH", "DELETE"][index % 4]
            #expect(try await client.send(.local(method, server.url("/\(index)"))).text == "ok")
        }
        #expect(server.log.value.accepted == 1)
        #expect(server.log.value.requests.count == 50)
        await client.shutdown()
        await server.log.wait { $0.ended == 1 }
    }

    @Test func aConnectionThatTheServerEndsIsReplaced() async throws {
        let server = RawServer(
            answerAndClose: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
        )
        defer { server.stop() }
        let client = try HTTPClient()
        for _ in 0..<5 { #expect(try await client.send(.local(server.url())).text == "ok") }
        #expect(server.log.value.accepted == 5)
        await client.shutdown()
    }

    @Test(arguments: ["GET", "POST"])
    func aKeptConnectionThatWasClosedSilentlyIsNoFailure(method: String) async throws {
        // It says keep-alive, and closes.
        let server = RawServer(answerAndClose: Self.okay)
        defer { server.stop() }
        let client = try HTTPClient()
        for round in 1...5 {
            #expect(try await client.send(.local(method, server.url(), body: method == "GET" ? [] : [65])).text == "ok")
            await server.log.wait { $0.ended == round }
        }
        #expect(server.log.value.requests.count == 5)
        await client.shutdown()
    }

    @Test func noMoreConnectionsThanAllowedAreOpenedAndTheOthersWait() async throws {
        var configuration = HTTPClient.Configuration()
        configuration.maxConnectionsPerHost = 3
        let gate = Observed(0)
        let server = RawServer { connection in
            while connection.readRequest() != nil {
                gate.update { $0 += 1 }
                // The first three are answered only when all three are there.
                while gate.value < 3 { usleep(1_000) }
                connection.send(Self.okay)
            }
        }
        defer { server.stop() }
        let client = try HTTPClient(configuration: configuration)
        let url = server.url()
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<40 { group.addTask { try await client.send(.local(url)).status } }
            return try await group.reduce(0) { $0 + ($1 == 200 ? 1 : 0) }
        }
        #expect(count == 40)
        #expect(server.log.value.accepted == 3)
        await client.shutdown()
    }

    @Test func aRefusedConnectionIsToldApartAndSentNothing() async throws {
        let server = RawServer(answer: Self.okay)
        let client = try HTTPClient()
        // The handle has sent something before.
        _ = try await client.send(.local("POST", server.url(), body: [65]))
        let url = server.url()
        server.stop()
        await server.log.wait { $0.ended == 1 }
        let closed = ListeningSocket(backlog: 1)
        closed.stop()
        for url in [url, "http://127.0.0.1:\(closed.port)/"] {
            let failure = try #require(await client.failure(of: .local(url)))
            #expect(failure.kind == .connectionRefused)
            #expect(failure.code == "ECONNREFUSED")
            #expect(!failure.sentBytes)
        }
        await client.shutdown()
    }

    @Test func aNameThatCannotBeResolvedIsToldApart() async throws {
        let client = try HTTPClient()
        // Longer than a label may be, so that no name server is asked.
        let failure = try #require(
            await client.failure(of: .local("http://\(String(repeating: "a", count: 64)).test/"))
        )
        #expect(failure.kind == .nameNotFound)
        #expect(failure.code == "ENOTFOUND")
        #expect(!failure.sentBytes)
        await client.shutdown()
    }

    @Test func aServerThatTakesNoConnectionMeetsTheConnectDeadline() async throws {
        let listener = ListeningSocket(backlog: 0)
        let descriptors = listener.fillBacklog()
        defer { for descriptor in descriptors { close(descriptor) } }
        let client = try HTTPClient()
        let url = "http://127.0.0.1:\(listener.port)/"
        let request = HTTPRequest.local(url).with { $0.connectTimeout = .milliseconds(150) }
        let clock = ContinuousClock()
        let start = clock.now
        let failure = try #require(await client.failure(of: request))
        #expect(clock.now - start >= .milliseconds(150))
        #expect(failure.kind == .connectTimeout)
        #expect(failure.code == "ETIMEDOUT")
        #expect(!failure.sentBytes)
        // The total deadline holds for connecting, too.
        let short = HTTPRequest.local(url).with { $0.timeout = .milliseconds(50) }
        #expect(await client.failure(of: short)?.kind == .connectTimeout)
        await client.shutdown()
    }

    @Test func aPingIsAnsweredByTheThreadAndAtOnceAfterIt() async throws {
        let client = try HTTPClient()
        #expect(await AnsweringThread.name(client.ping) == "afterlogin.http")
        await client.shutdown()
        #expect(await AnsweringThread.name(client.ping) != "afterlogin.http")
    }
}
