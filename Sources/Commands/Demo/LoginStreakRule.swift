import AfterloginJSON
import AfterloginRules

/// The demo's native rule: counts logins for the marketing department, which once cost an API call at every login.
struct LoginStreakRule: Rule {
    let name = "login-streak"
    let order = 40

    func evaluate(_ login: inout Login, using services: any RuleServices) async throws {
        let logins = login.user["logins_count"]?.int ?? 0
        var changes = JSONObject()
        changes["logins"] = JSONValue(logins)
        changes["is_regular"] = JSONValue(logins >= 10)
        login.updateUserMetadata(changes)
    }
}
