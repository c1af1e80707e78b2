import Afterlogin
import HTTPClient
import Synchronization

/// An egress path that answers what it was told to, and remembers what it was asked.
final class ScriptedEgress: Egress {
    private let answer: @Sendable (EgressCall) async -> EgressReply
    private let seen = Mutex<[EgressCall]>([])
    private let managementReply: ManagementTokenReply

    init(
        managementToken: ManagementTokenReply = .refused("none is configured"),
        _ answer: @escaping @Sendable (EgressCall) async -> EgressReply = { _ in
            .response(HTTPResponse(status: 200), CallOutcome())
        }
    ) {
        self.answer = answer
        self.managementReply = managementToken
    }

    var calls: [EgressCall] { self.seen.withLock { $0 } }

    func send(_ call: EgressCall) async -> EgressReply {
        self.seen.withLock { $0.append(call) }
        return await self.answer(call)
    }

    func send(_ call: EgressCall, token name: String) async -> EgressReply {
        var call = call
        call.request.headers.append(HTTPField("authorization", "Bearer token-of-\(name)"))
        return await self.send(call)
    }

    func managementToken(deadline: ContinuousClock.Instant) async -> ManagementTokenReply { self.managementReply }
}

/// An outage that is over at once.
struct BriefOutage: Outage {
    let reason = "the token endpoint is away"
    func waitUntilOver() async {}
}
