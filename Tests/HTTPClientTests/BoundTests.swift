import AfterloginHTTPClient
import AfterloginHTTPMessages
import AfterloginHTTPServer
import AfterloginSystem
import Testing

/// What waits where there are too many calls, or too many bytes.
@Suite(.timeLimit(.minutes(1)))
struct BoundTests {
    /// Answers with so many bytes, and counts.
    private struct Source {
        let counter: Counter
        let server: HTTPServer

        init(bytes: Int) throws {
            let counter = Counter()
            self.counter = counter
            self.server = try HTTPServer(configuration: .init(listen: "127.0.0.1:0")) { request in
                counter.add()
                let response = HTTPServer.Response.padded(bytes)
                if request.path == "/together" {
                    return .later {
                        while counter.value < 3 { await Task.yield() }
                        return response
                    }
                }
                if request.path == "/hang" { return .at(.now + .seconds(3_600), .init(status: 204)) }
                return .now(response)
            }
        }

        func url(_ path: String) -> String { "http://127.0.0.1:\(self.server.port)\(path)" }
    }

    private final class Counter: Sendable {
        private let count = Mutex(0)
        func add() { self.count.withLock { $0 += 1 } }
        var value: Int { self.count.withLock { $0 } }
    }

    private func request(_ url: String) -> HTTPRequest {
        var request = HTTPRequest("GET", url)
        request.allowsSpecialAddresses = true
        request.timeout = .seconds(20)
        return request
    }

    private func client(bytes: Int) throws -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        configuration.maxBytesInFlight = bytes
        return try HTTPClient(configuration: configuration)
    }

    /// The thread has turned so often: what could happen has happened.
    private func turn(_ client: HTTPClient, _ times: Int = 200) async {
        for _ in 0..<times {
            await withCheckedContinuation { continuation in client.ping { continuation.resume() } }
        }
    }

    @Test func beyondTheBoundCallsWaitForOthersToEndAndCanBeGivenUp() async throws {
        let source = try Source(bytes: 10)
        var configuration = HTTPClient.Configuration()
        configuration.maxCalls = 2
        let client = try HTTPClient(configuration: configuration)
        let hung = (0..<2).map { _ in Task { try await client.send(self.request(source.url("/hang"))) } }
        while source.counter.value < 2 { await Task.yield() }
        let givenUp = Task { try await client.send(self.request(source.url("/a"))) }
        let waiting = Task { try await client.send(self.request(source.url("/b"))) }
        await self.turn(client)
        #expect(source.counter.value == 2)
        givenUp.cancel()
        let failure = await #expect(throws: HTTPFailure.self) { try await givenUp.value }
        #expect(failure?.kind == .cancelled && failure?.sentBytes == false && failure?.wasHeldBack == true)
        hung[0].cancel()
        #expect(try await waiting.value.status == 200)
        #expect(source.counter.value == 3)
        await client.shutdown()
        for task in hung { await #expect(throws: HTTPFailure.self) { try await task.value } }
        await source.server.shutdown()
    }

    @Test func bytesThatAreNotReleasedHoldBackOtherCalls() async throws {
        let source = try Source(bytes: 300_000)
        let client = try self.client(bytes: 200_000)
        let first = try await client.send(self.request(source.url("/a")))
        let second = Task { try await client.send(self.request(source.url("/b"))).body.count }
        await self.turn(client)
        #expect(source.counter.value == 1)
        #expect(first.body.count == 300_000)
        first.hold?.release()
        #expect(try await second.value == 300_000)
        await client.shutdown()
        await source.server.shutdown()
    }

    @Test func whoeverDropsAResponseReleasesIt() async throws {
        let source = try Source(bytes: 300_000)
        let client = try self.client(bytes: 400_000)
        for _ in 0..<10 { #expect(try await client.send(self.request(source.url("/a"))).body.count == 300_000) }
        await client.shutdown()
        await source.server.shutdown()
    }

    @Test func responsesLargerThanTheBudgetComeOneAfterTheOther() async throws {
        let source = try Source(bytes: 3_000_000)
        let client = try self.client(bytes: 100_000)
        let counts = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<30 {
                group.addTask { try await client.send(self.request(source.url("/\(number)"))).body.count }
            }
            return try await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(counts == Array(repeating: 3_000_000, count: 30))
        await client.shutdown()
        await source.server.shutdown()
    }

    @Test func aResponseThatHasNoRoomPausesAndItsTimeWithIt() async throws {
        let source = try Source(bytes: 300_000)
        let client = try self.client(bytes: 400_000)
        let first = try await client.send(self.request(source.url("/a")))
        // Neither of the others is answered before both are asked. The older one may exceed the budget, the younger one
        // has to pause, however their bytes mix.
        let second = Task { try await client.send(self.request(source.url("/together"))) }
        while source.counter.value < 2 { await Task.yield() }
        let isDone = Counter()
        let third = Task {
            var request = self.request(source.url("/together"))
            request.timeout = .seconds(3)
            defer { isDone.add() }
            return try await client.send(request).body.count
        }
        let held = try await second.value
        // Longer than its limit; only time can show that.
        let end = ContinuousClock.now + .seconds(4)
        while ContinuousClock.now < end { await self.turn(client, 10) }
        #expect(isDone.value == 0)
        first.hold?.release()
        held.hold?.release()
        #expect(try await third.value == 300_000)
        await client.shutdown()
        await source.server.shutdown()
    }
}

extension HTTPServer.Response {
    fileprivate static func padded(_ bytes: Int) -> Self {
        var response = Self(status: 200, body: [1])
        response.padding = bytes - 1
        return response
    }
}
