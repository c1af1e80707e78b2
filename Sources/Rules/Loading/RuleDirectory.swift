import AfterloginJSON
import AfterloginSystem

/// JavaScript rules in the layout of Auth0's Deploy CLI: `NAME.js` and `NAME.json` (name, order, enabled, stage) side by side.
package struct RuleDirectory: Sendable {
    /// A file of JavaScript.
    package struct Script: Sendable, Hashable {
        /// Its path, as stack traces name it.
        package let file: String
        package let source: String
        /// Many questions are asked of them.
        let tokens: [ScriptToken]

        init(file: String, source: String) {
            self.file = file
            self.source = source
            self.tokens = ScriptScanner.tokens(of: source)
        }
    }

    package struct Entry: Sendable {
        package var name: String
        package var order: Int
        package var script: Script
        /// The files of the folder that it requires, directly or by another.
        package var helpers: [Script]
        /// Where its order stands.
        package var orderPlace: (file: String, line: Int, column: Int)

        package var file: String { self.script.file }
        package var source: String { self.script.source }
        /// All that is the rule's own code.
        var scripts: [Script] { [self.script] + self.helpers }
    }

    /// Far above any real tenant (Auth0 allowed 100 kB of code per tenant).
    static let maxRules = 500

    /// The enabled rules of stage `login_success`, in order.
    package private(set) var entries: [Entry] = []
    /// Rules whose sidecar is wrong; their code is looked at all the same.
    package private(set) var unplaced: [Entry] = []
    package private(set) var problems: [RuleProblem] = []
    /// What is skipped, and why.
    package private(set) var notes: [RuleProblem] = []

    private let path: String
    private let contents: FolderContents
    /// Scripts that are a rule's, or a helper of one.
    private var used: Set<String> = []

    /// Reads a folder; whatever is wrong is in `problems`.
    package init(path: String) {
        self.path = path
        do {
            self.contents = try FolderContents(path)
        } catch {
            self.contents = FolderContents()
            self.problems.append(RuleProblem(file: path, reason: FolderSurvey.unreadable(path, error)))
            return
        }
        for name in self.contents.names(".json") { self.readSidecar(name) }
        self.entries.sort { ($0.order, $0.name) < ($1.order, $1.name) }
        if self.entries.count > Self.maxRules {
            let reason = "holds \(self.entries.count) rules: a chain has \(Self.maxRules) at most; disable some"
            self.problems.append(RuleProblem(file: path, reason: reason))
        }
        let survey = FolderSurvey(path: path, contents: self.contents, used: self.used, nextOrder: self.nextOrder)
        self.notes += survey.notes(hasRules: !self.entries.isEmpty)
        // A folder without a rule is a problem where there is no native rule either: who loads the chain knows that.
        if self.entries.isEmpty { self.emptiness = survey.emptiness(skipped: self.skipped) }
    }

    /// What was found instead of rules, and what to do; nil where there is a rule.
    private(set) var emptiness: String?
    private var skipped = 0

    private var nextOrder: Int { (self.entries.map(\.order).max() ?? 0) + 10 }

    // MARK: A rule

    private mutating func readSidecar(_ base: String) {
        let hasScript = self.contents.has("\(base).js")
        guard let bytes = self.bytes(of: "\(base).json", isNeeded: hasScript) else { return }
        let sidecar: RuleSidecar
        do {
            sidecar = try RuleSidecar(bytes, file: "\(self.path)/\(base).json", base: base)
        } catch {
            // `package.json` and the like are somebody else's.
            if hasScript {
                self.used.insert("\(base).js")
                self.problems.append(error)
            }
            return
        }
        guard hasScript || sidecar.looksLikeRule else { return }
        let (script, objection) = sidecar.script(in: self.contents)
        self.used.insert(script)
        if let reason = sidecar.isSkipped {
            self.skipped += 1
            self.notes.append(RuleProblem(file: sidecar.file, reason: reason))
            // What else is wrong with it, hurts nobody.
            return
        }
        self.problems += sidecar.problems
        if let objection { return self.problems.append(sidecar.problem("script", objection)) }
        guard let source = self.source(of: script) else { return }
        let own = Script(file: "\(self.path)/\(script)", source: source)
        self.problems += DeployKeyword.problems(own)
        let entry = Entry(
            name: sidecar.name,
            order: sidecar.order ?? 0,
            script: own,
            helpers: self.helpers(of: own),
            orderPlace: sidecar.place("order")
        )
        if sidecar.problems.isEmpty { self.entries.append(entry) } else { self.unplaced.append(entry) }
    }

    /// The files of the folder that a script requires by a path, directly or by another.
    private mutating func helpers(of script: Script) -> [Script] {
        var helpers: [Script] = []
        var open = [script]
        while let next = open.popLast(), helpers.count < 100 {
            let folder = next.file.dropFirst(self.path.count + 1).split(separator: "/").dropLast().map(String.init)
            for required in Self.requiredPaths(next.tokens) {
                guard let name = self.contents.script(required, from: folder) else { continue }
                let file = "\(self.path)/\(name)"
                self.used.insert(name)
                guard file != script.file, !helpers.contains(where: { $0.file == file }),
                    let bytes = try? SmallFile.read(file), let source = String(validating: bytes, as: UTF8.self)
                else { continue }
                let helper = Script(file: file, source: source)
                helpers.append(helper)
                open.append(helper)
            }
        }
        return helpers
    }

    private static func requiredPaths(_ tokens: [ScriptToken]) -> [String] {
        tokens.indices.compactMap { index in
            guard index > 1, tokens[index].kind == .string, tokens[index].text.hasPrefix("."),
                tokens[index - 1].isSign("("), tokens[index - 2].isWord("require")
            else { return nil }
            return tokens[index].text
        }
    }

    // MARK: Files

    private mutating func source(of name: String) -> String? {
        guard let bytes = self.bytes(of: name, isNeeded: true) else { return nil }
        guard let source = String(validating: bytes, as: UTF8.self) else {
            let reason = "is not UTF-8: save it in that encoding"
            self.problems.append(RuleProblem(file: "\(self.path)/\(name)", reason: reason))
            return nil
        }
        return source
    }

    private mutating func bytes(of name: String, isNeeded: Bool) -> [UInt8]? {
        do {
            return try SmallFile.read("\(self.path)/\(name)")
        } catch {
            if isNeeded {
                let reason = "can't be read: \(error); rules are files that the worker's user may read"
                self.problems.append(RuleProblem(file: "\(self.path)/\(name)", reason: reason))
            }
            return nil
        }
    }
}

/// Lines and columns, both from 1, columns in bytes.
enum SourcePosition {
    static func of(offset: Int, in bytes: [UInt8]) -> (line: Int, column: Int) {
        let before = bytes.prefix(offset)
        let line = before.count { $0 == UInt8(ascii: "\n") } + 1
        let column = before.count - (before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0) + 1
        return (line, column)
    }
}
