import Afterlogin
import AfterloginTesting
import CustomerRules
import Testing

struct CustomerNumberRuleTests {
    private let ada: JSONValue = ["user_id": "auth0|1", "email": "ada@example.com"]

    @Test
    func aCustomersNumberIsKept() async {
        let services = ScriptedServices(.json(["number": 7]))
        let run = await CustomerNumberRule().run(user: self.ada, using: services)
        #expect(run.isCompleted)
        #expect(run.appMetadata == ["customer_number": 7])
        #expect(services.sent.first?.token == "customers")
        #expect(services.sent.first?.json == ["email": "ada@example.com"])
    }

    @Test
    func whoIsNoCustomerStaysAsHeIs() async {
        let services = ScriptedServices(.status(404))
        let run = await CustomerNumberRule().run(user: self.ada, using: services)
        #expect(run.isCompleted && run.appMetadata.isEmpty)
        #expect(services.lines == ["no customer with this email"])
    }

    @Test
    func aDatabaseThatFailsFailsTheRule() async {
        let run = await CustomerNumberRule().run(user: self.ada, using: ScriptedServices(.status(500)))
        guard case .failed = run.outcome else {
            Issue.record("\(run.outcome)")
            return
        }
    }

    @Test
    func aLoginWithoutAnEmailIsDenied() async {
        let run = await CustomerNumberRule().run(user: ["user_id": "auth0|2"])
        guard case .denied = run.outcome else {
            Issue.record("\(run.outcome)")
            return
        }
    }
}
