package import Afterlogin

/// Looks the user up in the customer database and keeps the customer number in `app_metadata`.
package struct CustomerNumberRule: Rule {
    package let name = "customer-number"
    package let order = 50

    /// An unusable answer: thrown, so that the login is tried again when the call failed retryably.
    struct UnexpectedStatus: Error { let status: Int }

    package init() {}

    package func evaluate(_ login: inout Login, using services: any RuleServices) async throws {
        guard let email = login.user["email"]?.string else {
            throw Denial("A login without an email can't be a customer's.")
        }
        // Another rule, or an earlier login, found it already.
        if login.user["app_metadata"]?["customer_number"] != nil { return }

        var request = HTTPRequest("POST", "https://customers.example.com/search")
        request.headers = ["Content-Type": "application/json"]
        request.body = JSONValue.object(["email": .string(email)]).serialized()
        let response = try await services.send(request, token: "customers")

        switch response.status {
        case 200:
            let customer = try JSONValue(parsing: response.body)
            login.updateAppMetadata(["customer_number": customer["number"] ?? .null])
        case 404:
            services.log("no customer with this email")
        default:
            throw UnexpectedStatus(status: response.status)
        }
    }
}
