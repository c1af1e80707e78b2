import AfterloginDelivery
import AfterloginEgress
import AfterloginObservability
import AfterloginRuleHost
import AfterloginRules

/// One key of the configuration: its path, what it takes, and what it is for.
///
/// The only list of keys there is.
package struct ConfigurationKey: Sendable {
    /// Why a value can't be taken.
    struct Refusal: Error {
        var message: String
    }

    package enum Form: Sendable {
        case text
        case list
        /// Keys below are free.
        case map
    }

    package var path: String
    package var form: Form
    /// What stands in `--help`: the default, or an example where there is none.
    package var example: String
    package var help: String
    let set: @Sendable (inout Configuration, Input) throws(Refusal) -> Void

    /// A value as it was written.
    enum Input: Sendable {
        case text(String)
        case list([String])
        case map([(name: String, value: String)])
    }

    private static func text(
        _ path: String,
        _ example: String,
        _ help: String,
        _ set: @escaping @Sendable (inout Configuration, String) throws(Refusal) -> Void
    ) -> Self {
        Self(path: path, form: .text, example: example, help: help) { (configuration, input) throws(Refusal) in
            guard case .text(let text) = input else { throw Refusal(message: "takes one value") }
            guard !text.isEmpty else { throw Refusal(message: "is empty: give it a value, or leave it out") }
            try set(&configuration, text)
        }
    }

    private static func list(
        _ path: String,
        _ example: String,
        _ help: String,
        _ set: @escaping @Sendable (inout Configuration, [String]) -> Void
    ) -> Self {
        Self(path: path, form: .list, example: example, help: help) { (configuration, input) throws(Refusal) in
            switch input {
            case .list(let items): set(&configuration, items)
            case .text(let text): set(&configuration, Self.items(text))
            case .map: throw Refusal(message: "takes a list: [a, b]")
            }
        }
    }

    private static func map(
        _ path: String,
        _ example: String,
        _ help: String,
        _ set: @escaping @Sendable (inout Configuration, [(name: String, value: String)]) throws(Refusal) -> Void
    ) -> Self {
        Self(path: path, form: .map, example: example, help: help) { (configuration, input) throws(Refusal) in
            guard case .map(let members) = input else {
                throw Refusal(message: "takes names with values: { NAME: VALUE }")
            }
            try set(&configuration, members)
        }
    }

    /// `a, b`, or as in the file: `[a, 'b']`.
    private static func items(_ text: String) -> [String] {
        let text = text.trimmingSpaces()
        let isList = text.hasPrefix("[") && text.hasSuffix("]") && text.count > 1
        // A single IPv6 address is not a list: `[::1]:9092` ends otherwise, `[::1]` holds colons only.
        let isAddress = isList && text.contains("::") && !text.contains(",")
        let inner = isList && !isAddress ? String(text.dropFirst().dropLast()) : text
        return inner.split(separator: ",").map { String($0).trimmingSpaces() }.map { item in
            for quote in ["\"", "'"] where item.count > 1 && item.hasPrefix(quote) && item.hasSuffix(quote) {
                return String(item.dropFirst().dropLast())
            }
            return item
        }.filter { !$0.isEmpty }
    }

    /// How a value of it is written, for people.
    var shape: String {
        switch self.form {
        case .text: "VALUE"
        case .list: "[VALUE, …]"
        case .map: "{ NAME: VALUE }"
        }
    }

    package static let all: [ConfigurationKey] = [
        .list("kafka.brokers", "localhost:9092", "brokers to start from, host:port, separated by commas") {
            $0.kafka.brokers = $1.joined(separator: ",")
        },
        .text("kafka.group", "afterlogin", "consumer group") { $0.kafka.group = $1 },
        .list("kafka.input", "[logins]", "topics with login events") { $0.kafka.input = $1 },
        .text("kafka.delivery", "at-least-once", "at-least-once; transactional is not supported yet") {
            (configuration, text) throws(Refusal) in
            configuration.kafka.delivery = try Self.choice(text)
        },
        .map("kafka.properties", "{}", "any librdkafka property (SASL, TLS, …)") {
            (configuration, members) throws(Refusal) in
            for (name, value) in members { configuration.kafka.properties[name] = value }
        },
        .text("results.updates", "user-updates", "topic of updates and denials") { $0.results.updates = $1 },
        .text("results.failures", "user-update-failures", "topic of failures") { $0.results.failures = $1 },
        .text("results.source", "/afterlogin", "CloudEvents source of results") { $0.results.source = $1 },
        .text("rules.directory", "e.g. rules", "folder of NAME.js and NAME.json") { $0.rules.directory = $1 },
        .text("rules.timeout", "20s", "a rule's whole time, its calls included") {
            (configuration, text) throws(Refusal) in
            configuration.rules.timeout = try Self.duration(text)
        },
        .text("rules.attempts", "8", "of a rule whose call failed while others' got through") {
            (configuration, text) throws(Refusal) in
            configuration.rules.attempts = try Self.integer(text, 1...1_000)
        },
        .text("rules.quiet", "5s", "after its last activity, for late work that shows no sign of an end") {
            (configuration, text) throws(Refusal) in
            configuration.rules.quiet = try Self.duration(text)
        },
        .text("rules.max_age", "24h", "since a login's first attempt, waiting included; then it fails") {
            (configuration, text) throws(Refusal) in
            configuration.rules.maxAge = try Self.duration(text)
        },
        .text("rules.backoff.base", "2s", "between attempts of a rule, doubled each time") {
            (configuration, text) throws(Refusal) in
            configuration.rules.backoff.base = try Self.duration(text)
        },
        .text("rules.backoff.cap", "15s", "longest wait between attempts of a rule") {
            (configuration, text) throws(Refusal) in
            configuration.rules.backoff.cap = try Self.duration(text)
        },
        .text("rules.host.node", "node", "Node 18 or later, a name or a path") { $0.rules.host.node = $1 },
        .text(
            "rules.host.count",
            "\(RuleHostConfiguration.defaultCount)",
            "Node processes; by default one for two processors, 8 at most"
        ) { (configuration, text) throws(Refusal) in
            configuration.rules.host.count = try Self.integer(text, 1...64)
        },
        .text("rules.host.turn", "1s", "longest turn of the event loop") { (configuration, text) throws(Refusal) in
            configuration.rules.host.turn = try Self.duration(text)
        },
        .text("rules.host.memory", "300MB", "resident memory of one process") { (configuration, text) throws(Refusal) in
            configuration.rules.host.memoryBytes = try Self.size(text, atLeast: 96 << 20)
        },
        .text("rules.host.confinement", "auto", "auto, required or off") { (configuration, text) throws(Refusal) in
            configuration.rules.host.confinement = try Self.choice(text)
        },
        .text("tenant.domain", "e.g. example.eu.auth0.com", "auth0.domain in rules") { $0.tenant.domain = $1 },
        .text("tenant.client_id", "e.g. ${RULE_APP_CLIENT_ID}", "the worker's own client") { $0.tenant.clientID = $1 },
        .text("tenant.client_secret", "e.g. ${file:/run/secrets/…}", "its secret") { $0.tenant.clientSecret = $1 },
        .text("tenant.token_url", "https://DOMAIN/oauth/token", "where tokens come from") { $0.tenant.tokenURL = $1 },
        .text("tenant.client_auth", "client_secret_post", "or client_secret_basic, private_key_jwt") {
            (configuration, text) throws(Refusal) in
            configuration.tenant.clientAuth = try Self.choice(text)
        },
        .text("tenant.private_key", "e.g. ${file:…}", "PEM, for private_key_jwt") { $0.tenant.privateKey = $1 },
        .text("tenant.algorithm", "RS256", "RS256, RS384, PS256 or ES256") { (configuration, text) throws(Refusal) in
            guard ["RS256", "RS384", "PS256", "ES256"].contains(text) else {
                throw Refusal(message: "takes RS256, RS384, PS256 or ES256")
            }
            configuration.tenant.algorithm = text
        },
        .text("tenant.token_request", "json", "json or form") { (configuration, text) throws(Refusal) in
            configuration.tenant.tokenRequest = try Self.choice(text)
        },
        .text("tenant.assertion_audience", "token_url, or https://DOMAIN/", "aud of private_key_jwt's assertions") {
            $0.tenant.assertionAudience = $1
        },
        .text("tenant.management_audience", "https://DOMAIN/api/v2/", "audience of auth0.accessToken") {
            $0.tenant.managementAudience = $1
        },
        .map("tokens", "e.g. { api: { audience: … } }", "for native rules: audience, scope, organization by name") {
            (configuration, members) throws(Refusal) in
            try Self.setTokens(&configuration, members)
        },
        .map("configuration", "e.g. { KEY: value }", "configuration.KEY in rules; secret: [KEY] marks secrets") {
            (configuration, members) throws(Refusal) in
            for (name, value) in members {
                configuration.configuration.removeAll { $0.name == name }
                configuration.configuration.append((name, value))
            }
        },
        .list(
            "egress.allow",
            "e.g. [api.example.com]",
            "what rules may reach: host, host:port, *.domain; private:host:port inside"
        ) {
            $0.egress.allow = $1
        },
        .text("egress.ca_file", "e.g. ca.pem", "an extra certificate authority") { $0.egress.caFile = $1 },
        .list("egress.tunnels", "[]", "host:port for other protocols; not supported yet") { $0.egress.tunnels = $1 },
        .text("egress.timeout", "10s", "of one attempt of a call") { (configuration, text) throws(Refusal) in
            configuration.egress.timeout = try Self.duration(text)
        },
        .text("egress.attempts", "3", "inside of one call") { (configuration, text) throws(Refusal) in
            configuration.egress.attempts = try Self.integer(text, 1...100)
        },
        .text("egress.backoff.base", "200ms", "between attempts of a call, doubled each time") {
            (configuration, text) throws(Refusal) in
            configuration.egress.backoff.base = try Self.duration(text)
        },
        .text("egress.backoff.cap", "30s", "longest wait between attempts of a call") {
            (configuration, text) throws(Refusal) in
            configuration.egress.backoff.cap = try Self.duration(text)
        },
        .list("egress.optional", "[]", "hosts whose failures rules are told at once, not waited for") {
            $0.egress.optional = $1
        },
        .text("egress.patience", "15m", "with a failing destination; then rules are told of it") {
            (configuration, text) throws(Refusal) in
            configuration.egress.patience = try Self.duration(text)
        },
        .text("egress.per_host", "256", "calls in flight to one host") { (configuration, text) throws(Refusal) in
            configuration.egress.perHost = try Self.integer(text, 1...100_000)
        },
        .text("egress.max_response", "10MB", "larger responses fail for the rule") {
            (configuration, text) throws(Refusal) in
            configuration.egress.maxResponseBytes = try Self.size(text, atLeast: 1)
        },
        .text("egress.bodies", "128MB", "of all requests and responses in flight; beyond it calls wait") {
            (configuration, text) throws(Refusal) in
            configuration.egress.bodyBytes = try Self.size(text, atLeast: 1 << 20)
        },
        .text("concurrency", "256", "logins whose rules work at a time") { (configuration, text) throws(Refusal) in
            configuration.concurrency = try Self.integer(text, 1...100_000)
        },
        .text("evaluations", "2000", "begun and not ended, those that wait for an answer included") {
            (configuration, text) throws(Refusal) in
            configuration.evaluations = try Self.integer(text, 1...100_000)
        },
        .text("admitted.logins", "10000", "read and not yet finished, waiting ones included") {
            (configuration, text) throws(Refusal) in
            configuration.admitted.logins = try Self.integer(text, 1...10_000_000)
        },
        .text("admitted.bytes", "64MB", "of their records") { (configuration, text) throws(Refusal) in
            configuration.admitted.bytes = try Self.size(text, atLeast: 1 << 10)
        },
        .text("max_uncommitted", "1000", "results that no commit covers yet; as many at most come twice after a crash")
        {
            (configuration, text) throws(Refusal) in
            configuration.maxUncommitted = try Self.integer(text, 1...1_000_000)
        },
        .text("drain", "5s", "on revoke and on stop") { (configuration, text) throws(Refusal) in
            configuration.drain = try Self.duration(text)
        },
        .text("admin.listen", "127.0.0.1:8080", "probes, metrics, status; none: off") {
            (configuration, text) throws(Refusal) in
            configuration.admin.listen = text == "none" ? nil : text
        },
        .list("admin.hosts", "[]", "names it may be asked by, beside addresses and localhost") { $0.admin.hosts = $1 },
        .text("log.level", "info", "debug, info, notice, warning or error") { (configuration, text) throws(Refusal) in
            guard Log.Level(name: text) != nil else {
                throw Refusal(message: "takes debug, info, notice, warning or error")
            }
            configuration.logLevel = text
        },
        .text("log.format", "auto", "auto (text on a terminal, else json), text or json") {
            (configuration, text) throws(Refusal) in
            guard text == "auto" || Log.Format(rawValue: text) != nil else {
                throw Refusal(message: "takes auto, text or json")
            }
            configuration.logFormat = Log.Format(rawValue: text)
        },
    ]

    private static func choice<Value: CaseIterable & RawRepresentable>(_ text: String) throws(Refusal) -> Value
    where Value.RawValue == String {
        guard let value = Value(rawValue: text) else {
            let names = Value.allCases.map(\.rawValue)
            let hint = NearestName.find(text, among: names).map { "; did you mean \($0)?" } ?? ""
            throw Refusal(message: "takes one of \(names.joined(separator: ", "))\(hint)")
        }
        return value
    }

    private static func integer(_ text: String, _ range: ClosedRange<Int>) throws(Refusal) -> Int {
        guard let value = Int(text) else { throw Refusal(message: "takes a whole number") }
        guard range.contains(value) else {
            throw Refusal(message: "takes a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func measured(_ text: String) -> (number: Double, unit: String)? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), number.isFinite, number >= 0 else { return nil }
        return (number, String(text[digits.endIndex...]).trimmingSpaces().lowercased())
    }

    static func duration(_ text: String) throws(Refusal) -> Duration {
        let units: [String: Double] = ["ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400]
        guard let (number, unit) = self.measured(text), let scale = units[unit] else {
            throw Refusal(message: "takes a duration with its unit: 250ms, 20s, 5m, 24h, 7d")
        }
        guard number * scale >= 0.001, number * scale <= 10 * 365 * 86_400 else {
            throw Refusal(message: "takes a duration from 1ms to ten years")
        }
        return .milliseconds(Int64((number * scale * 1_000).rounded()))
    }

    static func size(_ text: String, atLeast least: Int) throws(Refusal) -> Int {
        let units: [String: Double] = [
            "": 1, "b": 1, "kb": 1_024, "kib": 1_024, "mb": 1_048_576, "mib": 1_048_576, "gb": 1_073_741_824,
            "gib": 1_073_741_824,
        ]
        guard let (number, unit) = self.measured(text), let scale = units[unit], number * scale < 1e15 else {
            throw Refusal(message: "takes a size: 500KB, 64MB, 2GB")
        }
        let bytes = Int(number * scale)
        guard bytes >= least else {
            throw Refusal(message: "takes at least \(least >= 1 << 20 ? "\(least >> 20)MB" : "\(least) bytes")")
        }
        return bytes
    }

    /// Members come as `NAME.audience`, `NAME.scope`, `NAME.organization`.
    private static func setTokens(
        _ configuration: inout Configuration,
        _ members: [(name: String, value: String)]
    ) throws(Refusal) {
        for (path, value) in members {
            let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
            guard parts.count == 2, ["audience", "scope", "organization"].contains(parts[1]) else {
                throw Refusal(message: "takes NAME.audience, NAME.scope and NAME.organization, not \(path)")
            }
            var profile = configuration.tokens.first { $0.name == parts[0] }?.profile ?? .init(audience: "")
            switch parts[1] {
            case "audience": profile.audience = value
            case "scope": profile.scope = value
            default: profile.organization = value
            }
            if let index = configuration.tokens.firstIndex(where: { $0.name == parts[0] }) {
                configuration.tokens[index].profile = profile
            } else {
                configuration.tokens.append((parts[0], profile))
            }
        }
    }
}
