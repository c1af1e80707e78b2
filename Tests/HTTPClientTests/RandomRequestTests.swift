import AfterloginHTTPClient
import AfterloginHTTPMessages
import AfterloginTestSupport
import Testing

/// Mixed requests at once over few connections: each gets its own response, whole, or its own failure.
@Suite(.timeLimit(.minutes(1)))
struct RandomRequestTests {
    /// What the server says to one request, and how.
    private struct Exchange: Sendable {
        enum End: CaseIterable { case keeps, keepsToo, keepsAsWell, closes, cuts, resets }

        var method = "GET"
        var headers: HTTPFields = []
        var body: [UInt8] = []
        var status = 200
        var answerHeaders: HTTPFields = []
        var answerBody: [UInt8] = []
        var isChunked = false
        var hasHints = false
        var end = End.keeps
        /// Where the bytes are split, so that they come in pieces.
        var pieces: [Int] = []

        init(number: Int, _ random: inout SeededGenerator) {
            self.method = ["GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"].randomElement(using: &random) ?? ""
            self.headers = HTTPFields(
                (0..<Int.random(in: 0...5, using: &random))
                    .map { HTTPField("X-\($0)", String(UInt64.random(in: 0 ... .max, using: &random), radix: 36)) }
            )
            if ["POST", "PUT", "PATCH"].contains(self.method) { self.body = Self.bytes(&random) }
            self.status = [200, 201, 204, 302, 304, 404, 429, 500, 503].randomElement(using: &random) ?? 0
            self.answerHeaders =
                [HTTPField("X-Number", "\(number)")]
                + (0..<Int.random(in: 0...4, using: &random))
                .map { _ in HTTPField("X-Many", "\(Int.random(in: 0...999, using: &random))") }
            self.answerBody = Self.bytes(&random)
            self.isChunked = Bool.random(using: &random)
            self.hasHints = Int.random(in: 0..<8, using: &random) == 0
            self.end = End.allCases.randomElement(using: &random) ?? .keeps
            self.pieces = (0..<Int.random(in: 0...4, using: &random)).map { _ in
                Int.random(in: 1...3_000, using: &random)
            }
        }

        private static func bytes(_ random: inout SeededGenerator) -> [UInt8] {
            let count = [0, 1, 100, 5_000, 16_384, 40_000].randomElement(using: &random) ?? 0
            return (0..<count).map { _ in UInt8(ascii: "a") + UInt8(random.next() % 26) }
        }

        var hasBody: Bool { self.method != "HEAD" && self.status != 204 && self.status != 304 }
        var expectedBody: [UInt8] { self.hasBody ? self.answerBody : [] }

        /// The whole answer; `cut` is where one that is cut short ends.
        var answer: (bytes: [UInt8], cut: Int) {
            var head = self.hasHints ? "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" : ""
            head += "HTTP/1.1 \(self.status) Status\r\n"
            for field in self.answerHeaders { head += "\(field.name): \(field.value)\r\n" }
            if self.end == .closes { head += "Connection: close\r\n" }
            var bytes = Array(head.utf8)
            guard self.hasBody else { return (bytes + Array("\r\n".utf8), bytes.count - 1) }
            if self.isChunked {
                bytes += Array("Transfer-Encoding: chunked\r\n\r\n".utf8)
                var rest = self.answerBody[...]
                while !rest.isEmpty {
                    let chunk = rest.prefix(7_001)
                    bytes += Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + Array("\r\n".utf8)
                    rest = rest.dropFirst(7_001)
                }
                bytes += Array("0\r\n\r\n".utf8)
            } else {
                bytes += Array("Content-Length: \(self.answerBody.count)\r\n\r\n".utf8) + self.answerBody
            }
            return (bytes, bytes.count - 3)
        }
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func everyRequestGetsItsOwnAnswer(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let exchanges = (0..<150).map { Exchange(number: $0, &random) }
        let received = Observed<[Int: String]>([:])
        let server = RawServer { connection in
            while let request = connection.readRequest() {
                let number = Int(request.split(separator: " ")[1].dropFirst()) ?? -1
                received.update { $0[number] = request }
                let exchange = exchanges[number]
                let (bytes, cut) = exchange.answer
                let isCut = exchange.end == .cuts || exchange.end == .resets
                var rest = isCut ? bytes.prefix(cut) : bytes[...]
                for piece in exchange.pieces {
                    connection.send(Array(rest.prefix(piece)))
                    rest = rest.dropFirst(piece)
                }
                connection.send(Array(rest))
                if exchange.end == .resets { connection.resetAtEnd() }
                if isCut || exchange.end == .closes { return }
            }
        }
        defer { server.stop() }
        var configuration = HTTPClient.Configuration()
        configuration.maxConnectionsPerHost = 6
        let client = try HTTPClient(configuration: configuration)
        let next = Observed(0)
        await withTaskGroup { group in
            for _ in 0..<12 {
                group.addTask {
                    while true {
                        let number = next.update { next in
                            next += 1
                            return next - 1
                        }
                        guard number < exchanges.count else { return }
                        await self.check(exchanges[number], number, client, server, seed)
                    }
                }
            }
        }
        await client.shutdown()
        for (number, exchange) in exchanges.enumerated() {
            let request = received.value[number] ?? ""
            #expect(request.hasPrefix("\(exchange.method) /\(number) HTTP/1.1\r\n"), "seed \(seed)")
            let lines = exchange.headers.map { "\($0.name): \($0.value)\r\n" }.joined()
            #expect(request.contains(lines), "seed \(seed), request \(number)")
            #expect(request.utf8.suffix(exchange.body.count).elementsEqual(exchange.body), "seed \(seed)")
        }
    }

    private func check(
        _ exchange: Exchange,
        _ number: Int,
        _ client: HTTPClient,
        _ server: RawServer,
        _ seed: UInt64
    ) async {
        let comment = Comment(rawValue: "seed \(seed), request \(number): \(exchange.method) \(exchange.end)")
        let request = HTTPRequest.local(
            exchange.method,
            server.url("/\(number)"),
            headers: exchange.headers,
            body: exchange.body
        )
        do throws(HTTPFailure) {
            let response = try await client.send(request)
            #expect(exchange.end != .cuts && exchange.end != .resets, comment)
            #expect(response.status == exchange.status, comment)
            #expect(response.body == exchange.expectedBody, comment)
            #expect(response.headers.filter { $0.name.hasPrefix("X-") } == exchange.answerHeaders, comment)
        } catch {
            #expect(exchange.end == .cuts || exchange.end == .resets, comment)
            #expect(error.kind == .connectionReset, comment)
        }
    }
}
