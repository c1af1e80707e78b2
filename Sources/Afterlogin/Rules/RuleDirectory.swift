import FoundationEssentials
import JSON

/// JavaScript rules in the layout of Auth0's Deploy CLI: `NAME.js` and `NAME.json` (name, order, enabled, stage) side by side.
package struct RuleDirectory: Sendable {
    package struct Entry: Sendable {
        package var name: String
        package var order: Int
        /// The path of its source, as stack traces name it.
        package var file: String
        package var source: String
        /// Where its order stands.
        package var orderPlace: (file: String, line: Int, column: Int)
    }

    /// Bounds on what is read, per file and in number: far above any real tenant (Auth0 allowed 100 kB of code per tenant).
    static let maxFileBytes = 1 << 20
    static let maxRules = 500

    /// The enabled rules of stage `login_success`, in order.
    package private(set) var entries: [Entry] = []
    package private(set) var problems: [RuleProblem] = []
    /// What is skipped, and why.
    package private(set) var notes: [RuleProblem] = []

    /// Reads a folder; whatever is wrong is in `problems`.
    package init(path: String) {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            self.problems.append(RuleProblem(file: path, reason: "the rules' folder can't be read"))
            return
        }
        let scripts = Set(names.filter { $0.hasSuffix(".js") }.map { String($0.dropLast(3)) })
        let sidecars = Set(names.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) })
        for name in scripts.subtracting(sidecars).sorted() {
            self.notes.append(
                RuleProblem(file: "\(path)/\(name).js", reason: "is no rule: there is no \(name).json beside it")
            )
        }
        for name in scripts.intersection(sidecars).sorted() { self.read(name, in: path) }
        for name in sidecars.subtracting(scripts).sorted() { self.lookAtLoneSidecar("\(path)/\(name).json") }
        self.entries.sort { ($0.order, $0.name) < ($1.order, $1.name) }
        if self.entries.count > Self.maxRules {
            self.problems.append(RuleProblem(file: path, reason: "holds more than \(Self.maxRules) rules"))
        }
    }

    private mutating func read(_ base: String, in path: String) {
        let sidecarFile = "\(path)/\(base).json"
        guard let bytes = self.contents(of: sidecarFile) else { return }
        let sidecar: JSONText
        do {
            sidecar = try JSONText(validating: bytes)
        } catch {
            let (line, column) = SourcePosition.of(offset: error.offset, in: bytes)
            self.problems.append(RuleProblem(file: sidecarFile, line: line, column: column, reason: error.reason))
            return
        }
        guard sidecar.kind == .object else {
            self.problems.append(RuleProblem(file: sidecarFile, line: 1, column: 1, reason: "is no JSON object"))
            return
        }
        let valid = self.check(sidecar, file: sidecarFile)
        if let stage = sidecar["stage"]?.string, stage != "login_success" {
            self.notes.append(RuleProblem(file: sidecarFile, reason: "is skipped: its stage is \(stage)"))
            return
        }
        if sidecar["enabled"]?.kind == .bool, sidecar["enabled"]?.value == .bool(false) {
            self.notes.append(RuleProblem(file: sidecarFile, reason: "is skipped: it is not enabled"))
            return
        }
        let scriptFile = "\(path)/\(base).js"
        guard valid, let scriptBytes = self.contents(of: scriptFile) else { return }
        guard let source = String(validating: scriptBytes, as: UTF8.self) else {
            self.problems.append(RuleProblem(file: scriptFile, reason: "is not UTF-8"))
            return
        }
        guard let member = sidecar["order"], case .number(let number) = member.value, let order = Int(number.text)
        else { return }
        let (line, column) = SourcePosition.of(offset: member.range.lowerBound, in: bytes)
        self.entries.append(
            Entry(
                name: sidecar["name"]?.string ?? base,
                order: order,
                file: scriptFile,
                source: source,
                orderPlace: (sidecarFile, line, column)
            )
        )
    }

    private mutating func check(_ sidecar: JSONText, file: String) -> Bool {
        var reasons: [String] = []
        switch sidecar["order"]?.value {
        case .number(let number)? where Int(number.text) != nil: break
        case nil: reasons.append("\"order\" is missing")
        case .null?, .bool?, .number?, .string?, .array?, .object?: reasons.append("\"order\" must be a whole number")
        }
        if let name = sidecar["name"], name.string?.isEmpty != false {
            reasons.append("\"name\" must be a text that is not empty")
        }
        if let enabled = sidecar["enabled"], enabled.kind != .bool {
            reasons.append("\"enabled\" must be true or false")
        }
        if let stage = sidecar["stage"], stage.kind != .string { reasons.append("\"stage\" must be a text") }
        self.problems += reasons.map { RuleProblem(file: file, line: 1, column: 1, reason: $0) }
        return reasons.isEmpty
    }

    /// A `.json` that looks like a rule but has no script must not be passed over in silence.
    private mutating func lookAtLoneSidecar(_ file: String) {
        guard let bytes = self.contents(of: file), let json = try? JSONText(validating: bytes) else { return }
        guard json["order"] != nil, json["enabled"] != nil || json["stage"] != nil || json["script"] != nil else {
            return
        }
        self.problems.append(RuleProblem(file: file, reason: "its script is missing: no .js of that name beside it"))
    }

    private mutating func contents(of file: String) -> [UInt8]? {
        guard let data = FileManager.default.contents(atPath: file) else {
            self.problems.append(RuleProblem(file: file, reason: "can't be read"))
            return nil
        }
        guard data.count <= Self.maxFileBytes else {
            self.problems.append(RuleProblem(file: file, reason: "is larger than \(Self.maxFileBytes) bytes"))
            return nil
        }
        return [UInt8](data)
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
