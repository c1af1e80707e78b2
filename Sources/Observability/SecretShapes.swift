/// The shapes that secrets have in HTTP, OAuth and addresses.
enum SecretShapes {
    /// Members and parameters whose value is a secret, in lower case without `-` and `_`.
    private static let names: Set<String> = [
        "clientsecret", "authorization", "proxyauthorization", "password", "passwd", "pwd", "accesstoken",
        "refreshtoken", "idtoken",
        "apikey", "xapikey", "secret", "privatekey", "clientassertion", "cookie", "setcookie", "token",
    ]
    private static let longestName = 24

    static func matches(in text: [UInt8]) -> [Range<Int>] {
        var scanner = Scanner(text: text)
        return scanner.scan()
    }

    private struct Scanner {
        let text: [UInt8]
        var ranges: [Range<Int>] = []
        /// No JSON Web Token begins before: a run without a dot was seen up to here.
        var noTokenBefore = 0

        init(text: [UInt8]) { self.text = text }

        mutating func scan() -> [Range<Int>] {
            var position = 0
            while position < self.text.count {
                let range: Range<Int>?
                switch self.text[position] {
                case UInt8(ascii: "e"): range = self.webToken(position)
                case UInt8(ascii: "B"), UInt8(ascii: "b"): range = self.credentials(position)
                case UInt8(ascii: ":"): range = self.userInformation(position) ?? self.member(position)
                case UInt8(ascii: "="): range = self.member(position)
                case UInt8(ascii: "-"): range = self.privateKey(position)
                default: range = nil
                }
                if let range, !range.isEmpty {
                    self.ranges.append(range)
                    position = range.upperBound
                } else {
                    position += 1
                }
            }
            return self.ranges
        }

        private func hasText(_ word: StaticString, at position: Int) -> Bool {
            let count = word.utf8CodeUnitCount
            guard position + count <= self.text.count else { return false }
            let word = "\(word)".utf8
            return zip(word, self.text[position...]).allSatisfy { $0 == $1.lowercased }
        }

        private func end(from start: Int, while belongs: (UInt8) -> Bool) -> Int {
            var end = start
            while end < self.text.count, belongs(self.text[end]) { end += 1 }
            return end
        }

        /// `eyJ….….…`: three parts in base64url, the last of which may be empty.
        private mutating func webToken(_ start: Int) -> Range<Int>? {
            guard start >= self.noTokenBefore, self.hasText("eyj", at: start) else { return nil }
            let first = self.end(from: start, while: \.isBase64)
            guard first < self.text.count, self.text[first] == UInt8(ascii: "."), first - start > 8 else {
                self.noTokenBefore = first
                return nil
            }
            let second = self.end(from: first + 1, while: \.isBase64)
            guard second > first + 1 else { return nil }
            guard second < self.text.count, self.text[second] == UInt8(ascii: ".") else { return start..<second }
            return start..<self.end(from: second + 1, while: \.isBase64)
        }

        /// What follows `Bearer ` or `Basic `.
        private func credentials(_ start: Int) -> Range<Int>? {
            let words: [StaticString] = ["bearer", "basic"]
            guard start == 0 || !self.text[start - 1].isBase64 else { return nil }
            for word in words where self.hasText(word, at: start) {
                let space = start + word.utf8CodeUnitCount
                let begin = self.end(from: space) { $0 == 0x20 || $0 == UInt8(ascii: "+") }
                let end = self.end(from: begin) { $0.isBase64 || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "~") }
                // "basic authentication" and the like are words, not credentials.
                if begin > space, end - begin >= 8, self.text[begin..<end].contains(where: { !$0.isLowerLetter }) {
                    return begin..<end
                }
            }
            return nil
        }

        /// `://user:password@`: what stands before the last `@` of the authority.
        private func userInformation(_ colon: Int) -> Range<Int>? {
            guard self.hasText("://", at: colon) else { return nil }
            let begin = colon + 3
            let end = self.end(from: begin) { byte in
                byte > 0x20 && !"/?#\"'\\<>`".utf8.contains(byte)
            }
            guard let at = self.text[begin..<end].lastIndex(of: UInt8(ascii: "@")) else { return nil }
            return begin..<at
        }

        /// `name: value`, `"name":"value"`, `name=value`, for names of secrets.
        private func member(_ separator: Int) -> Range<Int>? {
            var end = separator
            while end > 0, self.text[end - 1].isQuoteOrSpace { end -= 1 }
            var begin = end
            while begin > 0, end - begin <= SecretShapes.longestName, self.text[begin - 1].isNameByte { begin -= 1 }
            guard begin < end else { return nil }
            let name = String(
                decoding: self.text[begin..<end].filter(\.isLetterOrDigit).map(\.lowercased),
                as: UTF8.self
            )
            guard SecretShapes.names.contains(name) else { return nil }
            var start = self.end(from: separator + 1) { $0 == 0x20 || $0 == UInt8(ascii: "\\") }
            if start < self.text.count, self.text[start] == UInt8(ascii: "\"") || self.text[start] == UInt8(ascii: "'")
            {
                let quote = self.text[start]
                start += 1
                var isEscaped = false
                let end = self.end(from: start) { byte in
                    defer { isEscaped = byte == UInt8(ascii: "\\") && !isEscaped }
                    return byte != quote || isEscaped
                }
                // An escaped quote in front of the closing one: JSON within JSON.
                return start..<end
            }
            let isHeader = name.hasSuffix("authorization") || name.hasSuffix("cookie")
            return
                start..<self.end(from: start) { byte in
                    byte >= 0x20 && !(isHeader ? "\"'}\\" : " ,;&\"'}\\)").utf8.contains(byte)
                }
        }

        private func privateKey(_ start: Int) -> Range<Int>? {
            guard self.hasText("-----begin ", at: start), start == 0 || self.text[start - 1] != UInt8(ascii: "-") else {
                return nil
            }
            let title = self.end(from: start + 11) { $0 != UInt8(ascii: "-") && $0 >= 0x20 }
            guard String(decoding: self.text[start + 11..<title], as: UTF8.self).hasSuffix("PRIVATE KEY") else {
                return nil
            }
            var end = title
            while end < self.text.count, !self.hasText("-----end ", at: end) { end += 1 }
            return start..<self.end(from: end) { $0 >= 0x20 }
        }
    }
}

extension UInt8 {
    fileprivate var lowercased: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
    fileprivate var isLowerLetter: Bool { (0x61...0x7A).contains(self) }
    fileprivate var isLetterOrDigit: Bool { (0x30...0x39).contains(self) || (0x61...0x7A).contains(self.lowercased) }
    fileprivate var isNameByte: Bool {
        self.isLetterOrDigit || self == UInt8(ascii: "_") || self == UInt8(ascii: "-")
    }
    fileprivate var isBase64: Bool {
        self.isNameByte || self == UInt8(ascii: "+") || self == UInt8(ascii: "/") || self == UInt8(ascii: "=")
    }
    fileprivate var isQuoteOrSpace: Bool {
        self == 0x20 || self == UInt8(ascii: "\"") || self == UInt8(ascii: "'") || self == UInt8(ascii: "\\")
    }
}
