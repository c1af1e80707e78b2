import Cryptography
import HTTPClient
import JSON

/// A client-credentials grant (RFC 6749, 4.4): who asks, with what, for what.
///
/// Read from a rule's own request, or made from the configuration; equal grants share a token, whoever asks.
struct TokenGrant: Sendable {
    /// What a token is cached by.
    ///
    /// The credential is part of it, so that a wrong secret never gets a right one's token.
    struct Key: Sendable, Hashable {
        var clientID: String
        /// SHA-256.
        var credential: String
        var audience: String
        var scope: String
        var organization: String
        /// Other members of a rule's request, which may mean anything.
        var others: [String]
    }

    var key: Key
    var audience: String { self.key.audience }
    /// A rule's request as it came; nil where the worker makes its own.
    var request: HTTPRequest?

    /// What a rule asks a token endpoint for; nil when it is no client-credentials grant.
    init?(of request: HTTPRequest) {
        guard request.method.uppercased() == "POST", request.body.count <= 64 << 10 else { return nil }
        guard var members = Self.jsonMembers(request.body) ?? Self.formMembers(request.body),
            members.removeValue(forKey: "grant_type") == "client_credentials"
        else { return nil }
        var clientID = members.removeValue(forKey: "client_id") ?? ""
        var credential = ["client_secret", "client_assertion"].compactMap { members.removeValue(forKey: $0) }.joined()
        for field in request.headers where field.name.lowercased() == "authorization" {
            credential += "\0\(field.value)"
            if clientID.isEmpty { clientID = field.value }
        }
        self.key = Key(
            clientID: clientID,
            credential: Digest.sha256Hexadecimal([Array(credential.utf8)]),
            audience: members.removeValue(forKey: "audience") ?? "",
            scope: members.removeValue(forKey: "scope") ?? "",
            organization: members.removeValue(forKey: "organization") ?? "",
            others: members.map { "\($0.key)=\($0.value)" }.sorted()
        )
        self.request = request
    }

    init(_ credentials: TokenCredentials, _ profile: Configuration.TokenProfile) {
        self.key = Key(
            clientID: credentials.clientID,
            credential: credentials.digest,
            audience: profile.audience,
            scope: profile.scope ?? "",
            organization: profile.organization ?? "",
            others: []
        )
    }

    private static func jsonMembers(_ body: [UInt8]) -> [String: String]? {
        guard let text = try? JSONText(validating: body), text.kind == .object else { return nil }
        var members: [String: String] = [:]
        for (name, value) in text.members {
            members[name] = value.string ?? String(decoding: value.bytes, as: UTF8.self)
        }
        return members
    }

    private static func formMembers(_ body: [UInt8]) -> [String: String]? {
        var members: [String: String] = [:]
        for pair in String(decoding: body, as: UTF8.self).split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? EgressAddress.decoded(Array(parts[1].utf8)[...], plusIsSpace: true) : ""
            members[EgressAddress.decoded(Array(parts[0].utf8)[...], plusIsSpace: true)] = value
        }
        return members
    }
}
