import AfterloginHTTPMessages
import Testing

@Suite(.timeLimit(.minutes(1)))
struct HTTPFieldsTests {
    @Test(arguments: ["x-one", "X-One", "X-ONE"])
    func caseOfANameDoesNotCount(name: String) {
        let fields: HTTPFields = ["Accept": "*/*", "X-One": "first", "x-ONE": "second"]
        #expect(fields[name] == "first")
        #expect(fields.values(name) == ["first", "second"])
    }

    /// Bytes that differ by 0x20 only, and are no letters: `@` and the grave accent, `[` and `{`.
    @Test(arguments: [("a@", "a`"), ("a[", "a{"), ("X-\u{30}", "X-\u{10}"), ("one", "ones"), ("é", "É")])
    func onlyLettersOfASCIIHaveCase(left: String, right: String) {
        #expect(!HTTPField(left, "").isNamed(right))
        #expect(HTTPField(left, "").isNamed(left))
    }

    @Test func assigningLeavesOneFieldOfItsNameAtTheEnd() {
        var fields: HTTPFields = ["authorization": "a", "B": "b", "Authorization": "c"]
        fields["Authorization"] = "d"
        #expect(fields == ["B": "b", "Authorization": "d"])
        fields["b"] = nil
        #expect(fields == [HTTPField("Authorization", "d")])
    }

    @Test func theyKeepTheirOrderAndRepetitions() {
        var fields: HTTPFields = []
        fields.append(HTTPField("Set-Cookie", "a"))
        fields += [HTTPField("X", ""), HTTPField("Set-Cookie", "b")]
        fields[1].value = "y"
        #expect(fields.map(\.name) == ["Set-Cookie", "X", "Set-Cookie"])
        #expect(fields.map(\.value) == ["a", "y", "b"])
    }
}
