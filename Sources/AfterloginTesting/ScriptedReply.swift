public import Afterlogin

/// What a scripted service answers a rule.
public enum ScriptedReply: Sendable {
    /// A response, as the API would give it.
    case response(HTTPResponse)
    /// No response: what `send` throws.
    case failure(HTTPFailure)
    /// The API is away: in the worker the rule is cancelled here, and the login waits. `send` throws `CancellationError`.
    case away

    /// A response with a JSON body.
    ///
    /// - Parameters:
    ///   - value: the body.
    ///   - status: of the response.
    /// - Returns: the reply.
    public static func json(_ value: JSONValue, status: Int = 200) -> ScriptedReply {
        let headers: HTTPFields = ["Content-Type": "application/json"]
        return .response(HTTPResponse(status: status, headers: headers, body: value.serialized()))
    }

    /// A response without a body.
    ///
    /// - Parameter status: of the response.
    /// - Returns: the reply.
    public static func status(_ status: Int) -> ScriptedReply { .response(HTTPResponse(status: status)) }

    /// No response, for a reason of this kind.
    ///
    /// - Parameter kind: what became of the request; whether it was sent follows from it.
    /// - Returns: the reply.
    public static func failure(_ kind: HTTPFailure.Kind) -> ScriptedReply {
        let isSent =
            switch kind {
            case .nameNotFound, .connectionRefused, .connectTimeout, .certificate, .tls, .addressRefused,
                .invalidRequest:
                false
            case .timeout, .connectionReset, .responseTooLarge, .headersTooLarge, .badResponse, .cancelled, .other: true
            }
        return .failure(
            HTTPFailure(kind: kind, message: "scripted: \(kind.rawValue)", code: "ESCRIPTED", sentBytes: isSent)
        )
    }
}
