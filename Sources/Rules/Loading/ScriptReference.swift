/// What JavaScript does with an object that it names, as far as the tokens around the name say.
enum ScriptReference: Hashable {
    /// `object.name`, `object?.name`, `object['name']`; where that name stands.
    case member(Int, name: String)
    /// `{ name, other: alias } = object`; where the names stand, and whether a `...` takes the rest.
    case pattern([Int], takesRest: Bool)
    /// `alias = object`.
    case assigned(String)
    /// `const object`, `object = …`, `{ object: … }`: another thing of that name.
    case declared
    /// `typeof object`, `object &&`, `if (object)`.
    case tested
    /// Anything else: it is handed on.
    case whole

    /// Whether the name at `index` is a variable's, and not that of a member of something; `global.name` is one.
    static func isFree(_ tokens: [ScriptToken], _ index: Int) -> Bool {
        guard index > 0, tokens[index - 1].isSign(".") else { return true }
        let owner = index > 1 ? tokens[tokens[index - 2].isSign("?") && index > 2 ? index - 3 : index - 2] : nil
        return owner?.isWord("global") == true || owner?.isWord("globalThis") == true
    }

    init(_ tokens: [ScriptToken], _ index: Int) {
        func token(_ offset: Int) -> ScriptToken? {
            tokens.indices.contains(index + offset) ? tokens[index + offset] : nil
        }
        func sign(_ offset: Int, _ text: String) -> Bool { token(offset)?.isSign(text) == true }
        let optional = sign(1, "?") && sign(2, ".") ? 1 : 0
        if sign(1 + optional, "."), let name = token(2 + optional), name.kind == .word {
            self = .member(index + 2 + optional, name: name.text)
        } else if sign(1 + optional * 2, "["), let name = token(2 + optional * 2), name.kind == .string {
            self = .member(index + 2 + optional * 2, name: name.text)
        } else if let before = token(-1), ["const", "let", "var", "class", "function", "import"].contains(before.text) {
            self = .declared
        } else if sign(1, ":"), sign(-1, "{") || sign(-1, ",") {
            self = .declared
        } else if sign(1, "="), !sign(2, "=") {
            self = .declared
        } else if Self.isTested(sign, token(-1)) {
            self = .tested
        } else if sign(-1, "="), sign(-2, "}"), let pattern = Self.pattern(tokens, endingAt: index - 2), !sign(1, "[") {
            self = pattern
        } else if sign(-1, "="), let name = token(-2), name.kind == .word, !sign(1, "["), !sign(1, "(") {
            self = .assigned(name.text)
        } else {
            self = .whole
        }
    }

    private static func isTested(_ sign: (Int, String) -> Bool, _ before: ScriptToken?) -> Bool {
        if before?.isWord("typeof") == true || sign(-1, "!") { return true }
        if sign(1, "&"), sign(2, "&") { return true }
        if sign(1, "?"), !sign(2, "."), !sign(2, "?") { return true }
        let comparesAfter = (sign(1, "=") || sign(1, "!")) && sign(2, "=")
        let comparesBefore = sign(-1, "=") && (sign(-2, "=") || sign(-2, "!"))
        return comparesAfter || comparesBefore
    }

    /// The names in the braces that close at `end`.
    private static func pattern(_ tokens: [ScriptToken], endingAt end: Int) -> Self? {
        var depth = 0
        var start = end
        while start >= 0 {
            if tokens[start].isSign("}") { depth += 1 }
            if tokens[start].isSign("{") { depth -= 1 }
            if depth == 0 { break }
            start -= 1
        }
        guard start >= 0 else { return nil }
        var names: [Int] = []
        var takesRest = false
        depth = 0
        for index in start..<end {
            let token = tokens[index]
            if token.isSign("{") || token.isSign("[") || token.isSign("(") { depth += 1 }
            if token.isSign("}") || token.isSign("]") || token.isSign(")") { depth -= 1 }
            guard depth == 1, token.isSign("{") || token.isSign(","), index + 1 < end else { continue }
            let name = tokens[index + 1]
            if name.isSign("...") || name.isSign("[") { takesRest = true }
            if name.kind == .word || name.kind == .string { names.append(index + 1) }
        }
        return .pattern(names, takesRest: takesRest)
    }
}
