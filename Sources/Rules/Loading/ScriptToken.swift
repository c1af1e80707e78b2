/// A piece of JavaScript: comments are gone, and a regular expression is one piece.
struct ScriptToken: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case word
        /// A closed string, or a template without insertions; the text is what it holds.
        case string
        /// The beginning of a template up to its first insertion.
        case openTemplate
        /// What a template holds behind an insertion, up to the next or to its end.
        case restOfTemplate(isOpen: Bool)
        case pattern
        /// One character, or `...`.
        case sign
    }

    var kind: Kind
    var text: String
    /// Both from 1; columns in bytes.
    var line: Int
    var column: Int

    func isSign(_ text: String) -> Bool { self.kind == .sign && self.text == text }
    func isWord(_ text: String) -> Bool { self.kind == .word && self.text == text }
}

/// Cuts JavaScript into tokens, without understanding it: enough to tell code from comments, strings and regular expressions.
struct ScriptScanner {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var lineStart = 0
    private var tokens: [ScriptToken] = []
    private var braces = 0
    /// For each open `${`: the depth of braces at which it closes.
    private var insertions: [Int] = []

    static func tokens(of source: String) -> [ScriptToken] {
        var scanner = ScriptScanner(bytes: Array(source.utf8))
        scanner.scan()
        return scanner.tokens
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func peek(_ offset: Int = 0) -> UInt8 {
        let index = self.position + offset
        return index < self.bytes.count ? self.bytes[index] : 0
    }

    private var isAtEnd: Bool { self.position >= self.bytes.count }

    private mutating func scan() {
        while !self.isAtEnd {
            let byte = self.peek()
            switch byte {
            case UInt8(ascii: "\n"): self.step()
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): self.position += 1
            case UInt8(ascii: "'"), UInt8(ascii: "\""): self.scanString(byte)
            case UInt8(ascii: "`"): self.scanTemplate(isBeginning: true)
            case UInt8(ascii: "}") where self.insertions.last == self.braces - 1:
                self.insertions.removeLast()
                self.braces -= 1
                self.scanTemplate(isBeginning: false)
            case UInt8(ascii: "/") where self.peek(1) == UInt8(ascii: "/"):
                while !self.isAtEnd, self.peek() != UInt8(ascii: "\n") { self.position += 1 }
            case UInt8(ascii: "/") where self.peek(1) == UInt8(ascii: "*"): self.skipComment()
            case UInt8(ascii: "/") where self.beginsPattern: self.scanPattern()
            default: self.scanWordOrSign(byte)
            }
        }
    }

    /// Over one byte, which may end a line.
    private mutating func step() {
        if self.peek() == UInt8(ascii: "\n") {
            self.line += 1
            self.lineStart = self.position + 1
        }
        self.position += 1
    }

    private mutating func append(_ kind: ScriptToken.Kind, _ text: some Sequence<UInt8>, _ line: Int, _ column: Int) {
        let text = String(decoding: Array(text), as: UTF8.self)
        self.tokens.append(ScriptToken(kind: kind, text: text, line: line, column: column))
    }

    private var column: Int { self.position - self.lineStart + 1 }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...:
            true
        default: false
        }
    }

    private mutating func scanWordOrSign(_ byte: UInt8) {
        let (start, column) = (self.position, self.column)
        if Self.isWordByte(byte) {
            while !self.isAtEnd, Self.isWordByte(self.peek()) { self.position += 1 }
            return self.append(.word, self.bytes[start..<self.position], self.line, column)
        }
        if byte == UInt8(ascii: "{") { self.braces += 1 }
        if byte == UInt8(ascii: "}") { self.braces -= 1 }
        let isSpread =
            byte == UInt8(ascii: ".") && self.peek(1) == UInt8(ascii: ".") && self.peek(2) == UInt8(ascii: ".")
        self.position += isSpread ? 3 : 1
        self.append(.sign, self.bytes[start..<self.position], self.line, column)
    }

    private mutating func skipComment() {
        self.position += 2
        while !self.isAtEnd {
            if self.peek() == UInt8(ascii: "*"), self.peek(1) == UInt8(ascii: "/") { break }
            self.step()
        }
        self.position += 2
    }

    /// Words after which a slash begins a regular expression.
    private static let beforePattern: Set = [
        "return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "await", "yield",
        "instanceof",
    ]

    private var beginsPattern: Bool {
        guard let last = self.tokens.last else { return true }
        switch last.kind {
        case .word: return Self.beforePattern.contains(last.text)
        case .sign: return last.text != ")" && last.text != "]"
        case .openTemplate, .restOfTemplate(isOpen: true): return true
        case .string, .restOfTemplate(isOpen: false), .pattern: return false
        }
    }

    /// A regular expression, whose classes may hold quotes and slashes.
    private mutating func scanPattern() {
        let (start, column) = (self.position, self.column)
        self.position += 1
        var isInClass = false
        while !self.isAtEnd, self.peek() != UInt8(ascii: "\n") {
            let byte = self.peek()
            self.position += 1
            switch byte {
            case UInt8(ascii: "\\") where self.peek() != UInt8(ascii: "\n"): self.position += 1
            case UInt8(ascii: "["): isInClass = true
            case UInt8(ascii: "]"): isInClass = false
            case UInt8(ascii: "/") where !isInClass:
                return self.append(.pattern, self.bytes[start..<self.position], self.line, column)
            default: break
            }
        }
        // It does not end: a division after all.
        self.position = start + 1
        self.append(.sign, [UInt8(ascii: "/")], self.line, column)
    }

    private mutating func scanString(_ quote: UInt8) {
        let (line, column) = (self.line, self.column)
        self.position += 1
        var text: [UInt8] = []
        while !self.isAtEnd, self.peek() != UInt8(ascii: "\n") {
            let byte = self.peek()
            if byte == quote {
                self.position += 1
                return self.append(.string, text, line, column)
            }
            self.take(byte, into: &text)
        }
    }

    private mutating func scanTemplate(isBeginning: Bool) {
        let (line, column) = (self.line, self.column)
        self.position += 1
        var text: [UInt8] = []
        while !self.isAtEnd {
            let byte = self.peek()
            if byte == UInt8(ascii: "`") {
                self.position += 1
                return self.append(isBeginning ? .string : .restOfTemplate(isOpen: false), text, line, column)
            }
            if byte == UInt8(ascii: "$"), self.peek(1) == UInt8(ascii: "{") {
                self.insertions.append(self.braces)
                self.braces += 1
                self.position += 2
                return self.append(isBeginning ? .openTemplate : .restOfTemplate(isOpen: true), text, line, column)
            }
            self.take(byte, into: &text)
        }
    }

    /// One byte of a literal, or what stands behind a backslash.
    private mutating func take(_ byte: UInt8, into text: inout [UInt8]) {
        guard byte == UInt8(ascii: "\\") else {
            text.append(byte)
            return self.step()
        }
        self.position += 1
        guard !self.isAtEnd else { return }
        let escaped = self.peek()
        text.append("/'\"`".utf8.contains(escaped) ? escaped : byte)
        self.step()
    }
}
