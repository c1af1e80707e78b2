import AfterloginJSON
import AfterloginObservability

/// The `NAME.json` beside a rule.
struct RuleSidecar {
    let file: String
    private let base: String
    private let bytes: [UInt8]
    private let json: JSONText
    private(set) var problems: [RuleProblem] = []

    private static let keys = ["order", "enabled", "stage", "name", "script", "id"]
    private static let stages = ["login_success", "login_failure", "pre_authorize", "user_registration"]

    /// Reads it.
    ///
    /// - Throws: What is wrong where it is not a JSON object.
    init(_ bytes: [UInt8], file: String, base: String) throws(RuleProblem) {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let bytes = bytes.starts(with: mark) ? Array(bytes.dropFirst(mark.count)) : bytes
        do {
            self.json = try JSONText(validating: bytes)
        } catch {
            let (line, column) = SourcePosition.of(offset: error.offset, in: bytes)
            if let keyword = DeployKeyword.first(in: String(decoding: bytes, as: UTF8.self)) {
                let reason = "\(keyword.text) \(DeployKeyword.what): write the value in its place"
                throw RuleProblem(file: file, line: keyword.line, column: keyword.column, reason: reason)
            }
            let reason = "is not JSON: \(error.reason); a sidecar reads \(Self.example)"
            throw RuleProblem(file: file, line: line, column: column, reason: reason)
        }
        (self.file, self.base, self.bytes) = (file, base, bytes)
        guard self.json.kind == .object else {
            let reason = "is not a JSON object: a sidecar describes one rule, as in \(Self.example)"
            throw RuleProblem(file: file, line: 1, column: 1, reason: reason)
        }
        self.check()
    }

    static let example = #"{"order": 10, "enabled": true}"#

    /// A `.json` that looks like a rule without a script must not be passed over in silence.
    var looksLikeRule: Bool {
        self.json["order"] != nil
            && (self.json["enabled"] != nil || self.json["stage"] != nil || self.json["script"] != nil)
    }

    var name: String { self.json["name"]?.string ?? self.base }

    var order: Int? {
        guard case .number(let number)? = self.json["order"]?.value else { return nil }
        return Int(number.text)
    }

    /// Why it is passed over; nil where it is to run.
    var isSkipped: String? {
        if let stage = self.json["stage"]?.string, stage != "login_success", Self.stages.contains(stage) {
            return "is skipped: its stage is \(stage), and rules run at \"stage\": \"login_success\""
        }
        return self.json["enabled"]?.value == .bool(false) ? "is skipped: it says \"enabled\": false" : nil
    }

    /// Where the value of a key stands; the beginning of the file where it is missing.
    func place(_ key: String) -> (file: String, line: Int, column: Int) {
        guard let member = self.json[key] else { return (self.file, 1, 1) }
        let (line, column) = SourcePosition.of(offset: member.range.lowerBound, in: self.bytes)
        return (self.file, line, column)
    }

    func problem(_ key: String, _ reason: String) -> RuleProblem {
        let place = self.place(key)
        return RuleProblem(file: place.file, line: place.line, column: place.column, reason: reason)
    }

    private mutating func check() {
        var found: [(key: String, reason: String)] = []
        switch self.json["order"]?.value {
        case .number(let number)? where Int(number.text) != nil: break
        case nil:
            found.append(("order", "\"order\" is missing: write \"order\": 10; rules run in ascending order"))
        case .string(let text)? where Int(text) != nil:
            found.append(("order", "\"order\" must be a whole number: write \"order\": \(text), without quotes"))
        case .null?, .bool?, .number?, .string?, .array?, .object?:
            found.append(("order", "\"order\" must be a whole number: write \"order\": 10"))
        }
        if let name = self.json["name"], name.string?.isEmpty != false {
            found.append(("name", "\"name\" must be a text that is not empty: write \"name\": \"\(self.base)\""))
        }
        if let enabled = self.json["enabled"], enabled.kind != .bool {
            found.append(("enabled", "\"enabled\" must be true or false, without quotes"))
        }
        if let stage = self.json["stage"], stage.string.map(Self.stages.contains) != true {
            found.append(("stage", "\"stage\" must be one of Auth0's: write \"stage\": \"login_success\""))
        }
        for (key, _) in self.json.members where !Self.keys.contains(key) {
            guard let nearest = NearestName.find(key.lowercased(), among: Self.keys) else { continue }
            found.append((key, "there is no \"\(key)\" of a rule: write \"\(nearest)\""))
        }
        self.problems = found.map { self.problem($0.key, $0.reason) }
    }

    // MARK: Its script

    /// The file that holds the rule, below the rules' folder; and what is wrong with it.
    func script(in folder: FolderContents) -> (name: String, objection: String?) {
        let own = "\(self.base).js"
        guard let member = self.json["script"] else {
            let objection =
                folder.has(own)
                ? nil
                : "its script is missing: write the rule to \(own) beside it, or name its file: \"script\": \"./FILE.js\""
            return (own, objection)
        }
        guard let text = member.string, !text.isEmpty else {
            return (own, "\"script\" must be the name of a file: write \"script\": \"./\(own)\"")
        }
        guard !text.contains("\n"), !text.contains("=>"), !text.contains("function") || text.hasSuffix(".js") else {
            return (own, "\"script\" holds the rule itself: write that to \(own), and \"script\": \"./\(own)\"")
        }
        var parts: [Substring] = []
        for part in text.split(separator: "/") where part != "." {
            if part == "..", parts.last.map({ $0 != ".." }) == true {
                parts.removeLast()
                continue
            }
            parts.append(part)
        }
        guard !text.hasPrefix("/"), parts.first != "..", let name = parts.last else {
            return (
                own,
                "its script \(text) leads out of the rules' folder: rules read nothing else; move it into the folder"
            )
        }
        // The Deploy CLI writes paths from the folder above (`rules/NAME.js`) too.
        let candidates = [parts.joined(separator: "/"), String(name)]
        if let found = candidates.first(where: folder.has) { return (found, nil) }
        let hint =
            folder.has(own) ? "write \"script\": \"./\(own)\", which is there" : "put it there, or correct the name"
        return (own, "its script is missing: there is no \(text) in the rules' folder; \(hint)")
    }
}

/// `##KEY##` and `@@KEY@@`: what the Deploy CLI replaces when it deploys, and nobody does here.
struct DeployKeyword {
    var text: String
    var line: Int
    var column: Int

    var reason: String {
        let name = self.text.dropFirst(2).dropLast(2)
        return "\(self.text) \(Self.what): write the value in its place, "
            + "or configuration.\(name), and the value below configuration:"
    }

    static let what = "is a keyword of Auth0's Deploy CLI that was not replaced"

    /// The first one in a text.
    static func first(in text: String) -> DeployKeyword? {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            guard let match = line.firstMatch(of: /##[A-Z][A-Z0-9_]*##|@@[A-Z][A-Z0-9_]*@@/) else { continue }
            let column = line.utf8.distance(from: line.startIndex, to: match.range.lowerBound) + 1
            return DeployKeyword(text: String(match.output), line: index + 1, column: column)
        }
        return nil
    }

    /// Those in the code of a rule, each once; comments may say what they like.
    static func problems(_ script: RuleDirectory.Script) -> [RuleProblem] {
        guard self.first(in: script.source) != nil else { return [] }
        let tokens = script.tokens
        var names: Set<String> = []
        return tokens.indices.compactMap { index in
            let token = tokens[index]
            let text: String?
            switch token.kind {
            case .string, .openTemplate, .restOfTemplate: text = self.first(in: token.text)?.text
            case .word:
                let around = tokens[max(0, index - 2)..<min(tokens.count, index + 3)].map(\.text).joined()
                text = self.first(in: around)?.text
            case .pattern, .sign: text = nil
            }
            guard let text, names.insert(text).inserted else { return nil }
            let keyword = DeployKeyword(text: text, line: token.line, column: token.column)
            return RuleProblem(file: script.file, line: token.line, column: token.column, reason: keyword.reason)
        }
    }
}
