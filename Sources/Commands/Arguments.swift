import AfterloginObservability

/// The words behind a command: `--name value`, `--name=value`, flags.
struct Arguments: Sendable {
    private var values: [(name: String, value: String)] = []
    private var flags: Set<String> = []
    private let command: String

    var asksForHelp: Bool { self.flags.contains("help") }

    /// Reads the words as the command's options.
    ///
    /// - Throws: For an option that the command does not have, with the nearest that it has.
    init(_ words: [String], of command: any Command.Type) throws(CommandFailure) {
        self.command = command.name
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word != "-h", word != "--help" else {
                self.flags.insert("help")
                continue
            }
            guard word.hasPrefix("--"), word.count > 2 else {
                throw CommandFailure(
                    message: Self.stray(word, command),
                    code: .usage
                )
            }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            guard name != "help" else {
                throw CommandFailure(message: "--help takes no value: write it alone", code: .usage)
            }
            guard let option = command.options.first(where: { $0.name == name }) else {
                let nearest = NearestName.find(name, among: command.options.map(\.name) + ["help"])
                let hint = nearest.map { "did you mean --\($0)?" } ?? "see afterlogin \(command.name) --help"
                throw CommandFailure(message: "there is no option --\(name); \(hint)", code: .usage)
            }
            switch (option.value, parts.count) {
            case (nil, 1): self.flags.insert(name)
            case (nil, _): throw CommandFailure(message: "--\(name) takes no value: write it alone", code: .usage)
            case (.some, 2): self.values.append((name, String(parts[1])))
            case (.some(let what), _):
                guard let value = rest.popFirst() else {
                    throw CommandFailure(message: "--\(name) needs a value: --\(name) \(what)", code: .usage)
                }
                self.values.append((name, value))
            }
        }
    }

    /// A word that belongs to no option.
    private static func stray(_ word: String, _ command: any Command.Type) -> String {
        let takesRules = command.options.contains { $0.name == "set" }
        let hint =
            word.hasSuffix(".yaml") && takesRules
            ? "to read it as the configuration: --config \(word)"
            : takesRules && word.contains("=")
                ? "to set a key: --set \(word)"
                : takesRules && !word.hasPrefix("-")
                    ? "for a folder of rules: --set rules.directory=\(word)" : "see afterlogin \(command.name) --help"
        return "\(word) belongs to no option; \(hint)"
    }

    func has(_ flag: String) -> Bool { self.flags.contains(flag) }
    func value(_ name: String) -> String? { self.values.last { $0.name == name }?.value }
    func values(_ name: String) -> [String] { self.values.filter { $0.name == name }.map(\.value) }

    /// A whole number.
    func integer(_ name: String, _ range: ClosedRange<Int>, default standard: Int) throws(CommandFailure) -> Int {
        guard let text = self.value(name) else { return standard }
        guard let number = Int(text), range.contains(number) else {
            throw CommandFailure(
                message: "--\(name) takes a number from \(range.lowerBound) to \(range.upperBound), not \(text)",
                code: .usage
            )
        }
        return number
    }

    /// `--format`: text for people, or JSON.
    func wantsJSON() throws(CommandFailure) -> Bool {
        switch self.value("format") {
        case nil, "text": return false
        case "json": return true
        case .some(let other): throw CommandFailure(message: "--format takes text or json, not \(other)", code: .usage)
        }
    }

    /// `--set KEY=VALUE`.
    func overrides() throws(CommandFailure) -> [(key: String, value: String)] {
        var overrides: [(key: String, value: String)] = []
        for text in self.values("set") {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw CommandFailure(
                    message: "--set takes KEY=VALUE, as in --set rules.directory=rules, and not \(text)",
                    code: .usage
                )
            }
            overrides.append((String(parts[0]), String(parts[1])))
        }
        return overrides
    }
}
