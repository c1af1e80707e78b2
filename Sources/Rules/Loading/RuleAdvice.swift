import AfterloginEgress

/// What the sources of JavaScript rules give away before they run.
enum RuleAdvice {
    /// Configuration that is missing, hosts that rules may not reach, and cheap guards behind rules that make calls.
    static func notes(
        _ entries: [RuleDirectory.Entry],
        _ configuration: RuleSettings
    ) -> [RuleProblem] {
        var notes = entries.flatMap(\.scripts).flatMap { self.missingKeys($0, configuration) }
        notes += self.refusedHosts(entries, configuration)
        let callers = entries.map { $0.scripts.contains { self.callsOut($0.tokens) } }
        guard let expensive = callers.firstIndex(of: true) else { return notes }
        for (entry, callsOut) in zip(entries, callers).dropFirst(expensive + 1)
        where !callsOut && entry.scripts.contains(where: { self.denies($0.tokens) }) {
            let first = entries[expensive]
            let reason =
                "denies logins without calling anything, behind \(first.name), which makes calls: "
                + "give it an \"order\" below \(first.order), and those calls are saved"
            notes.append(RuleProblem(file: entry.file, reason: reason))
        }
        return notes
    }

    // MARK: Configuration

    /// A key that a rule reads, and where it does so first.
    struct Read: Hashable {
        var name: String
        var line: Int
        var column: Int
    }

    private static func missingKeys(
        _ script: RuleDirectory.Script,
        _ configuration: RuleSettings
    ) -> [RuleProblem] {
        let configured = Set(configuration.configuration.map(\.name))
        return self.configurationReads(script.tokens).filter { !configured.contains($0.name) }.map { read in
            let reason =
                "reads configuration.\(read.name), which the configuration does not set: write it below configuration: "
                + "in \(configuration.file), or set AFTERLOGIN_CONFIGURATION_\(read.name)"
            return RuleProblem(file: script.file, line: read.line, column: read.column, reason: reason)
        }
    }

    /// The names behind `configuration.NAME`, `configuration['NAME']` and `const { NAME } = configuration`, each once.
    static func configurationReads(_ tokens: [ScriptToken]) -> [Read] {
        var objects: Set = ["configuration"]
        var found: [Read] = []
        for index in tokens.indices where tokens[index].kind == .word && objects.contains(tokens[index].text) {
            guard ScriptReference.isFree(tokens, index) else { continue }
            switch ScriptReference(tokens, index) {
            case .member(_, let name):
                found.append(Read(name: name, line: tokens[index].line, column: tokens[index].column))
            case .pattern(let members, _):
                for member in members {
                    let token = tokens[member]
                    found.append(Read(name: token.text, line: token.line, column: token.column))
                }
            case .assigned(let name): objects.insert(name)
            case .declared, .tested, .whole: break
            }
        }
        var names: Set<String> = []
        return found.sorted { ($0.line, $0.column) < ($1.line, $1.column) }.filter { names.insert($0.name).inserted }
    }

    // MARK: Hosts

    /// What rules name, and `egress.allow` does not.
    private static func refusedHosts(
        _ entries: [RuleDirectory.Entry],
        _ configuration: RuleSettings
    ) -> [RuleProblem] {
        let literal = LiteralHost.all(entries, configuration).filter { !$0.isAllowed }.map { host in
            RuleProblem(
                file: host.file,
                line: host.line,
                column: 1,
                reason:
                    "names \(host.origin), which rules may not reach: write \(host.entry) into egress.allow in \(configuration.file)"
            )
        }
        guard let allowList = AllowList.all(configuration) else { return literal }
        let configured = configuration.configuration.compactMap { name, value -> RuleProblem? in
            guard value.hasPrefix("https://") || value.hasPrefix("http://"), !name.uppercased().hasSuffix("AUDIENCE"),
                let address = try? EgressAddress(value), allowList.verdict(address) == .refused
            else { return nil }
            let reason =
                "configuration.\(name) names \(address.entry), which rules may not reach: "
                + "where they call it, write \(address.entry) into egress.allow"
            return RuleProblem(file: configuration.file, reason: reason)
        }
        return literal + configured
    }

    // MARK: Order

    private static let clients: Set = [
        "http", "https", "axios", "request", "request-promise", "node-fetch", "got", "superagent", "auth0",
    ]

    private static func callsOut(_ tokens: [ScriptToken]) -> Bool {
        tokens.indices.contains { index in
            guard index + 1 < tokens.count, tokens[index + 1].isSign("(") else { return false }
            if tokens[index].isWord("fetch") { return index == 0 || !tokens[index - 1].isSign(".") }
            guard tokens[index].isWord("require"), index + 2 < tokens.count, tokens[index + 2].kind == .string else {
                return false
            }
            let name = tokens[index + 2].text
            let plain = name.hasPrefix("node:") ? name.dropFirst(5) : name[...]
            return self.clients.contains(String(plain.prefix { $0 != "@" && $0 != "/" }))
        }
    }

    private static func denies(_ tokens: [ScriptToken]) -> Bool {
        tokens.contains { $0.isWord("UnauthorizedError") }
    }
}
