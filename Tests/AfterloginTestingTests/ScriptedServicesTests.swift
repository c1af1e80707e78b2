import Afterlogin
import AfterloginTesting
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ScriptedServicesTests {
    /// Asks twice, whatever the first came to.
    private struct AskingRule: Rule {
        let name = "asking"
        let order = 1

        func evaluate(_ login: inout Login, using services: any RuleServices) async throws {
            guard let email = login.user["email"]?.string else { throw Denial("no email") }
            let plan = try? await services.send(HTTPRequest("GET", "https://plans.example/\(email)"))
            services.log("plan: \(plan?.status ?? 0)")
            var request = HTTPRequest("POST", "https://profiles.example/")
            request.body = JSONValue.object(["email": .string(email)]).serialized()
            let profile = try JSONValue(parsing: try await services.send(request, token: "profiles").body)
            login.user["nickname"] = profile["nickname"]
            login.updateAppMetadata(["plan": "gold", "trial": .null])
            login.updateUserMetadata(["seen": true])
        }
    }

    private let user: JSONValue = ["user_id": "auth0|1", "email": "ada@example.com"]

    @Test
    func aRuleIsSeenWithAllThatItAskedAndWrote() async {
        let services = ScriptedServices(.failure(.timeout), .json(["nickname": "Ada"]))
        let run = await AskingRule().run(user: self.user, using: services)
        #expect(run.isCompleted)
        #expect(run.user["nickname"]?.string == "Ada" && run.user["user_id"]?.string == "auth0|1")
        #expect(run.appMetadata == ["plan": "gold", "trial": .null] && run.userMetadata == ["seen": true])
        #expect(
            services.sent.map(\.request.url) == ["https://plans.example/ada@example.com", "https://profiles.example/"]
        )
        #expect(services.sent.map(\.token) == [nil, "profiles"])
        #expect(services.sent.last?.json == ["email": "ada@example.com"])
        #expect(services.lines == ["plan: 0"])
    }

    @Test
    func aDenialIsNoFailure() async {
        let services = ScriptedServices()
        let run = await AskingRule().run(user: ["user_id": "auth0|1"], using: services)
        guard case .denied("no email") = run.outcome else {
            Issue.record("\(run.outcome)")
            return
        }
        #expect(services.sent.isEmpty)
    }

    @Test
    func aRequestWithoutAReplyFailsAndSaysWhich() async {
        let run = await AskingRule().run(user: self.user, using: ScriptedServices(.status(204)))
        guard case .failed(let error as ScriptedServices.NoReplyLeft) = run.outcome else {
            Issue.record("\(run.outcome)")
            return
        }
        #expect("\(error)".contains("POST https://profiles.example/"))
    }

    /// As in the worker: whatever the rule makes of the cancellation is dropped.
    @Test
    func aRuleThatSwallowsThatSomethingIsAwayWaitsAllTheSame() async {
        let services = ScriptedServices { sent in
            sent.request.method == "GET" ? .away : .json(["nickname": "Ada"])
        }
        let run = await AskingRule().run(user: self.user, using: services)
        guard case .waits = run.outcome else {
            Issue.record("\(run.outcome)")
            return
        }
        #expect(run.user == self.user && run.appMetadata.isEmpty)
    }

    @Test(arguments: [HTTPFailure.Kind.connectionRefused, .timeout])
    func aFailureSaysWhetherItWasSent(kind: HTTPFailure.Kind) async throws {
        let services = ScriptedServices(.failure(kind))
        let failure = await #expect(throws: HTTPFailure.self) {
            _ = try await services.send(HTTPRequest("GET", "https://plans.example/"))
        }
        #expect(failure?.kind == kind && failure?.sentBytes == (kind == .timeout))
    }
}
