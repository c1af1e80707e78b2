/// `tenant` of the configuration: whom tokens come from, and as which client.
package struct TenantSettings: Sendable {
    package enum ClientAuth: String, Sendable, CaseIterable {
        case clientSecretPost = "client_secret_post"
        case clientSecretBasic = "client_secret_basic"
        case privateKeyJWT = "private_key_jwt"
    }
    package enum TokenRequest: String, Sendable, CaseIterable { case json, form }
    package var domain: String? = nil
    package var clientID: String? = nil
    package var clientSecret: String? = nil
    package var tokenURL: String? = nil
    package var clientAuth = ClientAuth.clientSecretPost
    package var privateKey: String? = nil
    package var algorithm = "RS256"
    package var tokenRequest = TokenRequest.json
    /// `aud` of an assertion; default the token URL where one is set, or else `https://{domain}/`.
    package var assertionAudience: String? = nil
    /// For `auth0.accessToken`; default `https://{domain}/api/v2/`.
    package var managementAudience: String? = nil

    package init() {}
}

extension TenantSettings {
    /// Where tokens come from: as configured, or where Auth0 has it for the domain.
    package var resolvedTokenURL: String? { self.tokenURL ?? self.domain.map { "https://\($0)/oauth/token" } }
    /// What rules may reach without an entry of `egress.allow`: the token endpoint, and the tenant itself.
    package var ownAddresses: [String] {
        [self.resolvedTokenURL, self.domain.map { "https://\($0)" }].compactMap { $0 }
    }
    /// The audience of the Management API token.
    package var resolvedManagementAudience: String? {
        self.managementAudience ?? self.domain.map { "https://\($0)/api/v2/" }
    }
}

/// An entry of `tokens` of the configuration.
package struct TokenProfile: Sendable, Hashable {
    package var audience: String
    package var scope: String?
    package var organization: String?

    package init(audience: String, scope: String? = nil, organization: String? = nil) {
        self.audience = audience
        self.scope = scope
        self.organization = organization
    }
}
