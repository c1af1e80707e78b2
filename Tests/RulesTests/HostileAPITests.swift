import AfterloginJSON
import AfterloginObservability
import AfterloginRuleHost
import AfterloginRules
import AfterloginTestSupport
import Foundation
import Testing

@testable import AfterloginEgress

/// Real servers that mean harm, real hosts, the real egress, and every library that rules call APIs with.
@Suite("APIs that mean harm", .serialized, .timeLimit(.minutes(2)))
struct HostileAPITests {
    static let libraries = ["fetch", "axios", "request", "https", "undici"]

    private static let rule = """
        async function call(user, context, callback) {
            const axios = require('axios');
            const request = require('request');
            const libraries = {
                fetch: (url) => fetch(url).then((response) => response.text()),
                axios: (url) => axios.get(url).then(({ data }) => data),
                request: (url) => new Promise((resolve, reject) => {
                    request(url, (error, response, body) => (error ? reject(error) : resolve(body)));
                }),
                https: (url) => new Promise((resolve, reject) => {
                    const get = (address) => require(address.startsWith('https:') ? 'https' : 'http').get(address, (response) => {
                        let text = '';
                        response.on('data', (data) => { text += data; }).on('error', reject).on('end', () => {
                            if (response.headers.location) get(new URL(response.headers.location, address).href);
                            else resolve(text);
                        });
                    }).on('error', reject);
                    get(url);
                }),
                undici: (url) => {
                    new Response();
                    const dispatcher = globalThis[Symbol.for('undici.globalDispatcher.1')];
                    return fetch(url, { dispatcher }).then((response) => response.text());
                },
            };
            try {
                user.got = String(await libraries[user.library](user.url)).slice(0, 20);
            } catch (error) {
                user.failure = String(error.code || error.cause?.code || error.cause?.message || error);
            }
            callback(null, user, context);
        }
        """

    /// Runs the rule for one address; `{port}` is the server's.
    private func outcome(
        _ library: String,
        _ url: String,
        _ server: ScriptedServer
    ) async throws -> (
        got: String?, failure: String?
    ) {
        let folder = try RuleFolder()
        try folder.add("call", order: 1, Self.rule)
        var configuration = RuleSettings(file: "afterlogin.yaml")
        configuration.rules.directory = folder.path
        configuration.rules.host.count = 1
        configuration.egress.timeout = .seconds(1)
        configuration.egress.attempts = 1
        configuration.egress.maxResponseBytes = 1 << 20
        // The second is a name whose address nobody named.
        configuration.egress.allow = ["127.0.0.1:\(server.port)", "*.localhost:\(server.port)"]
        var calls = EgressSettings()
        calls.egress = configuration.egress
        let metrics = Metrics()
        let egress = try WorkerEgress(configuration: calls, log: .silent, metrics: metrics)
        let loader = RuleChainLoader(
            configuration: configuration,
            nativeRules: [],
            egress: egress,
            log: .silent,
            metrics: metrics
        )
        let chain = try await loader.load().chain
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("user_id", "auth0|1")
        writer.member("library", library)
        writer.member("url", url.replacingOccurrences(of: "{port}", with: "\(server.port)"))
        writer.endObject()
        let state = try ChainState(
            user: JSONText(validating: writer.bytes),
            context: JSONText(validating: Array("{}".utf8))
        )
        let (after, _) = await chain.evaluate(state, for: .test(id: "evt-1"))
        await chain.shutdown()
        return (after.user["got"]?.string, after.user["failure"]?.string)
    }

    /// The first block of a gzip stream that never ends: 2 MB of zeros in 13 KB.
    private static let bomb: [UInt8] = {
        var bytes: [UInt8] = []
        var (bits, count) = (0, 0)
        func append(_ value: Int, _ length: Int) {
            // Codes come with their highest bit first.
            for bit in (0..<length).reversed() {
                bits |= (value >> bit & 1) << count
                count += 1
                if count == 8 {
                    bytes.append(UInt8(bits))
                    (bits, count) = (0, 0)
                }
            }
        }
        // Not the last block; fixed codes; a zero; 258 zeros as before, 8,006 times; end of block.
        append(0b010, 3)
        append(0x30, 8)
        for _ in 0..<8_006 {
            append(0b1100_0101, 8)
            append(0, 5)
        }
        append(0, 7)
        return bytes
    }()

    private static let zeros = [UInt8](repeating: 0x30, count: 64 << 10)

    private static func script(_ connection: Int, _ request: String) -> [ScriptedServer.Step] {
        let path = request.split(separator: " ")[1]
        if path.hasPrefix("/redirect/") {
            let target = path.dropFirst("/redirect/".count).removingPercentEncoding ?? ""
            return [.text("HTTP/1.1 302 Found\r\nLocation: \(target)\r\nContent-Length: 0\r\n\r\n")]
        }
        return switch path {
        case "/large":
            [.text("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"), .sendForever(Self.zeros, every: 0)]
        case "/endless": [.text("HTTP/1.1 200 OK\r\n\r\n"), .sendForever(Self.zeros, every: 0)]
        case "/bomb":
            [
                .text("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"),
                .send([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]),
                .sendForever(Self.bomb, every: 0),
            ]
        case "/headers": [.text("HTTP/1.1 200 OK\r\n"), .sendForever(Array("x-more: and more\r\n".utf8), every: 0)]
        case "/drip": [.text("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), .sendForever([0x30], every: 100_000)]
        default: [.text("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")]
        }
    }

    static let inside = [
        "http://internal.localhost:{port}/secret", "http://127.0.0.1:1/secret",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:127.0.0.1]:{port}/secret", "http://0:{port}/secret",
        "http://localhost:{port}/secret",
    ]

    @Test(arguments: libraries)
    func aRedirectToAPrivateAddressIsRefused(_ library: String) async throws {
        let server = ScriptedServer(Self.script)
        defer { server.stop() }
        for target in Self.inside {
            let named = target.replacingOccurrences(of: "{port}", with: "\(server.port)")
            let escaped = named.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
            let (got, failure) = try await self.outcome(library, "http://127.0.0.1:{port}/redirect/\(escaped)", server)
            #expect(got == nil && failure != nil, "\(library) \(target): \(got ?? "") \(failure ?? "")")
        }
        #expect(server.requests.allSatisfy { $0.hasPrefix("GET /redirect/") })
        #expect(server.requests.count == Self.inside.count)
    }

    /// Paths of the server, and the codes that rules see.
    static let endless: [(path: String, code: String)] = [
        ("/large", "ERR_RESPONSE_TOO_LARGE"), ("/endless", "ERR_RESPONSE_TOO_LARGE"),
        ("/bomb", "ERR_RESPONSE_TOO_LARGE"), ("/headers", "HPE_HEADER_OVERFLOW"), ("/drip", "ETIMEDOUT"),
    ]

    @Test(arguments: libraries, endless)
    func whatAnAPISendsWithoutEndFailsTheCall(_ library: String, _ sent: (path: String, code: String)) async throws {
        let server = ScriptedServer(Self.script)
        defer { server.stop() }
        let start = ContinuousClock.now
        let (got, failure) = try await self.outcome(library, "http://127.0.0.1:{port}\(sent.path)", server)
        #expect(got == nil && failure == sent.code, "\(got ?? "") \(failure ?? "")")
        #expect(ContinuousClock.now - start < .seconds(15))
    }

    @Test(arguments: libraries)
    func aServerThatSpeaksNoTLSFailsTheCall(_ library: String) async throws {
        let server = ScriptedServer(Self.script)
        defer { server.stop() }
        let (got, failure) = try await self.outcome(library, "https://127.0.0.1:{port}/secret", server)
        #expect(got == nil && failure != nil, "\(got ?? "")")
    }
}
