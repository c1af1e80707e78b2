import AfterloginYAML
import Testing

@Suite(.timeLimit(.minutes(1)))
struct YAMLParserTests {
    private func parse(_ text: String) throws -> YAMLNode { try YAMLNode.parse(Array(text.utf8)) }

    private func error(_ text: String) -> YAMLError? {
        do {
            _ = try self.parse(text)
            return nil
        } catch {
            return error as? YAMLError
        }
    }

    /// Compact, for comparison: `{a@1:1=x, …}`.
    private func render(_ node: YAMLNode) -> String {
        switch node.content {
        case .null: "null"
        case .scalar(let text, let isPlain): isPlain ? text : "'\(text)'"
        case .sequence(let elements): "[" + elements.map(self.render).joined(separator: ",") + "]"
        case .mapping(let members):
            "{" + members.map { "\(self.render($0.key)):\(self.render($0.value))" }.joined(separator: ",") + "}"
        }
    }

    @Test(arguments: [
        ("a: 1\nb: [x, \"y\", 'z']\n", "{a:1,b:[x,'y','z']}"),
        ("", "null"),
        ("# only a comment\n", "null"),
        ("a:\nb: ~\nc: ''\n", "{a:null,b:null,c:''}"),
        ("a: |\n  one\n  two\n", "{a:'one\ntwo\n'}"),
        ("base: &b {x: 1}\nmore: *b\n", "{base:{x:1},more:{x:1}}"),
        ("kafka: { brokers: kafka:9092 }", "{kafka:{brokers:kafka:9092}}"),
        ("a: !!str 5", "{a:'5'}"),
    ])
    func documentsBecomeNodes(_ example: (text: String, nodes: String)) throws {
        #expect(try self.render(self.parse(example.text)) == example.nodes)
    }

    @Test func nodesRememberTheirPlaces() throws {
        guard case .mapping(let members) = try self.parse("first: 1\nkafka:\n  brokers: x\n").content,
            case .mapping(let inner) = members[1].value.content
        else { return #expect(Bool(false), "no mapping") }
        #expect((inner[0].key.line, inner[0].key.column) == (3, 3))
        #expect((inner[0].value.line, inner[0].value.column) == (3, 12))
    }

    @Test(arguments: [
        ("a: 1\na: 2\n", "the key a stands here twice: keep one of them", 2, 1),
        ("a: 1\n---\nb: 2\n", "only one document is expected: take out what begins with ---", 2, 1),
        ("a: !mine 1", "the tag !mine is not known: leave it out", 1, 4),
        ("? [x]\n: 1\n", "a key must be a text: write NAME: VALUE", 1, 3),
        ("a: *nowhere", "no anchor has this name: write & and the name before the value that is meant", 1, 4),
    ])
    func whatIsRefusedIsNamedWithItsPlace(_ example: (text: String, message: String, line: Int, column: Int)) {
        #expect(
            self.error(example.text)
                == YAMLError(message: example.message, line: example.line, column: example.column)
        )
    }

    @Test func brokenSyntaxHasAPlace() {
        let error = self.error("a: 1\nb: [1, 2\n")
        #expect(error?.line == 3)
    }

    @Test func aliasesCannotGrowADocumentWithoutEnd() {
        var text = "l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n"
        for level in 1..<12 {
            let uses = Array(repeating: "*l\(level - 1)", count: 10).joined(separator: ",")
            text += "l\(level): &l\(level) [\(uses)]\n"
        }
        #expect(self.error(text)?.message == "aliases make the document too large")
    }

    @Test func deepNestingIsRefusedAtOnce() {
        let error = self.error(String(repeating: "[", count: 10_000))
        #expect(error?.message == "the nesting is deeper than 64")
    }

    @Test(arguments: [
        ("a: ", [0xFF, 0xFE], 1, 4), ("", [0xFF], 1, 1), ("a: 1\n", [0xC0], 2, 1), ("a: 1\r\né: x", [0x80], 2, 5),
        // A surrogate, one character cut off at the end, and one that YAML does not allow.
        ("a: 1\n\nb: ", [0xED, 0xA0, 0x80], 3, 4), ("a: é", [0xE2, 0x82], 1, 5), ("a: 1\nb: ", [0x07], 2, 4),
        // Far behind what libyaml reads at a time.
        (String(repeating: "# a line\n", count: 20_000) + "b: ", [0xFF], 20_001, 4),
    ])
    func bytesThatAreNoTextAreRefusedWithTheirPlace(
        _ example: (before: String, bytes: [UInt8], line: Int, column: Int)
    ) {
        let error = #expect(throws: YAMLError.self) { try YAMLNode.parse(Array(example.before.utf8) + example.bytes) }
        #expect(error.map { [$0.line, $0.column] } == [example.line, example.column])
    }
}
