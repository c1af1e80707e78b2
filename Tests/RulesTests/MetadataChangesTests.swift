import AfterloginJSON
import AfterloginRules
import Testing

@Suite(.timeLimit(.minutes(1)))
struct MetadataChangesTests {
    @Test func laterWritesReplaceEarlierOnesAndNullDeletes() throws {
        var part = MetadataChanges.Part()
        part.merge(["plan": "free", "seats": 3, "old": .null])
        part.merge(["plan": "gold", "seats": .null, "old": "again"])
        #expect(part.set.map(\.name) == ["plan", "old"])
        #expect(part.set.first?.value.string == "gold")
        #expect(part.removed == ["seats"])
    }

    @Test func whatAHostReportsIsMergedOverWhatWasThere() throws {
        var part = MetadataChanges.Part()
        part.merge(["plan": "free", "beta": true])
        part.merge(reported: try JSONText(validating: Array(#"{"set":{"plan":"gold","x":1},"removed":["beta"]}"#.utf8)))
        #expect(part.set.map(\.name).sorted() == ["plan", "x"])
        #expect(part.removed == ["beta"])
    }
}
