import AfterloginJSON
import AfterloginSystem
import Glibc

/// What a folder holds beside rules, or in their place, and what to do about it.
struct FolderSurvey {
    let path: String
    let contents: FolderContents
    /// Scripts of rules, and those that they require.
    let used: Set<String>
    let nextOrder: Int

    /// Scripts that nothing speaks of.
    private var loose: [String] { self.contents.names(".js").filter { !self.used.contains("\($0).js") } }

    private var sidecar: String { #"{"order": \#(self.nextOrder), "enabled": true}"# }

    // MARK: Beside rules

    func notes(hasRules: Bool) -> [RuleProblem] {
        var notes = self.loose.map { name in
            let reason =
                "is not run: beside it there is no \(name).json; where it is a rule, write one: \(self.sidecar)"
            return RuleProblem(file: "\(self.path)/\(name).js", reason: reason)
        }
        for ending in [".ts", ".mjs", ".cjs"] {
            notes += self.contents.names(ending).filter { !$0.hasSuffix(".d") }.map { name in
                RuleProblem(file: "\(self.path)/\(name)\(ending)", reason: Self.foreign(ending, name))
            }
        }
        guard hasRules else { return notes }
        for (folder, files) in self.contents.folders.sorted(by: { $0.key < $1.key }) {
            let count = FolderContents.rules(files)
            guard count > 0 else { continue }
            let reason =
                "holds \(Self.count(count, "rule")), which are not read: rules stand in one folder; move them up"
            notes.append(RuleProblem(file: "\(self.path)/\(folder)", reason: reason))
        }
        return notes
    }

    private static func foreign(_ ending: String, _ name: String) -> String {
        switch ending {
        case ".ts":
            "is TypeScript, which is not run: compile it to \(name).js (tsc --module commonjs), and write \(name).json beside that"
        case ".mjs":
            "is an ES module, which is not run: write it as \(name).js, one function (user, context, callback) with require"
        default: "is not run: name it \(name).js, and write \(name).json beside it"
        }
    }

    // MARK: In place of rules

    /// What was found where no rule is to run, and what to do.
    func emptiness(skipped: Int) -> String {
        if let folder = self.folderWithRules {
            return "the rules stand one folder deeper: set rules.directory to \(self.path)/\(folder)"
        }
        if let (file, names) = self.exportedList { return Self.list(file, names) }
        if let file = self.exportedYAML { return Self.yaml(file) }
        if self.contents.folders["actions"] != nil || self.contents.folders["triggers"] != nil {
            return "this is an export without rules; Actions run in Auth0 itself"
        }
        if skipped > 0 {
            return
                "\(Self.count(skipped, "rule")) in it \(skipped == 1 ? "is" : "are") skipped, see the notes: to run one, write "
                + "\"enabled\": true and \"stage\": \"login_success\" into its .json"
        }
        let loose = self.loose
        if let first = loose.first {
            return
                "\(Self.count(loose.count, "script")), and no .json beside \(loose.count == 1 ? "it" : "any of them"): "
                + "write \(first).json beside \(first).js: \(self.sidecar), and so for each that is a rule"
        }
        let foreign = [".ts", ".mjs", ".cjs"].flatMap { ending in self.contents.names(ending).map { $0 + ending } }
        if !foreign.isEmpty { return "\(foreign.joined(separator: ", ")): rules are NAME.js, see the notes" }
        if self.contents.files.isEmpty, self.contents.folders.isEmpty {
            return "the folder is empty: a rule is NAME.js, and NAME.json beside it: \(self.sidecar)"
        }
        return "nothing in it is a rule: that is NAME.js, and NAME.json beside it: \(self.sidecar)"
    }

    private var folderWithRules: String? {
        let found = self.contents.folders.filter {
            FolderContents.rules($0.value) > 0 || $0.key == "rules" && !$0.value.isEmpty
        }
        return found.keys.contains("rules")
            ? "rules" : found.max { ($0.value.count, $1.key) < ($1.value.count, $0.key) }?.key
    }

    /// An array of rules as the Management API gives it, and the names in it.
    private var exportedList: (file: String, names: [String])? {
        for name in self.contents.names(".json") {
            if let names = Self.names(inListAt: "\(self.path)/\(name).json") { return ("\(name).json", names) }
        }
        return nil
    }

    private static func names(inListAt file: String) -> [String]? {
        guard let bytes = try? SmallFile.read(file), let list = try? JSONText(validating: bytes), list.kind == .array
        else { return nil }
        let rules = list.elements.filter { $0["script"]?.string != nil }
        return rules.isEmpty ? nil : rules.map { $0["name"]?.string ?? "NAME" }
    }

    private static func list(_ file: String, _ names: [String]) -> String {
        let shown = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", …" : "")
        let first = names.first ?? "NAME"
        return
            "\(file) is the Management API's list of \(Self.count(names.count, "rule")) (\(shown)): write each \"script\" to a file "
            + "of its own, and the rest beside it: \"\(first).js\", and \"\(first).json\" with \"order\", \"enabled\" and \"stage\""
    }

    private var exportedYAML: String? {
        let files = self.contents.files.filter { $0.hasSuffix(".yaml") || $0.hasSuffix(".yml") }.sorted()
        return files.first { Self.isExport("\(self.path)/\($0)") }
    }

    private static func isExport(_ file: String) -> Bool {
        guard let bytes = try? SmallFile.read(file) else { return false }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").contains { $0.hasPrefix("rules:") }
    }

    private static func yaml(_ file: String) -> String {
        "\(file) is a YAML export of the Deploy CLI: export with --format directory, and set rules.directory to the folder "
            + "rules of that"
    }

    // MARK: No folder

    /// What to do where there is no folder to read.
    static func unreadable(_ path: String, _ error: FolderContents.Unreadable) -> String {
        switch error.number {
        case ENOENT:
            return "there is no such folder: correct rules.directory, which is relative to the configuration file, "
                + "or with --set and in the environment to the working directory"
        case ENOTDIR:
            if let names = self.names(inListAt: path) {
                let file = path.split(separator: "/").last.map(String.init) ?? path
                return "is a file, and rules.directory a folder: " + self.list(file, names)
            }
            if path.hasSuffix(".yaml") || path.hasSuffix(".yml"), self.isExport(path) { return self.yaml(path) }
            let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
            return "is a file: set rules.directory to the folder that holds it, \(folder.isEmpty ? "." : folder)"
        default:
            return "the folder can't be read: \(error.reason); let the worker's user read it"
        }
    }

    private static func count(_ number: Int, _ noun: String) -> String {
        number == 1 ? "1 \(noun)" : "\(number) \(noun)s"
    }
}
