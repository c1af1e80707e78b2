/// A YAML value that remembers where it stood.
package struct YAMLNode: Sendable {
    package enum Content: Sendable {
        case null
        /// `isPlain` is false for quoted and block scalars, which are always strings.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        case mapping([(key: YAMLNode, value: YAMLNode)])
    }

    package var content: Content
    /// Both from 1, in characters.
    package var line: Int
    package var column: Int

    package init(_ content: Content, line: Int, column: Int) {
        self.content = content
        self.line = line
        self.column = column
    }
}

/// Why a text is not the YAML that is wanted here.
package struct YAMLError: Error, Sendable, Hashable, CustomStringConvertible {
    package let message: String
    package let line: Int
    package let column: Int

    package init(message: String, line: Int, column: Int) {
        self.message = message
        self.line = line
        self.column = column
    }

    package var description: String { "\(self.line):\(self.column): \(self.message)" }
}
