import AfterloginObservability
import Glibc

/// What of the configuration lies where rules can read it: a rule host may read the whole folder of its rules.
struct RulesFolderContents {
    /// The configuration, or nil.
    let file: String?
    let fileBytes: [UInt8]
    /// The files that values came from by `${file:…}`.
    let secretFiles: [String]
    let secrets: [String]

    /// What must not be there, and what may but is worth knowing.
    func remarks(in directory: String) -> (problems: [String], notes: [String]) {
        let folder = Self.resolved(directory)
        var problems: [String] = []
        var notes: [String] = []
        func lies(_ path: String) -> Bool { Self.resolved(path).hasPrefix(folder == "/" ? "/" : "\(folder)/") }
        for path in self.secretFiles where lies(path) {
            problems.append("rules.directory: rules can read \(path), a secret; move it out of their folder")
        }
        if let file = self.file, lies(file) {
            let remedy = "give the rules a folder of their own"
            // Shorter ones are in any text.
            let secrets = self.secrets.filter { $0.utf8.count >= SecretIndex.prefixBytes }
            if secrets.contains(where: { self.fileBytes.contains(sequence: Array($0.utf8)) }) {
                problems.append("rules.directory: rules can read \(file), and the secrets in it; \(remedy)")
            } else {
                notes.append("rules can read \(Self.name(of: file)), which lies in their folder; \(remedy)")
            }
        }
        return (problems, notes)
    }

    /// Without symbolic links, where it exists.
    private static func resolved(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static func name(of path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }
}

extension [UInt8] {
    fileprivate func contains(sequence: [UInt8]) -> Bool { self.firstRange(of: sequence) != nil }
}
