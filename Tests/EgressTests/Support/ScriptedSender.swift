import AfterloginHTTPMessages
import AfterloginSystem

import struct Synchronization.Atomic

/// Answers what the test says, and remembers what it was asked.
final class ScriptedSender: HTTPSender {
    typealias Answer = @Sendable (HTTPRequest, _ number: Int) async -> Result<HTTPResponse, HTTPFailure>
    private let answer: Answer
    private let seen = Mutex<[HTTPRequest]>([])

    init(_ answer: @escaping Answer) { self.answer = answer }

    var requests: [HTTPRequest] { self.seen.withLock { $0 } }

    func send(_ request: HTTPRequest) async throws(HTTPFailure) -> HTTPResponse {
        let number = self.seen.withLock { seen in
            seen.append(request)
            return seen.count
        }
        return try await self.answer(request, number).get()
    }
}

extension Result<HTTPResponse, HTTPFailure> {
    static func status(_ status: Int, _ body: String = "", _ headers: HTTPFields = []) -> Self {
        .success(HTTPResponse(status: status, headers: headers, body: Array(body.utf8)))
    }
}

/// A counter that closures share.
final class Counter: Sendable {
    private let value = Atomic(0)

    /// The number after this one.
    func next() -> Int { self.value.add(1, ordering: .sequentiallyConsistent).newValue }
    var count: Int { self.value.load(ordering: .sequentiallyConsistent) }
}
