import AfterloginJSON
import Testing

@Suite(.timeLimit(.minutes(1)))
struct JSONTextTests {
    private func text(_ string: String) throws -> JSONText { try JSONText(validating: Array(string.utf8)) }

    @Test(arguments: HostileInput.all)
    func acceptsWhatJSONParseAccepts(_ input: HostileInput) {
        let text = try? JSONText(validating: input.bytes)
        #expect((text != nil) == input.isAccepted)
    }

    @Test(arguments: HostileInput.all)
    func aVerdictDoesNotDependOnWhereInAWordItStands(_ input: HostileInput) {
        // Eight bytes are looked at together: each alignment, and with and without bytes behind.
        for padding in 0..<9 {
            let bytes =
                Array("[".utf8) + Array(repeating: 0x20, count: padding) + input.bytes + Array(",\"0123456789\"]".utf8)
            let expected = NaiveParser.parse(bytes) != nil
            #expect(((try? JSONText(validating: bytes)) != nil) == expected, "padding \(padding)")
        }
    }

    @Test
    func randomDocumentsReadAsTheNaiveModelReadsThem() throws {
        for seed in UInt64(0)..<1_500 {
            var random = RandomDocument(seed: seed)
            let document = random.make()
            let bytes = Array(document.utf8)
            let model = try #require(NaiveParser.parse(bytes), "seed \(seed)")
            let text = try JSONText(validating: bytes)
            #expect(text.value == model, "seed \(seed): \(document)")
            // Written and read again it is the same.
            let again = try JSONValue(parsing: text.value.serialized())
            #expect(again == model, "seed \(seed): \(document)")
            #expect(again.hashValue == model.hashValue, "seed \(seed)")
            for member in text.members {
                #expect(text[member.name]?.bytes == member.value.bytes, "seed \(seed): \(member.name)")
            }
        }
    }

    @Test
    func damagedDocumentsGetTheVerdictOfTheNaiveModel() {
        var refused = 0
        for seed in UInt64(0)..<4_000 {
            var random = RandomDocument(seed: seed)
            let document = random.damage(random.make(depth: 3))
            let model = NaiveParser.parse(document)
            let value = try? JSONValue(parsing: document)
            #expect(value == model, "seed \(seed): \(String(decoding: document, as: UTF8.self))")
            if model == nil { refused += 1 }
        }
        #expect(refused > 1_000)
    }

    @Test(arguments: [
        ("", "unexpected end at byte 0"), ("[1,", "unexpected end at byte 3"), ("[1 2]", "unexpected \"2\" at byte 3"),
        ("\"a\u{1}\"", "control character in a string at byte 2"), ("01", "invalid number at byte 0"),
        ("\"\\x\"", "invalid escape at byte 1"), ("{} x", "text after the value at byte 3"),
        ("\u{FEFF}{}", "byte order mark at byte 0"), ("[é]", "unexpected character at byte 1"),
    ])
    func namesTheProblemAndItsPlace(_ document: String, _ message: String) {
        let error = #expect(throws: JSONError.self) { try self.text(document) }
        #expect(error?.description == message)
    }

    @Test(arguments: ["[", "{\"a\":", "[{\"a\":"])
    func nestingBeyondTheLimitIsRefusedAtItsPlace(_ opening: String) throws {
        let document = String(repeating: opening, count: 10_000)
        let error = #expect(throws: JSONError.self) { try self.text(document) }
        #expect(error?.reason == "nesting deeper than 512")
        let unlimited = #expect(throws: JSONError.self) {
            try JSONText(validating: Array(document.utf8), maxDepth: .max)
        }
        #expect(unlimited?.reason == "nesting deeper than 1024")
    }

    @Test(arguments: [1, 63, 64, 65, 128, 129, 512])
    func nestingUpToTheLimitIsRead(_ depth: Int) throws {
        // Objects and arrays in turn, so that a closing bracket of the wrong kind would show.
        var document = ""
        var closing = ""
        for level in 0..<depth {
            document += level.isMultiple(of: 3) ? "{\"a\":" : "["
            closing = (level.isMultiple(of: 3) ? "}" : "]") + closing
        }
        let bytes = Array((document + "1" + closing).utf8)
        let text = try JSONText(validating: bytes, maxDepth: depth)
        #expect(text.value.serialized() == bytes)
        #expect(throws: JSONError.self) { try JSONText(validating: bytes, maxDepth: depth - 1) }
        #expect(throws: JSONError.self) { try self.text(document + "1" + closing.dropLast() + "?") }
    }

    @Test
    func slicesShareTheirDocumentAndKeepItsBytes() throws {
        let text = try self.text(" {\"id\" : \"a\", \"user\" : {\"x\": [1,  2]} , \"context\":1e400} ")
        let user = try #require(text["user"])
        #expect(user.description == "{\"x\": [1,  2]}")
        #expect(text["context"]?.description == "1e400")
        #expect(user["x"]?[1]?.int == 2)
        #expect(user["x"]?[2] == nil)
        let isShared = user.storage.withUnsafeBufferPointer { inner in
            text.storage.withUnsafeBufferPointer { outer in inner.baseAddress == outer.baseAddress }
        }
        #expect(isShared)
    }

    @Test
    func theLastOfEqualNamesCountsHoweverItIsSpelled() throws {
        let text = try self.text(#"{"a":1,"b":2,"\u0061":3,"a\\":4}"#)
        #expect(text["a"]?.int == 3)
        #expect(text.members.map(\.name) == ["a", "b", "a\\"])
        #expect(text.members.map { $0.value.description } == ["3", "2", "4"])
        #expect(text["\\u0061"] == nil)
        #expect(text[#"a\"#]?.int == 4)
        #expect(text.value == ["a": 3, "b": 2, "a\\": 4])
    }

    @Test
    func namesAreComparedByCodePoint() throws {
        let text = try self.text("{\"\u{E9}\":1,\"e\u{301}\":2}")
        #expect(text.members.count == 2)
        #expect(text["\u{E9}"]?.int == 1)
        #expect(text["e\u{301}"]?.int == 2)
        #expect(text.value.object?.count == 2)
        #expect(JSONValue.string("\u{E9}") != .string("e\u{301}"))
    }

    @Test
    func aLoneSurrogateReadsAsReplacementAndPassesThroughUntouched() throws {
        let text = try self.text(#"{"name":"a\ud800b","pair":"\ud83d\ude00","twice":"\ud83d\ud83d\ude00"}"#)
        #expect(text["name"]?.string == "a\u{FFFD}b")
        #expect(text["name"]?.description == #""a\ud800b""#)
        #expect(text["pair"]?.string == "😀")
        #expect(text["twice"]?.string == "\u{FFFD}😀")
    }

    @Test(arguments: [
        ("{\"a\":1,\"b\":[true,null]}", " { \"b\" : [ true , null ], \"a\" : 1.0e0 } ", true),
        ("{\"a\":1}", "{\"a\":1,\"b\":2}", false), ("[1,2]", "[2,1]", false), ("\"\\u0041\"", "\"A\"", true),
        ("1e400", "10e399", true), ("9007199254740993", "9007199254740992", false), ("0", "-0.0", true),
        ("1", "\"1\"", false),
        ("{\"a\":1,\"a\":2}", "{\"a\":2}", true), ("null", "false", false),
    ])
    func equivalenceIsOfMeaning(_ left: String, _ right: String, _ expected: Bool) throws {
        #expect(try self.text(left).isEquivalent(to: self.text(right)) == expected)
        #expect(try self.text(right).isEquivalent(to: self.text(left)) == expected)
    }

    @Test
    func accessorsOfAnotherKindAreEmpty() throws {
        let text = try self.text("[1]")
        #expect(text.kind == .array)
        #expect(text["a"] == nil)
        #expect(text.members.isEmpty)
        #expect(text.string == nil && text.bool == nil && text.number == nil && !text.isEmptyObject)
        #expect(try self.text("{ }").isEmptyObject)
        #expect(try self.text("{}").elements.isEmpty)
        #expect(try self.text("true").bool == true)
    }

    @Test
    func manyMembersCostNoMoreThanTheirSize() throws {
        // A quadratic search would need 20,000 million comparisons.
        let document = "{" + (0..<200_000).map { "\"n\($0)\":\($0)" }.joined(separator: ",") + ",\"n7\":-1}"
        let value = try self.text(document).value
        #expect(value.object?.count == 200_000)
        #expect(value["n7"]?.int == -1)
        #expect(value["n199999"]?.int == 199_999)
    }
}
