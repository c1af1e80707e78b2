import Testing

@testable import AfterloginRules

@Suite("What sources give away", .timeLimit(.minutes(1)))
struct RuleAdviceTests {
    @Test(arguments: [
        ("x(configuration.KEY, configuration['OTHER'])", ["KEY", "OTHER"]), ("x(configuration?.KEY)", ["KEY"]),
        ("const { KEY, OTHER: other = 1, 'a-b': c } = configuration;", ["KEY", "OTHER", "a-b"]),
        ("const { KEY: { deep } } = configuration", ["KEY"]), ("const c = configuration; x(c.KEY)", ["KEY"]),
        ("x(`${configuration.KEY}`)", ["KEY"]), ("x(global.configuration.KEY)", ["KEY"]),
        ("// configuration.KEY\n/* configuration.KEY */ x('configuration.KEY', \"configuration.KEY\")", []),
        ("x(`configuration.KEY`)", []), ("x(user.configuration.KEY)", []), ("/configuration.KEY/.test(x)", []),
        ("x(configuration.KEY); y(configuration.KEY)", ["KEY"]), ("if (configuration && x) y(configuration[name])", []),
    ])
    func keysAreFoundInCodeOnly(source: String, names: [String]) {
        let reads = RuleAdvice.configurationReads(ScriptScanner.tokens(of: source))
        #expect(reads.map(\.name) == names, "\(source)")
    }

    @Test func tokensHaveTheirPlaces() throws {
        let tokens = ScriptScanner.tokens(of: "a /* x\n */ .b\n  `c${d}e` // f\n;/g/i")
        #expect(tokens.map(\.text) == ["a", ".", "b", "c", "d", "e", ";", "/g/", "i"])
        #expect(tokens.map(\.line) == [1, 2, 2, 3, 3, 3, 4, 4, 4])
        #expect(tokens.map(\.column) == [1, 5, 6, 3, 7, 8, 1, 2, 5])
    }

    @Test func aKeywordOfTheDeployCLIIsOneInCodeOnly() {
        func found(_ source: String) -> Int { DeployKeyword.problems(.init(file: "a.js", source: source)).count }
        #expect(found("x('##KEY##', \"@@KEY@@\", `a ${b} ##OTHER##`)") == 3)
        #expect(found("x(@@KEY@@); y(##OTHER##)") == 2)
        #expect(found("// ##KEY##\n/* @@KEY@@ */ x('## KEY ##', '##key##')") == 0)
    }

    @Test func nonsenseEndsTheScanAndNothingElse() {
        var random = SystemRandomNumberGenerator()
        let alphabet = Array("'\"`${}/\\*[]()\n auth0.configuration=!?:;,x".utf8)
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                alphabet.randomElement(using: &random) ?? 0x20
            }
            let source = String(decoding: bytes, as: UTF8.self)
            let tokens = ScriptScanner.tokens(of: source)
            #expect(tokens.count <= bytes.count, "\(source)")
            #expect(tokens.allSatisfy { $0.line >= 1 && $0.column >= 1 }, "\(source)")
            _ = AccessTokenUse.find(in: [.init(file: "a", source: source)])
            _ = RuleAdvice.configurationReads(tokens)
        }
    }
}
