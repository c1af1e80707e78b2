import Testing

@testable import AfterloginRules

@Suite("Where an error of a rule came from")
struct StackPlaceTests {
    @Test(
        arguments: [
            ("Error: x\n    at enrich (/srv/rules/enrich.js:12:7)\n    at node:internal/x:1:2", "enrich.js:12:7"),
            ("Error: x\n    at /srv/rules/lib/tools.js:3:1", "lib/tools.js:3:1"),
            (
                "Error: x\n    at f (/srv/rules/node_modules/axios/lib/a.js:1:1)\n    at async /srv/rules/enrich.js:2:9",
                "enrich.js:2:9"
            ),
            ("Error: /srv/rules/enrich.js:1:1 in its message\n    at f (/opt/other.js:1:1)", nil),
            ("Error: x\n    at f (/srv/rules-of-others/enrich.js:1:1)", nil),
            ("Error: x\n    at f (/srv/rules/enrich.js)", nil), ("", nil),
            ("Error: x\n    at f (/srv/rules/enrich.js:1:one)", nil),
        ] as [(String, String?)]
    )
    func itIsTheFirstLineInTheRulesOwnFiles(stack: String, place: String?) {
        #expect(StackPlace.first(in: stack, below: "/srv/rules") == place)
        #expect(StackPlace.first(in: stack, below: "/srv/rules/") == place)
    }
}
