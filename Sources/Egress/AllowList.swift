package import AfterloginHTTPMessages

/// Which hosts and ports rules may reach: `egress.allow`.
///
/// `host` and `*.domain` mean the default ports, `host:port` that one. A name may lead to a private address only where its entry says so,
/// `private:host:port`: who answers for a name decides where it leads, and may lead it inside at any time. A numeric address says so itself,
/// and `localhost` is none of the network's names.
package struct AllowList: Sendable {
    package enum Verdict: Sendable, Hashable {
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
    /// - Throws: `HTTPFailure` for an invalid entry.
    package init(_ entries: [String]) throws(HTTPFailure) {
        for text in entries { self.insert(try Self.entry(text)) }
    }

    /// What the configuration names elsewhere, as the token endpoint, is allowed without being listed.
    ///
    /// Where it is to lead to a private address it needs an entry as any other name.
    package mutating func allow(_ address: EgressAddress) {
        self.insert(
            Entry(
                host: address.host,
                port: address.port,
                isWildcard: false,
                allowsSpecial: Self.namesItsAddress(address.host)
            )
        )
    }

    private mutating func insert(_ entry: Entry) {
        if entry.isWildcard { self.wildcards.append(entry) } else { self.exact[entry.host, default: []].append(entry) }
    }

    /// What stands in front of an entry whose name may lead to a private address.
    private static let privateMark = "private:"

    /// An entry without its mark: `host`, `host:port`, `*.domain`.
    package static func place(of entry: String) -> String {
        // A host of that name, with its port.
        let isHost = entry.utf8.dropFirst(self.privateMark.utf8.count).allSatisfy { (0x30...0x39).contains($0) }
        return entry.hasPrefix(self.privateMark) && !isHost ? String(entry.dropFirst(self.privateMark.count)) : entry
    }

    /// The entry with its mark, where it has none and its name is of the kind that networks give to their inside; else nil.
    package static func privateSpelling(of entry: String) -> String? {
        guard self.place(of: entry) == entry, let read = try? self.entry(entry), !read.allowsSpecial else { return nil }
        let inside = [
            ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".localhost", ".corp", ".svc", ".consul",
        ]
        guard !read.host.contains(".") || inside.contains(where: read.host.hasSuffix) else { return nil }
        return self.privateMark + entry
    }

    private static func entry(_ text: String) throws(HTTPFailure) -> Entry {
        let place = self.place(of: text)
        let isWildcard = place.hasPrefix("*.")
        let (host, port) = try EgressAddress.split(Array(place.utf8).dropFirst(isWildcard ? 2 : 0))
        return Entry(
            host: host,
            port: port,
            isWildcard: isWildcard,
            allowsSpecial: place != text || (!isWildcard && self.namesItsAddress(host))
        )
    }

    /// What is allowed, as rule hosts are told of it: nothing but names and ports.
    package var places: [String] {
        let entries = self.wildcards + self.exact.values.joined()
        return Set(entries.map { "\($0.isWildcard ? "*." : "")\($0.host):\($0.port ?? 0)" }).sorted()
    }

    private static func namesItsAddress(_ host: String) -> Bool {
        host.contains(":") || host == "localhost" || host.utf8.allSatisfy { $0 == 0x2E || (0x30...0x39).contains($0) }
    }

    package func verdict(_ address: EgressAddress) -> Verdict {
        let candidates =
            (self.exact[address.host] ?? [])
            + self.wildcards.filter { address.host.hasSuffix(".\($0.host)") }
        let matching = candidates.filter { ($0.port ?? (address.isSecure ? 443 : 80)) == address.port }
        guard !matching.isEmpty else { return .refused }
        return .allowed(special: matching.contains(where: \.allowsSpecial))
    }
}
