/// What can be away, exceed a pace, or have no room: the far end of a call, as far as its troubles are shared.
///
/// Gateways hide many APIs behind one name, so answers belong to a rule; names and connections belong to all.
package enum Destination: Sendable, Hashable, CustomStringConvertible {
    /// Names, connections, TLS and certificates of a host and port.
    case connection(host: String, port: Int)
    /// Answers and time-outs of a host and port, as one rule sees them.
    case answers(rule: String, host: String, port: Int)
    /// Tokens of one grant: issuer, client, proof of the credential, audience, scope, organization.
    ///
    /// The text tells grants apart and is shown to people, so it must carry no secret.
    case grant(String)

    /// The host; nil of a grant.
    package var host: String? {
        switch self {
        case .connection(let host, _): host
        case .answers(_, let host, _): host
        case .grant: nil
        }
    }

    /// For people: `api.example.com:443 (rule sync-profile)`.
    package var description: String {
        switch self {
        case .connection(let host, let port): Self.place(host, port)
        case .answers(let rule, let host, let port): "\(Self.place(host, port)) (rule \(rule))"
        case .grant(let name): "token \(name)"
        }
    }

    private static func place(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
