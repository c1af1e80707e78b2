import AfterloginHTTPMessages
import Testing

@testable import AfterloginEgress

@Suite(.timeLimit(.minutes(1)))
struct AllowListTests {
    /// What is wrong, in words that say what to write instead.
    @Test(arguments: [
        ("2001:db8::1", "in brackets"), ("[::1", "in brackets"), ("[::x]", "in brackets"),
        ("api.example:0", "a number from 1 to 65535"), ("api.example:https", "a number from 1 to 65535"),
        ("https://api.example", "the host alone, without http://"),
        ("api.example/path", "the host alone, without http://"),
        ("me:secret@api.example", "leave out what stands before the @"),
        ("bücher.example", "xn--"), ("a b", "letters, digits, hyphens and dots"),
    ])
    func aWrongEntryIsToldWhatToWrite(entry: String, words: String) {
        let failure = #expect(throws: HTTPFailure.self) { try AllowList([entry]) }
        #expect(failure?.message.contains(words) == true, "\(entry): \(failure?.message ?? "")")
    }

    @Test(arguments: [
        ("https://api.example/x", AllowList.Verdict.allowed(special: false)),
        ("https://API.Example./x", .allowed(special: false)),
        ("http://api.example/x", .allowed(special: false)),
        ("https://api.example:8443/x", .refused),
        ("https://port.example:8443/x", .allowed(special: false)),
        ("https://inside.example:8443/x", .allowed(special: true)),
        ("https://inside.example/x", .refused),
        ("https://database.corp.example/x", .allowed(special: true)),
        ("https://corp.example/x", .refused),
        ("http://localhost:9000/", .allowed(special: true)),
        ("https://private:8443/", .allowed(special: false)),
        ("https://port.example/x", .refused),
        ("https://a.wild.example/", .allowed(special: false)),
        ("https://a.b.wild.example/", .allowed(special: false)),
        ("https://wild.example/", .refused),
        ("https://evilwild.example/", .refused),
        ("https://10.0.0.1/", .allowed(special: true)),
        ("https://10.0.0.2/", .refused),
        ("http://[::1]:9000/", .allowed(special: true)),
        // Other spellings of 10.0.0.1 are other hosts, and so are credentials that look like one.
        ("https://012.0.0.1/", .refused),
        ("https://167772161/", .refused),
        ("https://api.example@evil.example/", .refused),
        ("https://evil.example/?https://api.example", .refused),
        ("https://evil.example#@api.example/", .refused),
    ])
    func onlyWhatIsNamedIsAllowed(url: String, expected: AllowList.Verdict) throws {
        let list = try AllowList([
            "api.example", "port.example:8443", "*.wild.example", "10.0.0.1", "[::1]:9000",
            "private:inside.example:8443", "private:*.corp.example", "localhost:9000", "private:8443",
        ])
        #expect(list.verdict(try EgressAddress(url)) == expected)
    }

    @Test(arguments: [
        "ftp://api.example/", "https://", "https:///x", "//api.example/", "https://api.example\\@evil.example/",
        "https://api%2eexample/", "https://api.example:99999/", "https://api.example:x/", "https://[api]/",
        "https://exa mple/",
    ])
    func anAddressThatCouldBeReadInTwoWaysIsRefused(url: String) {
        #expect(throws: HTTPFailure.self) { try EgressAddress(url) }
    }

    @Test
    func credentialsOfAnAddressTravelInAHeader() throws {
        let address = try EgressAddress("https://me:p%40ss@api.example/a?b#c")
        #expect(address.url == "https://api.example:443/a?b")
        #expect(address.authorization?.value == "Basic bWU6cEBzcw==")
    }
}
