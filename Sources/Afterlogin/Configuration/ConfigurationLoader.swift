import AfterloginEgress
import AfterloginObservability
import AfterloginSystem
import AfterloginYAML
import FoundationEssentials

/// Puts the configuration together: flag over environment over file over default; all problems at once.
package struct ConfigurationLoader {
    package static let defaultFile = "afterlogin.yaml"

    private var file: String?
    private let environment: [String: String]
    private let overrides: [(key: String, value: String)]

    private var configuration = Configuration()
    private var problems: [ConfigurationProblem] = []
    private var variables: ConfigurationVariables
    private var notes: [ConfigurationProblem] = []
    /// Where each key was set last.
    private var places: [String: ConfigurationPlace] = [:]
    /// Keys of `configuration` whose values the file calls secret.
    private var marked: [(name: String, place: ConfigurationPlace)] = []
    private var fileBytes: [UInt8] = []

    /// Prepares to load; nil for `file` takes `afterlogin.yaml` of the working directory where there is one.
    package init(file: String?, environment: [String: String], overrides: [(key: String, value: String)]) {
        self.file = file
        self.environment = environment
        self.overrides = overrides
        self.variables = ConfigurationVariables(environment)
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
        self.addMarked()
        let check = ConfigurationCheck(
            self.configuration,
            self.places,
            file: self.file,
            known: self.problems,
            visible: RulesFolderContents(
                file: self.file,
                fileBytes: self.fileBytes,
                secretFiles: self.variables.secretFiles,
                secrets: self.variables.secrets
            )
        )
        if self.file == nil, let note = self.noFile() { self.notes.append(note) }
        // Whatever a message says of a value: the secrets are known by now.
        let redactor = Redactor(secrets: self.variables.secrets)
        self.notes = (self.notes + check.notes).map { $0.redacted(redactor) }
        self.problems = check.problems.map { $0.redacted(redactor) }
        let loaded = LoadedConfiguration(
            configuration: self.configuration,
            secrets: self.variables.secrets,
            file: self.file,
            setKeys: Set(self.places.keys),
            notes: self.notes
        )
        guard self.problems.isEmpty else { throw ConfigurationProblems(problems: self.problems, readable: loaded) }
        return loaded
    }

    /// That no file was found, where one was probably meant.
    private func noFile() -> ConfigurationProblem? {
        let folder = FileManager.default.currentDirectoryPath
        for name in ["afterlogin.yml", "afterlogin.json", "afterlogin.yaml.example"]
        where FileManager.default.fileExists(atPath: name) {
            let message = "is not read: name it \(Self.defaultFile), or give --config \(name)"
            return ConfigurationProblem(place: ConfigurationPlace(name: name), message: message)
        }
        let isGiven =
            !self.overrides.isEmpty
            || self.environment.keys.contains { $0.hasPrefix("AFTERLOGIN_") && !Self.otherVariables.contains($0) }
        guard !isGiven else { return nil }
        let message =
            "no configuration was found: there is no \(Self.defaultFile) in \(folder); give --config FILE, or --set KEY=VALUE"
        return ConfigurationProblem(place: ConfigurationPlace(name: "configuration"), message: message)
    }

    /// The values that `configuration.secret` names, wherever they came from.
    private mutating func addMarked() {
        let members = self.configuration.configuration
        for (name, place) in self.marked {
            if let value = members.first(where: { $0.name == name })?.value {
                self.variables.add(value)
                continue
            }
            let nearest = NearestName.find(name, among: members.map(\.name))
            let hint = nearest.map { "; did you mean \($0)?" } ?? ""
            self.problem(place, "configuration.secret: configuration has no \(name)\(hint)")
        }
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
            return self.problem(
                ConfigurationPlace(name: file),
                "can't be read: \(error); give --config a file that can be"
            )
        }
        self.fileBytes = bytes
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
                "holds no keys: write them as in kafka: { brokers: localhost:9092 }; afterlogin help configuration lists them"
            )
        }
    }

    private mutating func walk(_ members: [(key: YAMLNode, value: YAMLNode)], _ prefix: String, _ file: String) {
        for (key, value) in members {
            let place = ConfigurationPlace(name: file, line: key.line, column: key.column)
            guard case .scalar(let name, _) = key.content else {
                self.problem(place, "a key must be text: write it in quotes")
                continue
            }
            let path = prefix.isEmpty ? name : "\(prefix).\(name)"
            if let known = ConfigurationKey.all.first(where: { $0.path == path }) {
                self.take(known, value, file)
            } else if ConfigurationKey.all.contains(where: { $0.path.hasPrefix("\(path).") }) {
                switch value.content {
                case .mapping(let members): self.walk(members, path, file)
                case .null: break
                case .scalar, .sequence: self.problem(place, Self.section(path))
                }
            } else {
                self.problem(place, Self.unknown(path))
            }
        }
    }

    private static func unknown(_ path: String) -> String {
        let known = ConfigurationKey.all.map(\.path)
        if known.contains(path) { return "\(path) takes names with values: \(path).NAME=VALUE" }
        if known.contains(where: { $0.hasPrefix("\(path).") }) { return self.section(path) }
        let sections = known.flatMap { path in
            path.indices.filter { path[$0] == "." }.map { String(path[..<$0]) }
        }
        let nearest = NearestName.find(path, among: known + sections)
        return
            "there is no key \(path); \(nearest.map { "did you mean \($0)?" } ?? "afterlogin help configuration lists them")"
    }

    private static func section(_ path: String) -> String {
        let below = ConfigurationKey.all.map(\.path).filter { $0.hasPrefix("\(path).") }
        return "\(path) has keys below it, and takes no value: set \(below.prefix(3).joined(separator: ", "))"
            + (below.count > 3 ? ", …" : "")
    }

    private mutating func take(_ key: ConfigurationKey, _ node: YAMLNode, _ file: String) {
        let place = ConfigurationPlace(name: file, line: node.line, column: node.column)
        let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        switch node.content {
        // "key:" with nothing behind it is the default.
        case .null: break
        case .scalar(let text, _):
            if key.form == .map {
                return self.problem(place, "\(key.path) takes names with values: \(key.path): { NAME: VALUE }")
            }
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
                        "\(key.path) takes a list of texts: \(key.shape)"
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
            guard key.form == .map else {
                return self.problem(
                    place,
                    "\(key.path) takes \(key.form == .list ? "a list" : "one value"), and no keys below it: \(key.path): \(key.shape)"
                )
            }
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
                self.problem(place, "a key must be text: write it in quotes")
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
            case .sequence(let names) where key.path == "configuration" && path == "secret":
                for name in names {
                    let place = ConfigurationPlace(name: file, line: name.line, column: name.column)
                    guard case .scalar(let text, _) = name.content else {
                        self.problem(
                            place,
                            "configuration.secret takes the names of keys beside it, as in [API_KEY, SIGNING_KEY]"
                        )
                        continue
                    }
                    self.marked.append((text, place))
                }
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
                self.notes.append(ConfigurationProblem(place: place, message: Self.unknownVariable(rest)))
            }
        }
    }

    /// `name` is without `AFTERLOGIN_`.
    private static func unknownVariable(_ name: String) -> String {
        let map = ConfigurationKey.all.first { $0.form == .map && self.variable($0.path) == name }
        if let map {
            return
                "has no effect: \(map.path) takes names with values, each in a variable of its own, as in AFTERLOGIN_\(name)_NAME"
        }
        let variables = ConfigurationKey.all.map { self.variable($0.path) + ($0.form == .map ? "_NAME" : "") }
        let nearest = NearestName.find(name, among: variables)
        let hint = nearest.map { "did you mean AFTERLOGIN_\($0)?" } ?? "afterlogin help configuration lists the keys"
        return "has no effect, as it is not a key of the configuration; \(hint)"
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

    /// The value with its variables filled in; nil where one can't be had, which is a problem then.
    private mutating func resolved(
        _ text: String,
        _ path: String,
        _ place: ConfigurationPlace,
        _ folder: String
    ) -> String? {
        let value = self.variables.filled(text, of: path, in: folder)
        for objection in value.objections { self.problem(place, "\(path): \(objection)") }
        return value.objections.isEmpty ? value.text : nil
    }
}
