import AfterloginHTTPClient
import AfterloginHTTPMessages
import Testing

/// Where requests may not go: private, loopback, link-local and other special addresses.
@Suite(.timeLimit(.minutes(1)))
struct SpecialAddressTests {
    private static let okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test(arguments: [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "[::1]", "[::]", "user@127.0.0.1", "127.0.0.1.", "127。0。0。1",
    ])
    func noSpellingOfThisMachineIsReached(host: String) async throws {
        let server = RawServer(answer: Self.okay)
        defer { server.stop() }
        let client = try HTTPClient()
        let request = HTTPRequest("GET", server.url("/", host: host))
        let failure = try #require(await client.failure(of: request))
        #expect([.addressRefused, .invalidRequest, .nameNotFound].contains(failure.kind))
        #expect(!failure.sentBytes)
        #expect(server.log.value.accepted == 0)
        await client.shutdown()
    }

    @Test(arguments: [
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fd00::1]",
        "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[ff02::1]", "255.255.255.255",
    ])
    func noPrivateAddressIsTried(host: String) async throws {
        let client = try HTTPClient()
        let failure = try #require(await client.failure(of: HTTPRequest("GET", "http://\(host):9/")))
        #expect(failure.kind == .addressRefused)
        #expect(failure.code == "EACCES")
        #expect(failure.port == 9)
        #expect(failure.address == host.trimmed)
        #expect(!failure.sentBytes)
        await client.shutdown()
    }

    @Test func aConnectionOfARequestWithMoreRightsIsNotUsed() async throws {
        let server = RawServer(answer: Self.okay)
        defer { server.stop() }
        let client = try HTTPClient()
        for _ in 0..<3 {
            #expect(try await client.send(.local(server.url())).status == 200)
            let failure = await client.failure(of: HTTPRequest("GET", server.url("/refused")))
            #expect(failure?.kind == .addressRefused)
            #expect(failure?.sentBytes == false)
        }
        #expect(server.log.value.requests.allSatisfy { $0.hasPrefix("GET / ") })
        #expect(server.log.value.requests.count == 3)
        await client.shutdown()
    }

    @Test(
        arguments: [
            (0x00ff_ffff, true), (0x0100_0000, false), (0x09ff_ffff, false), (0x0a00_0000, true), (0x0aff_ffff, true),
            (0x0b00_0000, false), (0x643f_ffff, false), (0x6440_0000, true), (0x647f_ffff, true), (0x6480_0000, false),
            (0x7eff_ffff, false), (0x7f00_0000, true), (0x7fff_ffff, true), (0x8000_0000, false), (0xa9fd_ffff, false),
            (0xa9fe_0000, true), (0xa9fe_ffff, true), (0xa9ff_0000, false), (0xac0f_ffff, false), (0xac10_0000, true),
            (0xac1f_ffff, true), (0xac20_0000, false), (0xc000_00ff, true), (0xc000_0100, false), (0xc000_0200, true),
            (0xc058_6301, true), (0xc0a7_ffff, false), (0xc0a8_0000, true), (0xc0a8_ffff, true), (0xc0a9_0000, false),
            (0xc611_ffff, false), (0xc612_0000, true), (0xc613_ffff, true), (0xc614_0000, false), (0xc633_6401, true),
            (0xcb00_7101, true), (0xcb00_7201, false), (0xdfff_ffff, false), (0xe000_0000, true), (0xffff_ffff, true),
            (0x0808_0808, false), (0x0101_0101, false),
        ] as [(UInt32, Bool)]
    )
    func networksOfIPv4EndWhereTheyEnd(address: UInt32, isSpecial: Bool) {
        #expect(SpecialAddress.contains(ipv4: address) == isSpecial)
        #expect(SpecialAddress.contains(ipv6: 0, 0xffff_0000_0000 | UInt64(address)) == isSpecial)
        #expect(SpecialAddress.contains(ipv6: 0x0064_ff9b_0000_0000, UInt64(address)) == isSpecial)
    }

    @Test(
        arguments: [
            (0, 0, true), (0, 1, true), (0, 0x7f00_0001, true), (0xfe80 << 48, 1, true), (0xfc00 << 48, 1, true),
            (0xfdff << 48, 1, true), (0xff02 << 48, 1, true), (0x2001 << 48, 1, true), (0x2001_01ff << 32, 1, true),
            (0x2001_0200 << 32, 1, false), (0x2001_0db8 << 32, 1, true), (0x2001_0db9 << 32, 1, false),
            (0x2001_4860_4860 << 16, 0x8888, false), (0x2002 << 48, 1, true), (0x2003 << 48, 1, false),
            (0x1fff << 48, 1, true), (0x2000 << 48, 1, false), (0x3fff << 48, 1, true), (0x3fff_1000 << 32, 1, false),
            (0x4000 << 48, 1, true), (0x0064_ff9b_0001_0000, 1, true), (0x0100 << 48, 1, true),
        ] as [(UInt64, UInt64, Bool)]
    )
    func networksOfIPv6EndWhereTheyEnd(high: UInt64, low: UInt64, isSpecial: Bool) {
        #expect(SpecialAddress.contains(ipv6: high, low) == isSpecial)
    }
}

extension String {
    /// Without the brackets of an IPv6 host.
    fileprivate var trimmed: String { self.replacing("[", with: "").replacing("]", with: "") }
}
