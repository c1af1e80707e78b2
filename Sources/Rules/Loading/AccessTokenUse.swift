/// Whether a rule needs the worker's own Management API token before it starts: `auth0.accessToken` is a plain property.
struct AccessTokenUse: Sendable, Hashable {
    enum Need: Sendable, Hashable {
        /// It reads the token, or hands `auth0` to code that may.
        case token
        /// It writes metadata of a user that may be another than the one who logs in.
        case otherUser
    }

    var need: Need
    /// Where it shows.
    var file: String
    var line: Int
    var column: Int

    /// What needs it most; nil for a rule that takes only `domain`, `baseUrl` and writes to the login's own user.
    ///
    /// `idMayChange`: another rule may have put another id into `user.user_id`, where this one looks for its own user.
    static func find(in scripts: [RuleDirectory.Script], idMayChange: Bool = false) -> AccessTokenUse? {
        var found: AccessTokenUse?
        for script in scripts {
            guard let (need, index) = self.find(in: script.tokens, idMayChange: idMayChange) else { continue }
            let token = script.tokens[index]
            let use = AccessTokenUse(need: need, file: script.file, line: token.line, column: token.column)
            if need == .token { return use }
            found = found ?? use
        }
        return found
    }

    private static let harmless: Set = ["domain", "baseUrl", "users"]

    private static func find(in tokens: [ScriptToken], idMayChange: Bool) -> (need: Need, index: Int)? {
        var other: Int?
        // What a rule declares by that name, a package's client say, is not ours.
        let isDeclared = tokens.indices.contains { index in
            tokens[index].isWord("auth0") && index > 0
                && ["const", "let", "var", "class", "function"].contains(tokens[index - 1].text)
        }
        for index in tokens.indices {
            if Self.isNamedByText(tokens, index) { return (.token, index) }
            guard tokens[index].isWord("auth0"), ScriptReference.isFree(tokens, index) else { continue }
            let isGlobal = index > 0 && tokens[index - 1].isSign(".")
            if isDeclared, !isGlobal { continue }
            switch ScriptReference(tokens, index) {
            case .member(_, "accessToken"), .assigned, .whole: return (.token, index)
            case .member(let member, "users") where self.writesToOther(tokens, member, idMayChange):
                other = other ?? index
            case .member(_, _), .declared, .tested: break
            case .pattern(let names, let takesRest):
                if takesRest || names.contains(where: { !self.harmless.contains(tokens[$0].text) }) {
                    return (.token, index)
                }
            }
        }
        return other.map { (.otherUser, $0) }
    }

    /// `global['auth0']`.
    private static func isNamedByText(_ tokens: [ScriptToken], _ index: Int) -> Bool {
        index > 1 && tokens[index].kind == .string && tokens[index].text == "auth0" && tokens[index - 1].isSign("[")
            && (tokens[index - 2].isWord("global") || tokens[index - 2].isWord("globalThis"))
    }

    // MARK: Whose metadata

    /// `users` stands at `index`.
    private static func writesToOther(_ tokens: [ScriptToken], _ index: Int, _ idMayChange: Bool) -> Bool {
        guard index + 4 < tokens.count, tokens[index + 1].isSign("."), tokens[index + 3].isSign("("),
            ["updateUserMetadata", "updateAppMetadata"].contains(tokens[index + 2].text)
        else { return false }
        if idMayChange { return true }
        let first = tokens[(index + 4)...].prefix { !$0.isSign(",") && !$0.isSign(")") }.map(\.text)
        return !self.own(tokens).contains(first)
    }

    /// The ways in which a rule names the user who logs in.
    private static func own(_ tokens: [ScriptToken]) -> Set<[String]> {
        var own: Set = [["user", ".", "user_id"], ["user", "[", "user_id", "]"], ["user_id"]]
        for index in tokens.indices where tokens[index].text == "user_id" && index > 0 {
            let isMember = index > 3 && tokens[index - 1].isSign(".") && tokens[index - 2].isWord("user")
            if isMember, tokens[index - 3].isSign("="), tokens[index - 4].kind == .word {
                own.insert([tokens[index - 4].text])
            }
            // `{ user_id: id } = user`.
            let isKey = tokens[index - 1].isSign("{") || tokens[index - 1].isSign(",")
            if isKey, index + 2 < tokens.count, tokens[index + 1].isSign(":"), tokens[index + 2].kind == .word {
                own.insert([tokens[index + 2].text])
            }
        }
        return own
    }

    /// Whether it may put another id in the place of the user's: `user.user_id = …`, `user['user_id'] = …`.
    static func changesID(_ scripts: [RuleDirectory.Script]) -> Bool {
        scripts.contains { script in
            let tokens = script.tokens
            return tokens.indices.contains { index in
                guard tokens[index].text == "user_id", index > 0 else { return false }
                let isNamed = tokens[index - 1].isSign(".") && tokens[index].kind == .word
                let isText = tokens[index - 1].isSign("[") && tokens[index].kind == .string
                let next = index + (isText ? 2 : 1)
                guard isNamed || isText, next + 1 < tokens.count else { return false }
                return tokens[next].isSign("=") && !tokens[next + 1].isSign("=")
            }
        }
    }
}
