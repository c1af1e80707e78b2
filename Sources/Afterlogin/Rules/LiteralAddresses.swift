/// The http and https addresses in the string literals of JavaScript, as far as their hosts are written out.
///
/// A scanner of a page, no parser: it knows comments, strings, templates and, by what stands before them, regular
/// expressions. Property names (`idToken['https://shop.example/plan']`, `{ 'https://…': 1 }`) are names of claims, and no
/// addresses; neither are audiences and namespaces, by the names of what holds them.
struct LiteralAddresses {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    /// The last byte that was neither blank nor comment.
    private var last: UInt8 = 0
    private var found: [(url: String, line: Int)] = []

    static func find(in source: String) -> [(url: String, line: Int)] {
        var scanner = LiteralAddresses(bytes: Array(source.utf8))
        scanner.scan()
        return scanner.found
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func peek(_ offset: Int = 0) -> UInt8 {
        let index = self.position + offset
        return index < self.bytes.count ? self.bytes[index] : 0
    }

    private mutating func scan() {
        while self.position < self.bytes.count {
            let byte = self.peek()
            switch byte {
            case UInt8(ascii: "\n"):
                self.line += 1
                self.position += 1
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): self.position += 1
            case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"): self.scanString(byte)
            case UInt8(ascii: "/") where self.peek(1) == UInt8(ascii: "/"):
                while self.position < self.bytes.count, self.peek() != UInt8(ascii: "\n") { self.position += 1 }
            case UInt8(ascii: "/") where self.peek(1) == UInt8(ascii: "*"): self.skipComment()
            case UInt8(ascii: "/") where "(,=:[!&|?{};\n\0".utf8.contains(self.last): self.skipPattern()
            default:
                self.last = byte
                self.position += 1
            }
        }
    }

    private mutating func skipComment() {
        self.position += 2
        while self.position < self.bytes.count {
            if self.peek() == UInt8(ascii: "*"), self.peek(1) == UInt8(ascii: "/") { break }
            if self.peek() == UInt8(ascii: "\n") { self.line += 1 }
            self.position += 1
        }
        self.position += 2
    }

    /// A regular expression, whose classes may hold quotes and slashes.
    private mutating func skipPattern() {
        self.position += 1
        var isInClass = false
        while self.position < self.bytes.count, self.peek() != UInt8(ascii: "\n") {
            switch self.peek() {
            case UInt8(ascii: "\\"): self.position += 1
            case UInt8(ascii: "["): isInClass = true
            case UInt8(ascii: "]"): isInClass = false
            case UInt8(ascii: "/") where !isInClass:
                self.position += 1
                self.last = UInt8(ascii: "/")
                return
            default: break
            }
            self.position += 1
        }
    }

    private mutating func scanString(_ quote: UInt8) {
        let (before, firstLine) = (self.last, self.line)
        let isIdentifier = self.isHeldAsIdentifier
        let isTemplate = quote == UInt8(ascii: "`")
        self.position += 1
        var text: [UInt8] = []
        var end = quote
        while self.position < self.bytes.count {
            let byte = self.peek()
            if byte == quote { break }
            if byte == UInt8(ascii: "\n") {
                self.line += 1
                // A string that is not closed is none.
                if !isTemplate { break }
            }
            if isTemplate, byte == UInt8(ascii: "$"), self.peek(1) == UInt8(ascii: "{") {
                if !isIdentifier { self.take(text, endsOpen: true, firstLine) }
                text = []
                end = 0
                self.skipInsertion()
                continue
            }
            if byte == UInt8(ascii: "\\") {
                self.position += 1
                text.append(self.peek() == UInt8(ascii: "/") ? self.peek() : UInt8(ascii: "\\"))
            } else {
                text.append(byte)
            }
            self.position += 1
        }
        self.position += 1
        self.last = quote
        // Behind an insertion stands no beginning of an address, unless it is a whole one.
        guard end == quote, !isIdentifier, !self.isName(before) else { return }
        self.take(text, endsOpen: false, firstLine)
    }

    /// What stands in a template's `${…}`, with strings of its own.
    private mutating func skipInsertion() {
        self.position += 2
        var depth = 1
        while self.position < self.bytes.count {
            let byte = self.peek()
            switch byte {
            case UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: "\n"): self.line += 1
            case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"):
                self.scanString(byte)
                continue
            default: break
            }
            self.position += 1
            if depth == 0 { return }
        }
    }

    /// `audience: '…'`, `const namespace = '…'`.
    private var isHeldAsIdentifier: Bool {
        let before = String(decoding: self.bytes[max(0, self.position - 40)..<self.position], as: UTF8.self)
        return before.firstMatch(of: /(?i)(audience|namespace|\bns)['"]?\s*[:=]\s*$/) != nil
    }

    /// Whether the literal that ends here is a property's name.
    private func isName(_ before: UInt8) -> Bool {
        var index = self.position
        while index < self.bytes.count, self.bytes[index] == 0x20 || self.bytes[index] == 0x09 { index += 1 }
        let after = index < self.bytes.count ? self.bytes[index] : 0
        if before == UInt8(ascii: "["), after == UInt8(ascii: "]") { return true }
        return after == UInt8(ascii: ":") && (before == UInt8(ascii: "{") || before == UInt8(ascii: ","))
    }

    /// `endsOpen`: an insertion follows, which may go on with the host.
    private mutating func take(_ text: [UInt8], endsOpen: Bool, _ line: Int) {
        let string = String(decoding: text, as: UTF8.self)
        guard let match = string.firstMatch(of: /^https?:\/\/[^\/?#\s'"<>\\]+/) else { return }
        guard !endsOpen || match.range.upperBound < string.endIndex else { return }
        self.found.append((String(match.output), line))
    }
}
