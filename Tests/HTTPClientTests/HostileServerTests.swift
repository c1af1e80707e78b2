import AfterloginHTTPClient
import AfterloginHTTPMessages
import AfterloginTestSupport
import Foundation
import Glibc
import Testing

extension HTTPClient {
    /// The response, or the kind of failure.
    func outcome(_ request: HTTPRequest) async -> Result<HTTPResponse, HTTPFailure> {
        do throws(HTTPFailure) { return .success(try await self.send(request)) } catch { return .failure(error) }
    }
}

extension Result where Failure == HTTPFailure {
    var kind: HTTPFailure.Kind? { if case .failure(let failure) = self { failure.kind } else { nil } }
    var code: String? { if case .failure(let failure) = self { failure.code } else { nil } }
}

private func local(
    _ url: String,
    _ method: String = "GET",
    _ change: (inout HTTPRequest) -> Void = { _ in }
) -> HTTPRequest {
    var request = HTTPRequest(method, url)
    request.allowsSpecialAddresses = true
    request.timeout = .seconds(20)
    change(&request)
    return request
}

@Suite("Servers that are slow, broken or hostile", .timeLimit(.minutes(1)))
struct HostileServerTests {
    private func outcome(
        _ steps: [ScriptedServer.Step],
        _ change: (inout HTTPRequest) -> Void = { _ in }
    ) async throws -> Result<HTTPResponse, HTTPFailure> {
        let server = ScriptedServer { _, _ in steps }
        let client = try HTTPClient()
        let result = await client.outcome(local(server.url, "GET", change))
        await client.shutdown()
        server.stop()
        return result
    }

    @Test func headersComeInOrderRepeatedOnesIncluded() async throws {
        let response = try await self.outcome([
            .text("HTTP/1.1 103 Early Hints\r\nLink: early\r\n\r\n"),
            .text(
                "HTTP/1.1 299 Very Fine\r\nSet-Cookie: a=1\r\nX-Empty:\r\nset-cookie: b=2\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
            .text("5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nTrailer: late\r\n\r\n"),
        ]).get()
        #expect(response.status == 299 && response.reason == "Very Fine")
        #expect(response.headers.map(\.name) == ["Set-Cookie", "X-Empty", "set-cookie", "Transfer-Encoding"])
        #expect(response.headers.map(\.value) == ["a=1", "", "b=2", "chunked"])
        #expect(String(decoding: response.body, as: UTF8.self) == "hello world")
    }

    @Test(arguments: [204, 304])
    func aStatusWithoutBodyEndsWithItsHeaders(status: Int) async throws {
        let response = try await self.outcome([.text("HTTP/1.1 \(status) X\r\nContent-Length: 5\r\n\r\n"), .hang]).get()
        #expect(response.status == status && response.body.isEmpty)
    }

    static let broken: [(String, [ScriptedServer.Step], HTTPFailure.Kind)] = [
        ("closes at once", [.close], .connectionReset),
        ("resets", [.reset], .connectionReset),
        ("closes in the headers", [.text("HTTP/1.1 200 OK\r\nA: b"), .close], .connectionReset),
        (
            "closes in the body", [.text("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), .close],
            .connectionReset
        ),
        (
            "closes in a chunk", [.text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello"), .close],
            .connectionReset
        ),
        ("speaks another language", [.text("SSH-2.0-OpenSSH_9.2\r\n"), .close], .badResponse),
        (
            "has an invalid chunk",
            [.text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello"), .close], .badResponse
        ),
        (
            "never stops its headers",
            [
                .text("HTTP/1.1 200 OK\r\n"),
                .sendForever(Array("X: \(String(repeating: "y", count: 999))\r\n".utf8), every: 0),
            ], .headersTooLarge
        ),
        (
            "has headers without number",
            [.text("HTTP/1.1 200 OK\r\n"), .sendForever(Array("X: y\r\n".utf8), every: 0)], .headersTooLarge
        ),
        (
            "never ends a header",
            [.text("HTTP/1.1 200 OK\r\nX: "), .sendForever(Array(repeating: 0x79, count: 4_096), every: 0)],
            .headersTooLarge
        ),
    ]

    @Test(arguments: broken.indices)
    func whatIsNoResponseIsAFailure(index: Int) async throws {
        let (name, steps, kind) = Self.broken[index]
        let result = try await self.outcome(steps)
        #expect(result.kind == kind, "\(name): \(result)")
        // Its kind may be told in other words, but never as a response.
    }

    @Test(arguments: ["with a length", "chunked", "until the end"])
    func theLimitOfABodyIsExact(form: String) async throws {
        for (size, limit) in [(1_000, 1_000), (1_001, 1_000), (70_000, 70_000), (70_001, 70_000)] {
            let body = Array(repeating: UInt8(ascii: "b"), count: size)
            let steps: [ScriptedServer.Step] =
                switch form {
                case "with a length": [.text("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n"), .send(body)]
                case "chunked":
                    [
                        .text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(size, radix: 16))\r\n"),
                        .send(body), .text("\r\n0\r\n\r\n"),
                    ]
                default: [.text("HTTP/1.1 200 OK\r\n\r\n"), .send(body), .close]
                }
            let result = try await self.outcome(steps) { $0.maxResponseBytes = limit }
            if size <= limit {
                #expect(try result.get().body == body)
            } else {
                #expect(result.kind == .responseTooLarge)
            }
        }
    }

    @Test func aGigabyteIsCutOffAtTheLimit() async throws {
        let announced = try await self.outcome([.text("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\nx"), .hang])
        #expect(announced.kind == .responseTooLarge)
        let sent = try await self.outcome([
            .text("HTTP/1.1 200 OK\r\n\r\n"), .sendForever(Array(repeating: 0, count: 1 << 20), every: 0),
        ])
        #expect(sent.kind == .responseTooLarge)
    }

    @Test(arguments: [
        [ScriptedServer.Step.hang],
        [.text("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"), .sendForever([0x61], every: 20_000)],
        [.text("HTTP/1.1 200 OK\r\n"), .sendForever(Array("A: b\r\n".utf8), every: 20_000)],
    ])
    func theWholeHasADeadline(steps: [ScriptedServer.Step]) async throws {
        let result = try await self.outcome(steps) { $0.timeout = .milliseconds(400) }
        #expect(result.kind == .timeout && result.code == "ETIMEDOUT")
    }

    @Test func aConnectionHasADeadlineOfItsOwn() async throws {
        // A queue of one that is full: the kernel drops what comes then.
        let (listener, port) = ScriptedServer.listen(backlog: 0)
        let client = try HTTPClient()
        let request = local("http://127.0.0.1:\(port)") {
            $0.connectTimeout = .milliseconds(400)
            $0.timeout = .milliseconds(900)
        }
        let kinds = await withTaskGroup(of: HTTPFailure.Kind?.self) { group in
            for _ in 0..<8 { group.addTask { await client.outcome(request).kind } }
            return await group.reduce(into: [HTTPFailure.Kind?]()) { $0.append($1) }
        }
        #expect(kinds.allSatisfy { $0 == .connectTimeout || $0 == .timeout })
        #expect(kinds.contains(.connectTimeout))
        await client.shutdown()
        close(listener)
    }

    @Test func nobodyThereIsRefused() async throws {
        let (listener, port) = ScriptedServer.listen(backlog: 1)
        close(listener)
        let client = try HTTPClient()
        let result = await client.outcome(local("http://127.0.0.1:\(port)"))
        #expect(result.kind == .connectionRefused && result.code == "ECONNREFUSED")
        #expect(await client.outcome(local("http://no-such-host.invalid/")).kind == .nameNotFound)
        await client.shutdown()
    }

    @Test func aRedirectIsAResponseAndNothingElse() async throws {
        let target = ScriptedServer { _, _ in [.text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] }
        let response = try await self.outcome([
            .text("HTTP/1.1 302 Found\r\nLocation: \(target.url)/secret\r\nContent-Length: 0\r\n\r\n")
        ]).get()
        #expect(response.status == 302)
        #expect(target.connections == 0)
        target.stop()
    }

    @Test(arguments: [
        "127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1", "0.0.0.0",
        "169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fe80::1]", "[fd00::1]",
        "[64:ff9b::7f00:1]",
    ])
    func specialAddressesAreRefusedBeforeAConnection(host: String) async throws {
        let server = ScriptedServer { _, _ in [.text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] }
        let client = try HTTPClient()
        var request = HTTPRequest("GET", "http://\(host):\(server.port)/")
        request.timeout = .seconds(5)
        let result = await client.outcome(request)
        #expect(result.kind == .addressRefused, "\(result)")
        #expect(server.connections == 0)
        await client.shutdown()
        server.stop()
    }

    @Test func aKeptConnectionGivesNoRightToSpecialAddresses() async throws {
        let server = ScriptedServer { _, _ in [.text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] }
        let client = try HTTPClient()
        #expect(try await client.send(local(server.url)).status == 200)
        #expect(await client.outcome(HTTPRequest("GET", server.url)).kind == .addressRefused)
        #expect(server.requests.count == 1)
        await client.shutdown()
        server.stop()
    }

    @Test(arguments: [
        HTTPField("X", "a\r\nInjected: yes"), HTTPField("X", "a\nb"), HTTPField("X", "a\u{0}b"),
        HTTPField("X\r\nInjected", "a"), HTTPField("X Y", "a"), HTTPField("", "a"), HTTPField("X:", "a"),
    ])
    func nothingIsSmuggledIntoARequest(field: HTTPField) async throws {
        let server = ScriptedServer { _, _ in [.text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] }
        let client = try HTTPClient()
        let result = await client.outcome(local(server.url) { $0.headers = [field] })
        #expect(result.kind == .invalidRequest)
        for (method, url) in [
            ("GET", "file:///etc/passwd"), ("GET", "\(server.url)/a\r\nb"), ("GE T", server.url),
            ("CONNECT", server.url),
        ] {
            #expect(await client.outcome(local(url, method)).kind == .invalidRequest, "\(method) \(url)")
        }
        #expect(server.connections == 0)
        // What frames the message is the client's own business.
        let framing = ["Content-Length", "Transfer-Encoding", "Connection", "Expect", "TE"].map { HTTPField($0, "5") }
        _ = try await client.send(local(server.url, "POST") { $0.headers = framing + [HTTPField("X-Own", "1")] })
        let request = try #require(server.requests.last).lowercased()
        #expect(request.contains("content-length: 0\r\n") && request.contains("x-own: 1\r\n"))
        for name in ["transfer-encoding", "connection", "expect", "te"] { #expect(!request.contains("\r\n\(name):")) }
        await client.shutdown()
        server.stop()
    }

    @Test func connectionsAreUsedAgain() async throws {
        let server = ScriptedServer { _, _ in [.text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
        let client = try HTTPClient()
        for _ in 0..<50 { #expect(try await client.send(local(server.url)).body == Array("ok".utf8)) }
        #expect(server.connections == 1)
        await client.shutdown()
        server.stop()
    }

    @Test func aConnectionThatTheServerClosedMeanwhileIsNotAFailure() async throws {
        let server = ScriptedServer { connection, _ in
            [.text("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(connection % 10)"), .close]
        }
        let client = try HTTPClient()
        for _ in 0..<50 { #expect(try await client.send(local(server.url)).status == 200) }
        #expect(server.connections == 50)
        await client.shutdown()
        server.stop()
    }

    @Test func theLimitOfConnectionsHolds() async throws {
        let server = ScriptedServer { _, _ in [.text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
        var configuration = HTTPClient.Configuration()
        configuration.maxConnectionsPerHost = 3
        let client = try HTTPClient(configuration: configuration)
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<100 { group.addTask { (try? await client.send(local(server.url)).status) ?? 0 } }
            for await status in group { #expect(status == 200) }
        }
        #expect(server.connections <= 3)
        await client.shutdown()
        server.stop()
    }

    @Test func cancellationEndsTheCallAndItsConnection() async throws {
        let server = ScriptedServer { _, _ in [.hang] }
        let client = try HTTPClient()
        let tasks = (0..<20).map { _ in Task { await client.outcome(local(server.url)).kind } }
        var arrived = 0
        while arrived < 20 {
            arrived = server.requests.count
            await Task.yield()
        }
        for task in tasks { task.cancel() }
        for task in tasks { #expect(await task.value == .cancelled) }
        var closed = Set<Int>()
        for await number in server.closed {
            closed.insert(number)
            if closed.count == 20 { break }
        }
        // Cancelled before it began.
        let early = Task { await client.outcome(local(server.url)).kind }
        early.cancel()
        #expect(await early.value == .cancelled)
        await client.shutdown()
        server.stop()
    }

    @Test func shuttingDownEndsEveryCallOnce() async throws {
        let server = ScriptedServer { _, _ in [.hang] }
        let client = try HTTPClient()
        let tasks = (0..<50).map { _ in Task { await client.outcome(local(server.url)).kind } }
        while server.requests.isEmpty { await Task.yield() }
        await client.shutdown()
        for task in tasks { #expect(await task.value == .cancelled) }
        #expect(await client.outcome(local(server.url)).kind == .cancelled)
        server.stop()
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func anyMixtureOfCallsGetsItsOwnAnswers(seed: UInt64) async throws {
        let server = ScriptedServer { _, request in
            let size = Int(request.split(separator: " ")[1].dropFirst()) ?? 0
            let body = Array(repeating: UInt8(truncatingIfNeeded: size), count: size)
            switch size % 4 {
            case 0: return [.text("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n"), .send(body)]
            case 1: return [.text("HTTP/1.1 200 OK\r\n\r\n"), .send(body), .close]
            case 2:
                return [
                    .text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                    .text("\(String(size, radix: 16))\r\n"),
                    .send(body), .text("\r\n0\r\n\r\n"),
                ]
            default: return [.text("HTTP/1.1 200 OK\r\nContent-Length: \(size + 1)\r\n\r\n"), .send(body), .close]
            }
        }
        let client = try HTTPClient()
        var state = seed
        let sizes = (0..<300).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % 40_000 + 1
        }
        await withTaskGroup(of: (Int, Result<HTTPResponse, HTTPFailure>).self) { group in
            for size in sizes { group.addTask { (size, await client.outcome(local("\(server.url)/\(size)"))) } }
            for await (size, result) in group {
                if size % 4 == 3 {
                    #expect(result.kind == .connectionReset)
                } else {
                    #expect((try? result.get().body) == Array(repeating: UInt8(truncatingIfNeeded: size), count: size))
                }
            }
        }
        await client.shutdown()
        server.stop()
    }
}
