import AfterloginTestSupport
import Testing

@testable import AfterloginEgress
@testable import AfterloginRules

@Suite("Hosts that the sources of rules name", .timeLimit(.minutes(1)))
struct LiteralHostTests {
    @Test(arguments: [
        ("fetch('https://api.example/a/b?c')", ["https://api.example"]),
        ("fetch(\"http://api.example:8080\")", ["http://api.example:8080"]),
        ("fetch(`https://api.example/users/${id}`)", ["https://api.example"]),
        // Who the host is only the rule knows.
        ("fetch(`https://${auth0.domain}/oauth/token`)", []), ("fetch(`https://api.${region}.example/`)", []),
        ("fetch(`https://api.example:${port}/`)", []),
        (
            "// 'https://comment.example'\n/* \"https://comment.example\"\n */ x('https://real.example')",
            ["https://real.example"]
        ),
        ("const text = 'see https://in.the.text';", []),
        ("'not closed https://a.example\nf('https://b.example')", ["https://b.example"]),
        // Names of claims.
        ("context.idToken['https://shop.example/plan'] = 1", []), ("x = { 'https://shop.example/plan': 1 }", []),
        ("const namespace = 'https://shop.example/'", []), ("x = { audience: 'https://api.example/' }", []),
        ("x = ok ? 'https://a.example' : 'https://b.example'", ["https://a.example", "https://b.example"]),
        ("urls = ['https://a.example', 'https://b.example']", ["https://a.example", "https://b.example"]),
        ("if (/['\"\\/]/.test(x)) f('https://a.example')", ["https://a.example"]),
        ("y = a / b; f('https://a.example') / 2", ["https://a.example"]),
        (
            "f(`${g('https://inner.example/x')}` + 'https:\\/\\/escaped.example/')",
            ["https://inner.example", "https://escaped.example"]
        ),
        ("f('ftp://a.example', 'https://', '`', \"https://a.example#x\")", ["https://a.example"]),
    ])
    func addressesInLiteralsAreFound(_ source: String, _ urls: [String]) {
        #expect(LiteralAddresses.find(in: ScriptScanner.tokens(of: source)).map(\.url) == urls, "\(source)")
    }

    @Test func nonsenseEndsTheScanAndNothingElse() {
        var random = SystemRandomNumberGenerator()
        let alphabet = Array("'\"`${}/\\*[]()\n https://a.b:;,x=".utf8)
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...60)).map { _ in alphabet.randomElement(using: &random) ?? 0x20 }
            let source = String(decoding: bytes, as: UTF8.self)
            #expect(LiteralAddresses.find(in: ScriptScanner.tokens(of: source)).count <= bytes.count, "\(source)")
        }
    }

    @Test func eachHostIsSaidOnceWithItsPlaceAndWhetherItIsAllowed() throws {
        let folder = try RuleFolder()
        let source =
            "function r(user, context, callback) {\n  fetch('https://a.example/1'); fetch('https://A.example/2');\n"
            + "  fetch('https://b.example:8443/');\n  callback(null, user, context);\n}"
        try folder.write("r.js", source)
        try folder.write("r.json", #"{"order": 1, "enabled": true, "stage": "login_success"}"#)
        var configuration = RuleSettings(file: "afterlogin.yaml")
        configuration.rules.directory = folder.path
        configuration.egress.allow = ["a.example", "b.example"]
        let hosts = LiteralHost.all(configuration)
        #expect(hosts.map(\.origin) == ["https://a.example", "https://b.example:8443"])
        #expect(hosts.map(\.isAllowed) == [true, false])
        #expect(hosts.map(\.line) == [2, 3] && hosts.allSatisfy { $0.file.hasSuffix("r.js") })
    }
}
