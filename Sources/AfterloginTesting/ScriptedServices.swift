public import Afterlogin
import AfterloginSystem

/// Answers the requests of a rule in a test, without a network, and keeps what the rule asked and logged.
///
/// What the worker adds is left out: the allow-list, tokens, repeats, time limits. A rule's own request is all that is seen here.
public final class ScriptedServices: RuleServices {
    /// A request that a rule made.
    public struct Sent: Sendable {
        /// As the rule wrote it.
        public let request: HTTPRequest
        /// The token that it asked for, a key under `tokens`; nil where it asked for none.
        public let token: String?
        /// The body as JSON; nil where it is something else.
        public var json: JSONValue? { try? JSONValue(parsing: self.request.body) }
    }

    /// A rule asked for more than the test has replies for.
    public struct NoReplyLeft: Error, CustomStringConvertible {
        /// Which request it was.
        public let description: String
    }

    private struct State {
        var replies: [ScriptedReply] = []
        var sent: [Sent] = []
        var lines: [String] = []
        var wasAway = false
    }

    private let answer: (@Sendable (Sent) throws -> ScriptedReply)?
    private let state: Mutex<State>

    /// Answers with these, in their order; the request after the last throws `NoReplyLeft`.
    public init(_ replies: ScriptedReply...) {
        self.answer = nil
        self.state = Mutex(State(replies: replies))
    }

    /// Answers as the closure says: for rules that ask in no certain order.
    ///
    /// - Parameter answer: may throw, as `send` would.
    public init(answering answer: @escaping @Sendable (Sent) throws -> ScriptedReply) {
        self.answer = answer
        self.state = Mutex(State())
    }

    /// All that was asked, in its order.
    public var sent: [Sent] { self.state.withLock { $0.sent } }
    /// All that was logged, in its order.
    public var lines: [String] { self.state.withLock { $0.lines } }

    /// Whether the rule asked for something that is away.
    var wasAway: Bool { self.state.withLock { $0.wasAway } }

    /// Answers the request as the test says.
    public func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try self.reply(to: Sent(request: request, token: nil))
    }

    /// The same, and keeps the token's name.
    public func send(_ request: HTTPRequest, token name: String) async throws -> HTTPResponse {
        try self.reply(to: Sent(request: request, token: name))
    }

    /// Keeps the line.
    public func log(_ message: String) { self.state.withLock { $0.lines.append(message) } }

    private func reply(to sent: Sent) throws -> HTTPResponse {
        let next = self.state.withLock { state -> ScriptedReply? in
            state.sent.append(sent)
            return state.replies.isEmpty ? nil : state.replies.removeFirst()
        }
        guard let reply = try self.answer?(sent) ?? next else {
            throw NoReplyLeft(
                description:
                    "no reply is left for \(sent.request.method) \(sent.request.url): give ScriptedServices one more"
            )
        }
        switch reply {
        case .response(let response): return response
        case .failure(let failure): throw failure
        case .away:
            self.state.withLock { $0.wasAway = true }
            throw CancellationError()
        }
    }
}
