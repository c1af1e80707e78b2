import Testing

@testable import AfterloginRules

@Suite("Which rules need the worker's Management API token", .timeLimit(.minutes(1)))
struct AccessTokenUseTests {
    private func need(_ sources: String...) -> AccessTokenUse.Need? {
        AccessTokenUse.find(in: sources.map { RuleDirectory.Script(file: "rule.js", source: $0) })?.need
    }

    @Test(arguments: [
        "x(auth0.accessToken)", "x(auth0 .accessToken)", "x(auth0?.accessToken)", "x(auth0['accessToken'])",
        "const a = auth0; x(a.accessToken)", "const { accessToken } = auth0;",
        "const { domain, accessToken: t } = auth0;",
        "const { domain, ...rest } = auth0", "x({ ...auth0 })", "helper(auth0)", "helper({ auth0, user })",
        "x = [auth0]",
        "x(global.auth0.accessToken)", "x(globalThis.auth0)", "x(global['auth0'].accessToken)", "return auth0",
        "const name = 'accessToken'; x(auth0[name])", "const a = auth0 || {}", "x(`${auth0.accessToken}`)",
        "new Tools(user, context, configuration, auth0)", "Object.assign({}, auth0)",
    ])
    func itIsHadWhereAuth0StandsForItself(source: String) { #expect(self.need(source) == .token, "\(source)") }

    @Test(arguments: [
        "x(auth0.domain)", "x(auth0?.domain)", "fetch(`https://${auth0.domain}/oauth/token`)", "x(auth0['baseUrl'])",
        "auth0.users.updateAppMetadata(user.user_id, { a: 1 })", "const { domain, baseUrl } = auth0;",
        "if (auth0 && auth0.users) auth0.users.updateUserMetadata(user.user_id, {})", "typeof auth0 === 'undefined'",
        "// auth0.accessToken", "/* helper(auth0) */", "x('auth0.accessToken')", "x(`auth0.accessToken`)",
        "const auth0 = require('auth0'); x(auth0.accessToken, auth0)", "const { ManagementClient } = require('auth0')",
        "x(user.auth0.accessToken)", "x({ auth0: 1 })", "/auth0.accessToken/.test(x)",
        "const id = user.user_id; auth0.users.updateAppMetadata(id, {})",
        "const { user_id: id } = user; auth0.users.updateAppMetadata(id, {})",
        "const { user_id } = user; auth0.users.updateAppMetadata(user_id, {})",
        "if (user.user_id === x) auth0.users.updateAppMetadata(user.user_id, {})",
    ])
    func itCostsNothingElsewhere(source: String) { #expect(self.need(source) == nil, "\(source)") }

    /// `user.user_id` is where a rule finds its user, unless one before it has put another id there.
    @Test func whoseMetadataItIsMayChange() {
        let scripts = { (source: String) in [RuleDirectory.Script(file: "rule.js", source: source)] }
        let write = scripts("auth0.users.updateAppMetadata(user.user_id, {})")
        #expect(AccessTokenUse.find(in: write, idMayChange: true)?.need == .otherUser)
        #expect(AccessTokenUse.find(in: write, idMayChange: false) == nil)
        for source in ["user.user_id = other", "user['user_id'] = other", "Object.assign({}, user).user_id = x"] {
            #expect(AccessTokenUse.changesID(scripts(source)), "\(source)")
        }
        for source in ["if (user.user_id == x) {}", "x({ user_id: 1 })", "// user.user_id = x", "y = user.user_id"] {
            #expect(!AccessTokenUse.changesID(scripts(source)), "\(source)")
        }
    }

    @Test(arguments: [
        "auth0.users.updateAppMetadata(context.primaryUser, {})", "auth0.users.updateUserMetadata(other, {})",
    ])
    func itIsHadForMetadataOfAnotherUser(source: String) { #expect(self.need(source) == .otherUser, "\(source)") }

    @Test func aHelperThatReadsItCounts() {
        #expect(self.need("require('./helper')", "exports.token = () => auth0.accessToken") == .token)
        #expect(self.need("auth0.users.updateAppMetadata(other, {})", "helper(auth0)") == .token)
    }
}
