import FoundationEssentials
import HTTPClient
import Kafka
import YAML

/// Puts the configuration together: flag over environment over file over default; all problems at once.
package struct ConfigurationLoader {
    package static let defaultFile = "afterlogin.yaml"

    private var file: String?
    private var environment: [String: String]
    private var overrides: [(key: String, value: String)]

    private var configuration = Configuration()
    private var problems: [ConfigurationProblem] = []
    private var secrets: [String] = []
    private var notes: [ConfigurationProblem] = []
    /// Where each key was set last.
    private var places: [String: ConfigurationPlace] = [:]

    /// Prepares to load; nil for `file` takes `afterlogin.yaml` of the working directory where there is one.
    package init(file: String?, environment: [String: String], overrides: [(key: String, value: String)]) {
        self.file = file
        self.environment = environment
        self.overrides = overrides
    }

    /// Reads and checks everything.
    ///
    /// - Returns: The configuration, with its secrets apart.
    /// - Throws: All that is wrong, with file, line and column, or the name of the variable or flag.
    package consuming func load() throws(ConfigurationProblems) -> LoadedConfiguration {
        if self.file == nil, FileManager.default.fileExists(atPath: Self.defaultFile) { self.file = Self.defaultFile }
        if let file { self.read(file) }
        self.readEnvironment()
        for (key, value) in self.overrides { self.set(key, value, place: ConfigurationPlace(name: "--set \(key)")) }
        self.check()
        guard self.problems.isEmpty else { throw ConfigurationProblems(problems: self.problems) }
        return LoadedConfiguration(
            configuration: self.configuration,
            secrets: self.secrets,
            file: self.file,
            notes: self.notes
        )
    }

    private mutating func problem(_ place: ConfigurationPlace, _ message: String) {
        self.problems.append(ConfigurationProblem(place: place, message: message))
    }

    // MARK: The file

    private mutating func read(_ file: String) {
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(file)
        } catch {
            return self.problem(ConfigurationPlace(name: file), "can't be read: \(error)")
        }
        let root: YAMLNode
        do {
            root = try YAMLNode.parse(bytes)
        } catch {
            return self.problem(ConfigurationPlace(name: file, line: error.line, column: error.column), error.message)
        }
        switch root.content {
        case .null: return
        case .mapping(let members): self.walk(members, "", file)
        case .scalar, .sequence:
            self.problem(
                ConfigurationPlace(name: file, line: root.line, column: root.column),
                "the configuration is no mapping of keys"
            )
        }
    }

    private mutating func walk(_ members: [(key: YAMLNode, value: YAMLNode)], _ prefix: String, _ file: String) {
        for (key, value) in members {
            let place = ConfigurationPlace(name: file, line: key.line, column: key.column)
            guard case .scalar(let name, _) = key.content else {
                self.problem(place, "a key is text")
                continue
            }
            let path = prefix.isEmpty ? name : "\(prefix).\(name)"
            if let known = ConfigurationKey.all.first(where: { $0.path == path }) {
                self.take(known, value, file)
            } else if ConfigurationKey.all.contains(where: { $0.path.hasPrefix("\(path).") }) {
                switch value.content {
                case .mapping(let members): self.walk(members, path, file)
                case .null: break
                case .scalar, .sequence: self.problem(place, "\(path) has keys below it, and takes no value")
                }
            } else {
                self.problem(place, Self.unknown(path))
            }
        }
    }

    private static func unknown(_ path: String) -> String {
        let known = ConfigurationKey.all.map(\.path)
        if known.contains(path) { return "\(path) takes names with values: \(path).NAME=VALUE" }
        if known.contains(where: { $0.hasPrefix("\(path).") }) {
            return "\(path) has keys below it, and takes no value"
        }
        let sections = known.flatMap { path in
            path.indices.filter { path[$0] == "." }.map { String(path[..<$0]) }
        }
        let nearest = NearestName.find(path, among: known + sections)
        return "there is no key \(path)\(nearest.map { "; did you mean \($0)?" } ?? "")"
    }

    private mutating func take(_ key: ConfigurationKey, _ node: YAMLNode, _ file: String) {
        let place = ConfigurationPlace(name: file, line: node.line, column: node.column)
        let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        switch node.content {
        // "key:" with nothing behind it is the default.
        case .null: break
        case .scalar(let text, _):
            if key.form == .map { return self.problem(place, "\(key.path) takes names with values") }
            if var text = self.resolved(text, key.path, place, folder) {
                if Self.pathKeys.contains(key.path), !text.hasPrefix("/"), !folder.isEmpty {
                    text = "\(folder)/\(text)"
                }
                self.apply(key, .text(text), place)
            }
        case .sequence(let items):
            guard key.form == .list else { return self.problem(place, "\(key.path) takes one value, not a list") }
            let texts = items.compactMap { item -> String? in
                guard case .scalar(let text, _) = item.content else {
                    self.problem(
                        ConfigurationPlace(name: file, line: item.line, column: item.column),
                        "\(key.path) is a list of text"
                    )
                    return nil
                }
                return self.resolved(
                    text,
                    key.path,
                    ConfigurationPlace(name: file, line: item.line, column: item.column),
                    folder
                )
            }
            self.apply(key, .list(texts), place)
        case .mapping(let members):
            guard key.form == .map else { return self.problem(place, "\(key.path) takes no keys below it") }
            self.takeMap(key, members, "", file, folder)
        }
    }

    private mutating func takeMap(
        _ key: ConfigurationKey,
        _ members: [(key: YAMLNode, value: YAMLNode)],
        _ prefix: String,
        _ file: String,
        _ folder: String
    ) {
        for (name, value) in members {
            let place = ConfigurationPlace(name: file, line: name.line, column: name.column)
            guard case .scalar(let text, _) = name.content else {
                self.problem(place, "a key is text")
                continue
            }
            let path = prefix + text
            switch value.content {
            case .scalar(let value, _):
                if let value = self.resolved(value, "\(key.path).\(path)", place, folder) {
                    self.apply(key, .map([(path, value)]), place)
                }
            case .mapping(let inner) where key.path == "tokens" && prefix.isEmpty:
                self.takeMap(key, inner, "\(path).", file, folder)
            case .null, .sequence, .mapping: self.problem(place, "\(key.path).\(path) takes one value")
            }
        }
    }

    /// Relative to the file that names them.
    private static let pathKeys: Set = ["rules.directory", "egress.ca_file"]

    // MARK: Environment and flags

    private mutating func readEnvironment() {
        let prefix = "AFTERLOGIN_"
        for (name, value) in self.environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix(prefix) {
            let rest = String(name.dropFirst(prefix.count))
            let place = ConfigurationPlace(name: name)
            if let key = ConfigurationKey.all.first(where: { Self.variable($0.path) == rest && $0.form != .map }) {
                if let value = self.resolved(value, key.path, place, "") { self.apply(key, .text(value), place) }
            } else if let key = ConfigurationKey.all.first(where: {
                $0.form == .map && rest.hasPrefix("\(Self.variable($0.path))_")
            }) {
                let tail = String(rest.dropFirst(Self.variable(key.path).count + 1))
                let member =
                    key.path == "configuration"
                    ? tail : tail.lowercased().replacing("_", with: ".")
                if let value = self.resolved(value, "\(key.path).\(member)", place, "") {
                    self.apply(key, .map([(member, value)]), place)
                }
            } else if !Self.otherVariables.contains(name) {
                let nearest = NearestName.find(rest, among: ConfigurationKey.all.map { Self.variable($0.path) })
                let hint = nearest.map { "; did you mean \(prefix)\($0)?" } ?? ""
                self.notes.append(
                    ConfigurationProblem(place: place, message: "this variable is no key of the configuration\(hint)")
                )
            }
        }
    }

    /// Ours, and no keys: where `bench` and the tests find packages and executables.
    private static let otherVariables: Set = ["AFTERLOGIN_NPM", "AFTERLOGIN_EXECUTABLES"]

    private static func variable(_ path: String) -> String { path.uppercased().replacing(".", with: "_") }

    private mutating func set(_ path: String, _ value: String, place: ConfigurationPlace) {
        let path = path.trimmingSpaces()
        if let key = ConfigurationKey.all.first(where: { $0.path == path && $0.form != .map }) {
            if let value = self.resolved(value, path, place, "") { self.apply(key, .text(value), place) }
        } else if let key = ConfigurationKey.all.first(where: { $0.form == .map && path.hasPrefix("\($0.path).") }) {
            let name = String(path.dropFirst(key.path.count + 1))
            if let value = self.resolved(value, path, place, "") { self.apply(key, .map([(name, value)]), place) }
        } else {
            self.problem(place, Self.unknown(path))
        }
    }

    private mutating func apply(_ key: ConfigurationKey, _ input: ConfigurationKey.Input, _ place: ConfigurationPlace) {
        self.places[key.path] = place
        if case .map(let members) = input {
            for member in members { self.places["\(key.path).\(member.name)"] = place }
        }
        do throws(ConfigurationKey.Refusal) {
            try key.set(&self.configuration, input)
        } catch {
            self.problem(place, "\(key.path) \(error.message)")
        }
    }

    // MARK: ${…}

    /// `${NAME}` and `${file:PATH}` replaced, `$${` made `${`; nil where one can't be had, which is a problem then.
    private mutating func resolved(
        _ text: String,
        _ path: String,
        _ place: ConfigurationPlace,
        _ folder: String
    ) -> String? {
        var output = ""
        var rest = text[...]
        var isWhole = true
        while let start = rest.firstRange(of: "${") {
            output += rest[..<start.lowerBound]
            if rest[..<start.lowerBound].last == "$" {
                output.removeLast()
                output += "${"
                rest = rest[start.upperBound...]
                continue
            }
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                self.problem(place, "\(path): ${ without }")
                return nil
            }
            let name = String(rest[start.upperBound..<end])
            if let value = self.value(of: name, path, place, folder) { output += value } else { isWhole = false }
            rest = rest[rest.index(after: end)...]
        }
        output += rest
        self.note(output, path)
        return isWhole ? output : nil
    }

    private mutating func value(
        of name: String,
        _ path: String,
        _ place: ConfigurationPlace,
        _ folder: String
    ) -> String? {
        guard name.hasPrefix("file:") else {
            guard let value = self.environment[name] else {
                self.problem(place, "\(path): the environment has no \(name)")
                return nil
            }
            if Self.isSecretName(name) { self.secrets.append(value) }
            return value
        }
        let given = String(name.dropFirst("file:".count))
        let file = given.hasPrefix("/") || folder.isEmpty ? given : "\(folder)/\(given)"
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(file)
        } catch {
            self.problem(place, "\(path): the file \(file) can't be read: \(error)")
            return nil
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            self.problem(place, "\(path): the file \(file) is not UTF-8")
            return nil
        }
        // Editors and `echo` put a line feed at the end.
        var value = Substring(text)
        while let last = value.last, last.isNewline { value.removeLast() }
        self.secrets.append(String(value))
        return String(value)
    }

    private mutating func note(_ value: String, _ path: String) {
        if Self.isSecretName(path) { self.secrets.append(value) }
    }

    private static func isSecretName(_ name: String) -> Bool {
        let name = name.lowercased()
        // A client's id is public, and its assertion's method is a name.
        guard !name.hasSuffix("client_id"), !name.hasPrefix("tokens."), name != "tenant.token_url",
            name != "tenant.token_request"
        else { return false }
        return ["secret", "password", "passwd", "token", "apikey", "credential", "sasl.jaas", "key.pem"]
            .contains { name.contains($0) } || name.hasSuffix("_key")
    }

    // MARK: What goes together

    private mutating func check() {
        let configuration = self.configuration
        if configuration.kafka.delivery == .transactional {
            self.problem(self.place("kafka.delivery"), "kafka.delivery: transactional is not supported yet")
        }
        for (name, value) in configuration.kafka.properties.sorted(by: { $0.key < $1.key }) {
            if let objection = KafkaProperties.objection(to: name, value) {
                self.problem(self.place("kafka.properties.\(name)"), "kafka.properties: \(objection)")
            }
        }
        if configuration.kafka.brokers.isEmpty { self.problem(self.place("kafka.brokers"), "kafka.brokers is empty") }
        if configuration.kafka.input.isEmpty { self.problem(self.place("kafka.input"), "kafka.input names no topic") }
        for topic in configuration.kafka.input + [configuration.results.updates, configuration.results.failures]
        where !Self.isTopic(topic) {
            self.problem(self.place("kafka.input"), "\(topic) can't be the name of a topic")
        }
        if configuration.kafka.input.contains(configuration.results.updates)
            || configuration.kafka.input.contains(configuration.results.failures)
            || configuration.results.updates == configuration.results.failures
        {
            self.problem(
                self.place("results.updates"),
                "input, results.updates and results.failures are different topics"
            )
        }
        for (path, backoff) in [("rules", configuration.rules.backoff), ("egress", configuration.egress.backoff)]
        where backoff.base > backoff.cap {
            self.problem(
                self.place("\(path).backoff.base"),
                "\(path).backoff.base is longer than \(path).backoff.cap"
            )
        }
        if !configuration.egress.tunnels.isEmpty {
            self.problem(self.place("egress.tunnels"), "egress.tunnels: tunnels are not supported yet")
        }
        for (name, profile) in configuration.tokens where profile.audience.isEmpty {
            self.problem(self.place("tokens"), "tokens.\(name) has no audience")
        }
        for host in configuration.egress.allow {
            do {
                _ = try AllowList([host])
            } catch {
                self.problem(self.place("egress.allow"), "egress.allow: \(host): \(error.message)")
            }
        }
        for (path, url) in [
            ("tenant.token_url", configuration.tenant.tokenURL),
            ("tenant.domain", configuration.tenant.domain.map { "https://\($0)" }),
        ] {
            guard let url else { continue }
            guard path != "tenant.domain" || !url.dropFirst("https://".count).contains("/") else {
                self.problem(self.place(path), "tenant.domain takes a host name, without https:// and without a path")
                continue
            }
            do {
                _ = try EgressAddress(url)
            } catch {
                self.problem(self.place(path), "\(path): \(error.message)")
            }
        }
        self.checkTenant()
        if let listen = configuration.admin.listen, (try? EgressAddress.split(Array(listen.utf8)[...]))?.port == nil {
            self.problem(self.place("admin.listen"), "admin.listen takes an address with its port: 127.0.0.1:8080")
        }
    }

    private mutating func checkTenant() {
        let tenant = self.configuration.tenant
        guard tenant.clientID != nil else {
            if !self.configuration.tokens.isEmpty { self.problem(self.place("tokens"), "tokens need tenant.client_id") }
            return
        }
        if tenant.resolvedTokenURL == nil {
            self.problem(self.place("tenant.client_id"), "tenant.client_id needs tenant.domain or tenant.token_url")
        }
        switch tenant.clientAuth {
        case .clientSecretPost, .clientSecretBasic:
            if tenant.clientSecret == nil,
                !self.problems.contains(where: { $0.message.contains("tenant.client_secret") })
            {
                self.problem(self.place("tenant.client_id"), "tenant.client_secret is missing")
            }
        case .privateKeyJWT:
            if tenant.privateKey == nil, !self.problems.contains(where: { $0.message.contains("tenant.private_key") }) {
                self.problem(
                    self.place("tenant.client_auth"),
                    "tenant.private_key is missing, which private_key_jwt needs"
                )
            }
        }
    }

    private func place(_ path: String) -> ConfigurationPlace {
        self.places[path] ?? ConfigurationPlace(name: self.file ?? "configuration")
    }

    /// Kafka's own rule.
    private static func isTopic(_ name: String) -> Bool {
        (1...249).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D
                    || $0 == 0x2E
                    || $0 == 0x5F
            }
    }
}
