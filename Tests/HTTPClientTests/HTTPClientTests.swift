import AfterloginHTTPClient
import AfterloginHTTPMessages
import AfterloginHTTPServer
import Testing

@Suite(.timeLimit(.minutes(1)))
struct HTTPClientTests {
    /// A server that tells what it was sent, and its address.
    private func makeEcho() throws -> (server: HTTPServer, address: String) {
        let server = try HTTPServer(configuration: .init(listen: "127.0.0.1:0")) { request in
            let lines = request.headers.map { "\($0.name): \($0.value)" }.joined(separator: "\n")
            let query = request.query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
            let text = "\(request.method) \(request.path)?\(query)\n\(lines)\n\n"
            return .now(.init(status: 200, headers: ["X-Echo": "yes"], body: Array(text.utf8) + request.body))
        }
        return (server, "http://127.0.0.1:\(server.port)")
    }

    @Test(arguments: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
    func everyMethodArrives(method: String) async throws {
        let (server, address) = try self.makeEcho()
        let client = try HTTPClient()
        // Twice, and with another between: the handle is used again.
        for _ in 0..<2 {
            let response = try await client.send(.local(method, "\(address)/a?b=c"))
            #expect(response.status == 200)
            #expect(response.reason == "OK")
            #expect(response.headers.contains(HTTPField("X-Echo", "yes")))
            if method == "HEAD" {
                #expect(response.body.isEmpty)
            } else {
                #expect(String(decoding: response.body, as: UTF8.self).hasPrefix("\(method) /a?b=c\n"))
            }
            let between = try await client.send(.local("POST", address, body: Array("between".utf8)))
            #expect(String(decoding: between.body, as: UTF8.self).hasSuffix("\n\nbetween"))
        }
        await client.shutdown()
        await server.shutdown()
    }
}
