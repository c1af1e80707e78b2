import AfterloginHTTPMessages

/// What rules asked the token endpoint for lately: they ask in the same words at every login, and reading those takes longer than the answer.
struct GrantMemory: Sendable {
    /// All of a request that a grant depends on.
    private struct Words: Sendable, Hashable {
        var method: String
        var headers: HTTPFields
        var body: [UInt8]
    }

    /// Of as many rules; a rule that never asks in the same words twice only empties it.
    private static let most = 64
    private static let longestBody = 4 << 10

    private var grants: [Words: TokenGrant] = [:]

    var count: Int { self.grants.count }

    /// As `TokenGrant.init(of:)`.
    mutating func grant(of request: HTTPRequest) -> TokenGrant? {
        guard request.body.count <= Self.longestBody else { return TokenGrant(of: request) }
        let words = Words(method: request.method, headers: request.headers, body: request.body)
        if var grant = self.grants[words] {
            grant.request = request
            return grant
        }
        guard let grant = TokenGrant(of: request) else { return nil }
        if self.grants.count >= Self.most { self.grants.removeAll(keepingCapacity: true) }
        self.grants[words] = grant
        return grant
    }
}
