import AfterloginHTTPClient
import AfterloginHTTPMessages
import Glibc
import Testing

/// Calls that end before their response has come.
@Suite(.timeLimit(.minutes(1)))
struct CancellationTests {
    @Test(arguments: [
        "", "HTTP/1.1 200 OK\r\nX-A", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ])
    func cancellingTheTaskEndsTheCallAndItsConnection(start: String) async throws {
        let sent = Observed(false)
        let server = RawServer { connection in
            guard connection.readRequest() != nil, connection.send(start) else { return }
            sent.update { $0 = true }
            connection.waitForEnd()
        }
        defer { server.stop() }
        let client = try HTTPClient()
        let url = server.url()
        let task = Task { await client.failure(of: .local(url)) }
        await sent.wait { $0 }
        task.cancel()
        let failure = await task.value
        #expect(failure?.kind == .cancelled)
        #expect(failure?.code == "ABORT_ERR")
        #expect(failure?.sentBytes == true)
        await server.log.wait { $0.ended == 1 }
        await client.shutdown()
    }

    @Test func aTaskThatWasCancelledBeforeSendsNothing() async throws {
        let server = RawServer(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        defer { server.stop() }
        let client = try HTTPClient()
        // The handle that comes next has sent something.
        _ = try await client.send(.local("POST", server.url("/first"), body: [65]))
        let url = server.url("/second")
        let gate = Observed(false)
        let task = Task {
            await gate.wait { $0 }
            return await client.failure(of: .local(url))
        }
        task.cancel()
        gate.update { $0 = true }
        let failure = await task.value
        #expect(failure?.kind == .cancelled)
        #expect(failure?.sentBytes == false)
        #expect(server.log.value.requests.count == 1)
        await client.shutdown()
    }

    @Test func aCallThatIsConnectingIsCancelled() async throws {
        let listener = ListeningSocket(backlog: 0)
        let descriptors = listener.fillBacklog()
        defer { for descriptor in descriptors { close(descriptor) } }
        let server = RawServer(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        defer { server.stop() }
        let client = try HTTPClient()
        _ = try await client.send(.local("POST", server.url(), body: [65]))
        let url = "http://127.0.0.1:\(listener.port)/"
        let task = Task { await client.failure(of: .local(url)) }
        // Once this one is through, the other has begun, or will see that it is cancelled.
        _ = try await client.send(.local(server.url()))
        task.cancel()
        let failure = await task.value
        #expect(failure?.kind == .cancelled)
        #expect(failure?.sentBytes == false)
        await client.shutdown()
    }

    @Test func aCallThatShakesHandsIsCancelled() async throws {
        let server = RawServer { $0.waitForEnd() }
        defer { server.stop() }
        let client = try HTTPClient()
        let url = server.url(scheme: "https")
        let task = Task { await client.failure(of: .local(url)) }
        await server.log.wait { $0.accepted == 1 }
        task.cancel()
        let failure = await task.value
        #expect(failure?.kind == .cancelled)
        #expect(failure?.sentBytes == false)
        await server.log.wait { $0.ended == 1 }
        await client.shutdown()
    }

    @Test func aCallThatWaitsForAConnectionIsCancelledAndTheOneBeforeGoesOn() async throws {
        let go = Observed(false)
        let server = RawServer { connection in
            while connection.readRequest() != nil {
                while !go.value { usleep(1_000) }
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            }
        }
        defer { server.stop() }
        var configuration = HTTPClient.Configuration()
        configuration.maxConnectionsPerHost = 1
        let client = try HTTPClient(configuration: configuration)
        let (first, second) = (server.url("/first"), server.url("/second"))
        let holder = Task { try await client.send(.local(first)).status }
        await server.log.wait { $0.requests.count == 1 }
        let waiter = Task { await client.failure(of: .local(second)) }
        // A request behind it in the mailbox has been looked at.
        #expect(await client.failure(of: .local("nonsense"))?.kind == .invalidRequest)
        waiter.cancel()
        #expect(await waiter.value?.kind == .cancelled)
        go.update { $0 = true }
        #expect(try await holder.value == 200)
        #expect(try await client.send(.local(server.url("/third"))).status == 200)
        #expect(server.log.value.requests.map { String($0.prefix(10)) } == ["GET /first", "GET /third"])
        await client.shutdown()
    }

    @Test func manyCallsAreCancelledAtOnceAndTheClientGoesOn() async throws {
        let server = RawServer { connection in
            while let request = connection.readRequest() {
                if request.hasPrefix("GET /answer") {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                }
            }
        }
        defer { server.stop() }
        let client = try HTTPClient()
        let url = server.url("/hang")
        for round in 1...2 {
            let all = Task {
                await withTaskGroup(of: HTTPFailure.Kind?.self) { group in
                    for _ in 0..<200 { group.addTask { await client.failure(of: .local(url))?.kind } }
                    return await group.reduce(into: []) { $0.append($1) }
                }
            }
            await server.log.wait { $0.requests.count { $0.hasPrefix("GET /hang") } == 200 * round }
            all.cancel()
            let kinds = await all.value
            #expect(kinds.count == 200)
            #expect(kinds.allSatisfy { $0 == .cancelled })
            await server.log.wait { $0.ended >= 200 * round }
            #expect(try await client.send(.local(server.url("/answer"))).status == 200)
        }
        await client.shutdown()
    }

    @Test func shutdownEndsWhatIsInFlightAndRefusesWhatComesLater() async throws {
        let server = RawServer.silent()
        defer { server.stop() }
        let client = try HTTPClient()
        let url = server.url()
        let all = Task {
            await withTaskGroup(of: HTTPFailure.Kind?.self) { group in
                for _ in 0..<100 { group.addTask { await client.failure(of: .local(url))?.kind } }
                return await group.reduce(into: []) { $0.append($1) }
            }
        }
        await server.log.wait { $0.requests.count == 100 }
        await client.shutdown()
        let kinds = await all.value
        #expect(kinds.count == 100)
        #expect(kinds.allSatisfy { $0 == .cancelled })
        await server.log.wait { $0.ended == 100 }
        #expect(await client.failure(of: .local(url))?.kind == .cancelled)
        // Doing it again does no harm.
        await client.shutdown()
        #expect(server.log.value.accepted == 100)
    }

    @Test(arguments: 1...5)
    func callsThatRaceWithTheShutdownEndOnce(round: Int) async throws {
        let server = RawServer(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        defer { server.stop() }
        let client = try HTTPClient()
        let url = server.url()
        let kinds = await withTaskGroup(of: HTTPFailure.Kind?.self) { group in
            for _ in 0..<100 { group.addTask { await client.failure(of: .local(url))?.kind } }
            group.addTask {
                await server.log.wait { $0.requests.count >= round * 10 }
                await client.shutdown()
                return nil
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        // The continuations check that none is resumed twice; here, that each was.
        #expect(kinds.count == 101)
        #expect(kinds.allSatisfy { $0 == nil || $0 == .cancelled })
    }

    @Test func aClientThatIsForgottenEndsItsThreadAndConnections() async throws {
        let server = RawServer(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        defer { server.stop() }
        do {
            let client = try HTTPClient()
            _ = try await client.send(.local(server.url()))
        }
        await server.log.wait { $0.ended == 1 }
        #expect(server.log.value.accepted == 1)
    }
}
