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
    package static func all(_ configuration: Configuration) -> [LiteralHost] {
        guard let directory = configuration.rules.directory else { return [] }
        guard var allowList = try? AllowList(configuration.egress.allow) else { return [] }
        if let url = configuration.tenant.resolvedTokenURL, let address = try? EgressAddress(url) {
            allowList.allow(address)
        }
        if let domain = configuration.tenant.domain, let address = try? EgressAddress("https://\(domain)") {
            allowList.allow(address)
        }
        var found: [LiteralHost] = []
        for entry in RuleDirectory(path: directory).entries {
            for (url, line) in LiteralAddresses.find(in: entry.source) {
                guard let address = try? EgressAddress(url) else { continue }
                let isDefaultPort = address.port == (address.isSecure ? 443 : 80)
                let host = address.host.contains(":") ? "[\(address.host)]" : address.host
                let name = isDefaultPort ? host : address.hostAndPort
                let origin = "\(address.isSecure ? "https" : "http")://\(name)"
                guard !found.contains(where: { $0.origin == origin }) else { continue }
                let isAllowed = allowList.verdict(address) != .refused
                found.append(
                    LiteralHost(origin: origin, entry: name, file: entry.file, line: line, isAllowed: isAllowed)
                )
            }
        }
        return found
    }
}
