import AfterloginJSON
import Testing

@Suite(.timeLimit(.minutes(1)))
struct JSONValueTests {
    private func string(_ value: JSONValue) -> String { String(decoding: value.serialized(), as: UTF8.self) }

    @Test
    func literalsAndAccessors() {
        let value: JSONValue = [
            "name": "Ann", "age": 41, "score": 0.5, "admin": true, "tags": ["a", "b"], "none": .null,
        ]
        #expect(value["name"]?.string == "Ann")
        #expect(value["age"]?.int == 41)
        #expect(value["score"]?.double == 0.5)
        #expect(value["admin"]?.bool == true)
        #expect(value["tags"]?[1]?.string == "b")
        #expect(value["tags"]?.array?.count == 2)
        #expect(value["none"]?.isNull == true)
        #expect(value["missing"] == nil)
        #expect(self.string(value) == #"{"name":"Ann","age":41,"score":0.5,"admin":true,"tags":["a","b"],"none":null}"#)
    }

    @Test
    func membersAreSetInPlaceAndRemoved() {
        var user: JSONValue = ["app_metadata": ["plan": "silver"], "name": "x"]
        user["app_metadata"]?["plan"] = "gold"
        user["app_metadata"]?["seen"] = true
        user["name"] = nil
        user["email"] = .null
        user["missing"]?["deep"] = 1
        #expect(self.string(user) == #"{"app_metadata":{"plan":"gold","seen":true},"email":null}"#)
        user["app_metadata"]?["plan"] = nil
        #expect(self.string(user) == #"{"app_metadata":{"seen":true},"email":null}"#)
        user["app_metadata"] = nil
        #expect(self.string(user) == #"{"email":null}"#)
    }

    @Test(arguments: [0, 3_000])
    func whatWasParsedIsWrittenCompactWhetherItWasChangedOrNot(padding: Int) throws {
        // Padded, it is beyond what stays text.
        let blank = String(repeating: " ", count: padding)
        let text = "{\(blank) \"a\" : { \"b\\\" c\" :\t[ 1 , { } ] } ,\r\n \"d\" : \" e \" }"
        var value = try JSONValue(parsing: Array(text.utf8))
        #expect(self.string(value) == #"{"a":{"b\" c":[1,{}]},"d":" e "}"#)
        value["d"] = "f"
        #expect(self.string(value) == #"{"a":{"b\" c":[1,{}]},"d":"f"}"#)
        value["a"]?["g"] = true
        #expect(self.string(value) == #"{"a":{"b\" c":[1,{}],"g":true},"d":"f"}"#)
    }

    @Test
    func anObjectThatWasParsedIsLikeOneThatWasBuilt() throws {
        let parsed = try JSONValue(parsing: Array(#"{"a":1,"b":{"c":null},"a":2.0}"#.utf8))
        let built: JSONValue = ["b": ["c": .null], "a": 2]
        #expect(parsed == built)
        #expect(parsed.hashValue == built.hashValue)
        #expect(parsed.object?.count == 2)
        #expect(parsed.object?.members.map(\.name) == ["a", "b"])
        #expect(parsed["a"]?.int == 2)
        #expect(parsed["b"]?["c"]?.isNull == true)
        #expect(parsed.object?.isEmpty == false)
        #expect(try JSONValue(parsing: Array("{ }".utf8)).object?.isEmpty == true)
        var changed = parsed
        changed["b"]?["c"] = nil
        #expect(changed == ["a": 2, "b": [:]])
        #expect(parsed == built)
    }

    @Test
    func aMemberOfNullMakesAnObjectAndOneOfAScalarIsIgnored() {
        var value: JSONValue = ["a": .null, "b": "text"]
        value["a"]?["x"] = 1
        value["b"]?["x"] = 1
        #expect(value == ["a": ["x": 1], "b": "text"])
    }

    @Test
    func manyMembersAreFoundReplacedAndRemoved() {
        var object = JSONObject()
        for number in 0..<100 { object["n\(number)"] = JSONValue(number) }
        for number in stride(from: 0, to: 100, by: 2) { object["n\(number)"] = nil }
        object["n51"] = "changed"
        #expect(object.count == 50)
        #expect(object["n50"] == nil)
        #expect(object["n51"]?.string == "changed")
        #expect(object.members.first?.name == "n1")
        #expect(object["n99"]?.int == 99)
    }

    @Test
    func equalityAndHashIgnoreTheOrderOfMembers() {
        let left: JSONValue = ["a": 1, "b": ["c": 1.50]]
        let right: JSONValue = .object(["b": ["c": 1.5], "a": 1])
        #expect(left == right)
        #expect(Set([left, right]).count == 1)
        #expect(left != ["a": 1, "b": ["c": 2]])
        #expect(left != ["a": 1, "c": ["c": 1.5]])
    }

    @Test(arguments: [
        ("1", "1.0", true), ("10", "1e1", true), ("0.1", "1E-1", true), ("-0", "0e9", true), ("100e-2", "1", true),
        ("1", "-1", false), ("0.1", "0.10000000000000000001", false), ("1e400", "1e401", false),
        ("1e99999999999999999999", "1e99999999999999999999", true),
        ("1e99999999999999999999", "1e99999999999999999998", false),
        ("12345678901234567890123", "12345678901234567890124", false), ("0.00", "0", true),
        ("1e9223372036854775807", "10e9223372036854775806", true),
    ])
    func numbersAreComparedByValue(_ left: String, _ right: String, _ expected: Bool) throws {
        let left = try #require(JSONNumber(text: left))
        let right = try #require(JSONNumber(text: right))
        #expect((left == right) == expected)
        if expected { #expect(left.hashValue == right.hashValue) }
    }

    @Test(
        arguments: [
            ("5", 5), ("5.0", 5), ("-5e2", -500), ("9223372036854775807", Int.max), ("-9223372036854775808", Int.min),
            ("0.0", 0),
            ("9223372036854775808", nil), ("0.5", nil), ("1e30", nil), ("1e999999999999999999999", nil), ("0e99", 0),
        ] as [(String, Int?)]
    )
    func wholeNumbersAreReadHoweverTheyAreWritten(_ text: String, _ expected: Int?) throws {
        #expect(try #require(JSONNumber(text: text)).int == expected)
    }

    @Test(arguments: ["", "1.", "01", "1 ", "+1", "NaN", "1e", "0x1", "--1"])
    func textThatIsNoNumberMakesNone(_ text: String) {
        #expect(JSONNumber(text: text) == nil)
    }

    @Test(arguments: [
        (1.0, "1"), (-0.0, "0"), (0.5, "0.5"), (1e21, "1e+21"), (.leastNonzeroMagnitude, "5e-324"), (.infinity, "null"),
        (.nan, "null"),
        (9_007_199_254_740_992, "9007199254740992.0"), (-3, "-3"),
    ])
    func doublesAreWrittenAsJSON(_ double: Double, _ expected: String) throws {
        #expect(self.string(JSONValue(double)) == expected)
        #expect(throws: Never.self) { try JSONText(validating: Array(expected.utf8)) }
    }

    @Test
    func aTreeOfTwiceTheDepthThatIsParsedDoesNoHarm() {
        var value: JSONValue = 1
        var same: JSONValue = 1.0
        for level in 0..<(2 * JSONText.deepestLimit) {
            value = level.isMultiple(of: 2) ? [value] : ["a": value]
            same = level.isMultiple(of: 2) ? [same] : ["a": same]
        }
        #expect(value == same)
        #expect(value.hashValue == same.hashValue)
        #expect(value.serialized().count == JSONText.deepestLimit * (2 + 6) + 1)
    }
}
