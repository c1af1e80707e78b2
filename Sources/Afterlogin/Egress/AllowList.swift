package import HTTPClient

/// Which hosts and ports rules may reach: `egress.allow`.
///
/// `host` and `*.domain` mean the default ports; `host:port` means that port, and allows that host also where its address is a private one, as does a numeric address.
package struct AllowList: Sendable {
    enum Verdict: Sendable, Hashable {
        case refused
        case allowed(special: Bool)
    }

    private struct Entry: Sendable, Hashable {
        var host: String
        /// nil: 80 for http, 443 for https.
        var port: Int?
        var isWildcard: Bool
        var allowsSpecial: Bool
    }

    private var exact: [String: [Entry]] = [:]
    private var wildcards: [Entry] = []

    /// Takes entries of the configuration.
    ///
    /// - Throws: `HTTPFailure` for an entry that is none.
    package init(_ entries: [String]) throws(HTTPFailure) {
        for text in entries { self.insert(try Self.entry(text)) }
    }

    /// What the configuration names elsewhere, as the token endpoint, is allowed without being listed.
    mutating func allow(_ address: EgressAddress) {
        self.insert(Entry(host: address.host, port: address.port, isWildcard: false, allowsSpecial: true))
    }

    private mutating func insert(_ entry: Entry) {
        if entry.isWildcard { self.wildcards.append(entry) } else { self.exact[entry.host, default: []].append(entry) }
    }

    private static func entry(_ text: String) throws(HTTPFailure) -> Entry {
        let isWildcard = text.hasPrefix("*.")
        let (host, port) = try EgressAddress.split(Array(text.utf8).dropFirst(isWildcard ? 2 : 0))
        let isNumeric = host.contains(":") || host.utf8.allSatisfy { $0 == 0x2E || (0x30...0x39).contains($0) }
        return Entry(
            host: host,
            port: port,
            isWildcard: isWildcard,
            allowsSpecial: !isWildcard && (port != nil || isNumeric || host == "localhost")
        )
    }

    func verdict(_ address: EgressAddress) -> Verdict {
        let candidates =
            (self.exact[address.host] ?? [])
            + self.wildcards.filter { address.host.hasSuffix(".\($0.host)") }
        let matching = candidates.filter { ($0.port ?? (address.isSecure ? 443 : 80)) == address.port }
        guard !matching.isEmpty else { return .refused }
        return .allowed(special: matching.contains(where: \.allowsSpecial))
    }
}
