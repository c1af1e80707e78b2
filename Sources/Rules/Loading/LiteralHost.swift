import AfterloginEgress

/// A host that the source of a rule names in a literal address.
package struct LiteralHost: Sendable, Hashable {
    /// `https://api.example.com`, with its port where it has one of its own.
    package var origin: String
    /// As it would stand in `egress.allow`.
    package var entry: String
    /// Of the rule, and the line of the first use.
    package var file: String
    package var line: Int
    /// Whether `egress.allow` names it, or the tenant's address.
    package var isAllowed: Bool

    /// The hosts of the enabled rules in the configuration's folder, each once, in order.
    package static func all(_ configuration: RuleSettings) -> [LiteralHost] {
        guard let directory = configuration.rules.directory else { return [] }
        return self.all(RuleDirectory(path: directory).entries, configuration)
    }

    static func all(_ entries: [RuleDirectory.Entry], _ configuration: RuleSettings) -> [LiteralHost] {
        guard let allowList = AllowList.all(configuration) else { return [] }
        var found: [LiteralHost] = []
        for script in entries.flatMap(\.scripts) {
            for (url, line) in LiteralAddresses.find(in: script.tokens) {
                guard let address = try? EgressAddress(url) else { continue }
                let origin = "\(address.isSecure ? "https" : "http")://\(address.entry)"
                guard !found.contains(where: { $0.origin == origin }) else { continue }
                let isAllowed = allowList.verdict(address) != .refused
                found.append(
                    LiteralHost(
                        origin: origin,
                        entry: address.entry,
                        file: script.file,
                        line: line,
                        isAllowed: isAllowed
                    )
                )
            }
        }
        return found
    }
}

extension AllowList {
    /// What rules may reach: `egress.allow`, and the tenant's own addresses; nil where an entry is invalid.
    static func all(_ configuration: RuleSettings) -> AllowList? {
        guard var list = try? AllowList(configuration.egress.allow) else { return nil }
        for url in configuration.tenant.ownAddresses {
            if let address = try? EgressAddress(url) { list.allow(address) }
        }
        return list
    }
}

extension EgressAddress {
    /// As it would stand in `egress.allow`.
    var entry: String {
        let host = self.host.contains(":") ? "[\(self.host)]" : self.host
        return self.port == (self.isSecure ? 443 : 80) ? host : self.hostAndPort
    }
}
