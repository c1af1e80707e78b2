/// Where an error came from, as a person looks for it: the first line of its stack that is in the rules' own files.
enum StackPlace {
    /// `FILE:LINE:COLUMN`, the file from the rules' folder on; nil where no line is of theirs.
    ///
    /// Packages below the folder are passed over: the rule's line that called them says more.
    static func first(in stack: String, below directory: String) -> String? {
        let folder = directory.hasSuffix("/") ? directory : directory + "/"
        for line in stack.split(separator: "\n").dropFirst().prefix(50) {
            guard let start = line.firstRange(of: folder) else { continue }
            let place = line[start.upperBound...].prefix { $0 != ")" }
            guard !place.contains("node_modules/"), Self.endsWithPlace(place) else { continue }
            return String(place)
        }
        return nil
    }

    /// `:12:7`; what a rule gives as its stack may be anything.
    private static func endsWithPlace(_ text: Substring) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 3, text.utf8.count <= 300 else { return false }
        return parts.suffix(2).allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    }
}
