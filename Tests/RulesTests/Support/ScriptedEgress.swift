import AfterloginHTTPMessages
import AfterloginSystem
import AfterloginWaiting

import struct Synchronization.Atomic

@testable import AfterloginEgress
@testable import AfterloginRules

/// An egress path that answers what it was told to, and remembers what it was asked.
final class ScriptedEgress: Egress {
    private let answer: @Sendable (EgressCall) async -> EgressReply
    private let seen = Mutex<[EgressCall]>([])
    private let managementReply: ManagementTokenReply
    private let asked = Atomic(0)
    let reach: [String]?

    init(
        reach: [String]? = nil,
        managementToken: ManagementTokenReply = .refused("none is configured"),
        _ answer: @escaping @Sendable (EgressCall) async -> EgressReply = { _ in
            .response(HTTPResponse(status: 200), CallOutcome())
        }
    ) {
        self.reach = reach
        self.answer = answer
        self.managementReply = managementToken
    }

    /// How often the Management API token was asked for.
    var managementTokens: Int { self.asked.load(ordering: .relaxed) }
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

    func place(of call: EgressCall) -> Destination? {
        Route.call(rule: call.rule, host: "api.example", port: 443).answers
    }

    func managementToken() async -> ManagementTokenReply {
        self.asked.add(1, ordering: .relaxed)
        return self.managementReply
    }
}

extension EvaluatedLogin {
    /// A login of a test's, whose calls nobody judges.
    static func test(id: String = "evt", time: String = "2026-11-24T00:00:00Z") -> EvaluatedLogin {
        let calls = LoginCalls(number: 1, user: LoginUser(key: 1), firstAttempt: .now)
        return EvaluatedLogin(id: id, time: time, userID: "auth0|1", scope: CallScope(calls))
    }
}
