import AfterloginCryptography
import AfterloginHTTPMessages
import AfterloginJSON

/// A client-credentials grant (RFC 6749, 4.4): who asks, with what, for what.
///
/// Read from a rule's own request, or made from the configuration; equal grants share a token, whoever asks.
struct TokenGrant: Sendable {
    /// What a token is cached by.
    ///
    /// The credential is part of it, so that a wrong secret never gets a right one's token.
    struct Key: Sendable, Hashable {
        var clientID: String
        var credential: Credential
        var audience: String
        var scope: String
        var organization: String
        /// Other members of a rule's request, which may mean anything.
        var others: [String]
    }

    /// How who asks proves to be the client.
    enum Credential: Sendable, Hashable {
        /// SHA-256 of the secrets that were shown, each with its place: the same for whoever shows the same.
        case shown(String)
        /// The worker's private key, which signs anew each time: nothing that a rule could show stands for it.
        case workersKey

        /// Of what was shown, and where: `client_secret`, `client_assertion`, `authorization`.
        static func shown(_ secrets: [(place: String, secret: String)]) -> Credential {
            // The lengths keep what two members say apart from what one says.
            .shown(
                Digest.sha256Hexadecimal(
                    secrets.map { Array("\($0.place) \($0.secret.utf8.count) \($0.secret)".utf8) }
                )
            )
        }
    }

    var key: Key
    var audience: String { self.key.audience }
    /// A rule's request as it came; nil where the worker makes its own.
    var request: HTTPRequest?

    /// What a rule asks a token endpoint for; nil when it is no client-credentials grant, or names something twice.
    ///
    /// (Which of the two counts is the server's choice, and what comes back could be kept under the name of something else.)
    init?(of request: HTTPRequest) {
        guard request.method.uppercased() == "POST", request.body.count <= 64 << 10 else { return nil }
        let asked = Self.jsonMembers(request.body) ?? Self.formMembers(request.body)
        var members = Dictionary(asked) { first, _ in first }
        guard members.count == asked.count, members.removeValue(forKey: "grant_type") == "client_credentials" else {
            return nil
        }
        var clientID = members.removeValue(forKey: "client_id") ?? ""
        var shown: [(place: String, secret: String)] = []
        for place in ["client_secret", "client_assertion"] {
            if let secret = members.removeValue(forKey: place) { shown.append((place, secret)) }
        }
        for field in request.headers where field.isNamed("authorization") {
            shown.append(("authorization", field.value))
            if clientID.isEmpty { clientID = field.value }
        }
        self.key = Key(
            clientID: clientID,
            credential: .shown(shown),
            audience: members.removeValue(forKey: "audience") ?? "",
            scope: members.removeValue(forKey: "scope") ?? "",
            organization: members.removeValue(forKey: "organization") ?? "",
            others: members.map { "\($0.key)=\($0.value)" }.sorted()
        )
        self.request = request
    }

    init(_ credentials: TokenCredentials, _ profile: TokenProfile) {
        self.key = Key(
            clientID: credentials.clientID,
            credential: credentials.credential,
            audience: profile.audience,
            scope: profile.scope ?? "",
            organization: profile.organization ?? "",
            others: []
        )
    }

    /// The request as a form (RFC 6749, 4.4.2), for an endpoint that reads nothing else; as it is where it was no object of plain values.
    func inForm(_ request: HTTPRequest) -> HTTPRequest {
        guard let text = try? JSONText(validating: request.body), text.kind == .object,
            text.members.allSatisfy({ $0.value.kind != .object && $0.value.kind != .array })
        else { return request }
        var request = request
        request.headers["Content-Type"] = "application/x-www-form-urlencoded"
        request.body = TokenCredentials.form((Self.jsonMembers(request.body) ?? []).map { ($0.0, $0.1) })
        return request
    }

    /// In their order, with what comes twice.
    private static func jsonMembers(_ body: [UInt8]) -> [(String, String)]? {
        guard let text = try? JSONText(validating: body), text.kind == .object else { return nil }
        return text.everyMember.map { name, value in
            (name, value.string ?? String(decoding: value.bytes, as: UTF8.self))
        }
    }

    private static func formMembers(_ body: [UInt8]) -> [(String, String)] {
        String(decoding: body, as: UTF8.self).split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? EgressAddress.decoded(Array(parts[1].utf8)[...], plusIsSpace: true) : ""
            return (EgressAddress.decoded(Array(parts[0].utf8)[...], plusIsSpace: true), value)
        }
    }
}
