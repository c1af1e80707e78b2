import AfterloginCYAML

extension YAMLNode {
    /// Reads one document; an empty one is null.
    ///
    /// Refused: duplicate keys, keys that are not scalars, tags of one's own, a second document, nesting beyond 64,
    /// more than 1 MiB, and aliases that would grow the document beyond 100,000 nodes.
    ///
    /// - Throws: `YAMLError` with the first problem and its place.
    package static func parse(_ text: [UInt8]) throws(YAMLError) -> YAMLNode {
        guard text.count <= YAMLParser.maxBytes else {
            throw YAMLError(message: "the document is larger than \(YAMLParser.maxBytes) bytes", line: 1, column: 1)
        }
        var parser = try YAMLParser(text)
        return try parser.document()
    }
}

/// libyaml's events, made into nodes.
@safe private struct YAMLParser: ~Copyable {
    static let maxBytes = 1 << 20
    private static let maxDepth = 64
    private static let maxNodes = 100_000

    /// Of the parser's own, since libyaml keeps pointers into both.
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let input: UnsafeMutableBufferPointer<UInt8>
    private var anchors: [String: (node: YAMLNode, count: Int)] = [:]
    /// Nodes so far, those behind aliases counted at every use.
    private var count = 0

    init(_ text: [UInt8]) throws(YAMLError) {
        unsafe self.parser = .allocate(capacity: 1)
        unsafe self.input = .allocate(capacity: max(1, text.count))
        _ = unsafe self.input.initialize(from: text)
        guard unsafe yaml_parser_initialize(self.parser) == 1 else { throw Self.noMemory }
        unsafe yaml_parser_set_input_string(self.parser, self.input.baseAddress, text.count)
        unsafe yaml_parser_set_encoding(self.parser, YAML_UTF8_ENCODING)
    }

    deinit {
        unsafe yaml_parser_delete(self.parser)
        unsafe self.parser.deallocate()
        unsafe self.input.deallocate()
    }

    private static var noMemory: YAMLError {
        YAMLError(message: "there is no memory for the parser", line: 1, column: 1)
    }

    mutating func document() throws(YAMLError) -> YAMLNode {
        _ = try self.next()
        let first = try self.next()
        guard first.kind == YAML_DOCUMENT_START_EVENT else { return YAMLNode(.null, line: 1, column: 1) }
        let node = try self.node(try self.next(), depth: 0)
        _ = try self.next()
        let after = try self.next()
        guard after.kind == YAML_STREAM_END_EVENT else {
            throw after.error("only one document is expected: take out what begins with ---")
        }
        return node
    }

    private mutating func node(_ event: Event, depth: Int) throws(YAMLError) -> YAMLNode {
        guard depth < Self.maxDepth else { throw event.error("the nesting is deeper than \(Self.maxDepth)") }
        self.count += 1
        guard self.count <= Self.maxNodes else {
            throw event.error("the document has more than \(Self.maxNodes) nodes")
        }
        let before = self.count
        let node: YAMLNode
        switch event.kind {
        case YAML_ALIAS_EVENT:
            guard let anchor = self.anchors[event.anchor ?? ""] else {
                throw event.error("no anchor has this name: write & and the name before the value that is meant")
            }
            self.count += anchor.count
            guard self.count <= Self.maxNodes else { throw event.error("aliases make the document too large") }
            return YAMLNode(anchor.node.content, line: event.line, column: event.column)
        case YAML_SCALAR_EVENT:
            node = event.scalar()
        case YAML_SEQUENCE_START_EVENT:
            node = try self.sequence(event, depth: depth)
        case YAML_MAPPING_START_EVENT:
            node = try self.mapping(event, depth: depth)
        default:
            throw event.error("a value is expected here")
        }
        if let tag = event.tag, !tag.hasPrefix("tag:yaml.org,2002:"), tag != "!" {
            throw event.error("the tag \(tag) is not known: leave it out")
        }
        if let name = event.anchor { self.anchors[name] = (node, self.count - before) }
        return node
    }

    private mutating func sequence(_ start: Event, depth: Int) throws(YAMLError) -> YAMLNode {
        var elements: [YAMLNode] = []
        while true {
            let event = try self.next()
            guard event.kind != YAML_SEQUENCE_END_EVENT else { break }
            elements.append(try self.node(event, depth: depth + 1))
        }
        return YAMLNode(.sequence(elements), line: start.line, column: start.column)
    }

    private mutating func mapping(_ start: Event, depth: Int) throws(YAMLError) -> YAMLNode {
        var members: [(key: YAMLNode, value: YAMLNode)] = []
        var names: Set<String> = []
        while true {
            let event = try self.next()
            guard event.kind != YAML_MAPPING_END_EVENT else { break }
            let key = try self.node(event, depth: depth + 1)
            guard case .scalar(let name, _) = key.content else {
                throw event.error("a key must be a text: write NAME: VALUE")
            }
            guard names.insert(name).inserted else {
                throw event.error("the key \(name) stands here twice: keep one of them")
            }
            members.append((key, try self.node(try self.next(), depth: depth + 1)))
        }
        return YAMLNode(.mapping(members), line: start.line, column: start.column)
    }

    /// What an event says, copied out of libyaml.
    private struct Event {
        var kind: yaml_event_type_t
        var line: Int
        var column: Int
        var anchor: String?
        var tag: String?
        var value = ""
        var isPlain = false

        func error(_ message: String) -> YAMLError { YAMLError(message: message, line: self.line, column: self.column) }

        /// The core schema's spellings of null (YAML 1.2.2, 10.3.2); everything else is left to the reader.
        func scalar() -> YAMLNode {
            let isNull = self.isPlain && ["", "~", "null", "Null", "NULL"].contains(self.value)
            return YAMLNode(
                isNull ? .null : .scalar(self.value, isPlain: self.isPlain),
                line: self.line,
                column: self.column
            )
        }
    }

    private mutating func next() throws(YAMLError) -> Event {
        var raw = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(self.parser, &raw) == 1 else { throw self.problem() }
        defer { unsafe yaml_event_delete(&raw) }
        var event = unsafe Event(
            kind: raw.type,
            line: Int(raw.start_mark.line) + 1,
            column: Int(raw.start_mark.column) + 1
        )
        switch event.kind {
        case YAML_ALIAS_EVENT:
            event.anchor = unsafe Self.text(raw.data.alias.anchor)
        case YAML_SCALAR_EVENT:
            let scalar = unsafe raw.data.scalar
            unsafe event.anchor = Self.text(scalar.anchor)
            unsafe event.tag = Self.text(scalar.tag)
            let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            event.value = unsafe String(decoding: bytes, as: UTF8.self)
            event.isPlain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE && scalar.tag == nil
        case YAML_SEQUENCE_START_EVENT:
            event.anchor = unsafe Self.text(raw.data.sequence_start.anchor)
            event.tag = unsafe Self.text(raw.data.sequence_start.tag)
        case YAML_MAPPING_START_EVENT:
            event.anchor = unsafe Self.text(raw.data.mapping_start.anchor)
            event.tag = unsafe Self.text(raw.data.mapping_start.tag)
        default:
            break
        }
        return event
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        unsafe pointer.map { unsafe String(cString: $0) }
    }

    private func problem() -> YAMLError {
        let parser = unsafe self.parser.pointee
        let reason =
            unsafe parser.problem.map { unsafe String(cString: $0) }
            ?? "the text is not YAML: look for a quote, a bracket or an indentation that is not closed"
        guard unsafe parser.error != YAML_READER_ERROR else {
            // Bytes that are not UTF-8, or characters that YAML has not: libyaml tells an offset only.
            let before = unsafe String(decoding: self.input.prefix(parser.problem_offset), as: UTF8.self)
            let lines = before.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            return YAMLError(
                message: reason,
                line: lines.count,
                column: (lines.last?.unicodeScalars.count ?? 0) + 1
            )
        }
        return unsafe YAMLError(
            message: reason,
            line: Int(parser.problem_mark.line) + 1,
            column: Int(parser.problem_mark.column) + 1
        )
    }
}
