/// The http and https addresses in the string literals of JavaScript, as far as their hosts are written out.
///
/// Property names (`idToken['https://shop.example/plan']`, `{ 'https://…': 1 }`) are names of claims, and not addresses;
/// neither are audiences and namespaces, by the names of what holds them.
enum LiteralAddresses {
    static func find(in tokens: [ScriptToken]) -> [(url: String, line: Int)] {
        tokens.indices.compactMap { index in
            let token = tokens[index]
            guard token.kind == .string || token.kind == .openTemplate else { return nil }
            guard let url = self.address(token), !self.isIdentifier(tokens, index) else { return nil }
            return (url, token.line)
        }
    }

    /// Where an insertion follows, it may go on with the host.
    private static func address(_ token: ScriptToken) -> String? {
        guard let match = token.text.firstMatch(of: /^https?:\/\/[^\/?#\s'"<>\\]+/) else { return nil }
        guard token.kind == .string || match.range.upperBound < token.text.endIndex else { return nil }
        return String(match.output)
    }

    private static func isIdentifier(_ tokens: [ScriptToken], _ index: Int) -> Bool {
        let before = index > 0 ? tokens[index - 1] : nil
        let after = index + 1 < tokens.count ? tokens[index + 1] : nil
        if before?.isSign("[") == true, after?.isSign("]") == true { return self.isMember(tokens, index - 1) }
        if after?.isSign(":") == true, before?.isSign("{") == true || before?.isSign(",") == true { return true }
        // `audience: '…'`, `const namespace = '…'`.
        guard index > 1, before?.isSign(":") == true || before?.isSign("=") == true else { return false }
        let holder = tokens[index - 2]
        guard holder.kind == .word || holder.kind == .string else { return false }
        let name = holder.text.lowercased()
        return name == "ns" || name.hasSuffix("audience") || name.hasSuffix("namespace")
    }

    /// Whether a bracket opens a property's name, and not a list.
    private static func isMember(_ tokens: [ScriptToken], _ bracket: Int) -> Bool {
        guard bracket > 0 else { return false }
        let before = tokens[bracket - 1]
        return before.kind == .word || before.isSign(")") || before.isSign("]") || before.isSign(".")
            || before.isSign("{") || before.isSign(",")
    }
}
