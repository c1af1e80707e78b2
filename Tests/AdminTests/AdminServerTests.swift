import AfterloginDelivery
import AfterloginHTTPClient
import AfterloginHTTPMessages
import AfterloginHTTPServer
import AfterloginObservability
import Foundation
import Synchronization
import Testing

@testable import AfterloginAdmin

@Suite(.timeLimit(.minutes(1)))
struct AdminServerTests {
    private final class Switch: Sendable {
        let isOn = Atomic(false)
    }

    private static func get(_ server: AdminServer, _ path: String, method: String = "GET") async throws -> HTTPResponse
    {
        let client = try HTTPClient()
        var request = HTTPRequest(method, "http://127.0.0.1:\(server.port)\(path)")
        request.allowsSpecialAddresses = true
        let response = try await client.send(request)
        await client.shutdown()
        return response
    }

    private static func metrics() -> Metrics {
        let metrics = Metrics()
        metrics.add(.failures, 2, "limit \"quoted\"\nand \\ more")
        metrics.set(.ready, 1)
        metrics.add(.recordsConsumed, 3, "logins")
        for value in [0.003, 0.4, 9_999] { metrics.series(.processDuration).observe(value) }
        return metrics
    }

    @Test
    func readinessSaysWhy() async throws {
        let readiness = Switch()
        let source = AdminSource(
            readiness: { readiness.isOn.load(ordering: .relaxed) ? .ready : .notReady("draining") },
            status: { Array(#"{"ready":true}"#.utf8) },
            metrics: { Metrics() }
        )
        let server = try AdminServer(listen: "127.0.0.1:0", source: source)
        var response = try await Self.get(server, "/readyz")
        #expect(response.status == 503)
        #expect(String(decoding: response.body, as: UTF8.self) == "draining\n")
        readiness.isOn.store(true, ordering: .relaxed)
        response = try await Self.get(server, "/readyz")
        #expect(response.status == 200)
        #expect(try await Self.get(server, "/livez").status == 200)
        #expect(try await Self.get(server, "/status").body == Array("{\"ready\":true}\n".utf8))
        #expect(try await Self.get(server, "/nothing").status == 404)
        #expect(try await Self.get(server, "/livez", method: "POST").status == 405)
        await server.stop()
    }

    @Test
    func aThreadThatIsStuckEndsTheLifeOfTheProcess() async throws {
        let isStuck = Switch()
        let source = AdminSource(
            stall: { isStuck.isOn.load(ordering: .relaxed) ? "afterlogin.rules has been stuck for 31 s" : nil },
            readiness: { .ready },
            status: { [] },
            metrics: { Metrics() }
        )
        let server = try AdminServer(listen: "127.0.0.1:0", source: source)
        #expect(try await Self.get(server, "/livez").status == 200)
        isStuck.isOn.store(true, ordering: .relaxed)
        let response = try await Self.get(server, "/livez")
        #expect(response.status == 503)
        #expect(String(decoding: response.body, as: UTF8.self) == "afterlogin.rules has been stuck for 31 s\n")
        await server.stop()
    }

    @Test
    func connectionsThatSayNothingDoNotKeepProbesOut() async throws {
        let source = AdminSource(readiness: { .ready }, status: { [] }, metrics: { Metrics() })
        let server = try AdminServer(listen: "127.0.0.1:0", source: source)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(server.port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let silent = (0..<100).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        for descriptor in silent {
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            #expect(status == 0)
        }
        let start = ContinuousClock.now
        #expect(try await Self.get(server, "/livez").status == 200)
        #expect(ContinuousClock.now - start < .seconds(20))
        for descriptor in silent { close(descriptor) }
        await server.stop()
    }

    /// More than are taken, each with a head that never ends: the oldest go.
    @Test
    func headsThatNeverEndDoNotKeepProbesOut() async throws {
        let source = AdminSource(readiness: { .ready }, status: { [] }, metrics: { Metrics() })
        let server = try AdminServer(listen: "127.0.0.1:0", source: source)
        let dripping = try (0..<143).map { _ in try Self.connection(server, "GET /livez HTTP/1.1\r\nX: ") }
        let start = ContinuousClock.now
        #expect(try await Self.get(server, "/livez").status == 200)
        // Nobody waits for their time to be over.
        #expect(ContinuousClock.now - start < .seconds(4))
        for descriptor in dripping { close(descriptor) }
        await server.stop()
    }

    private static func connection(_ server: AdminServer, _ text: String) throws -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(server.port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
        let bytes = Array(text.utf8)
        _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        return descriptor
    }

    /// A page in an operator's browser may have its own name lead here, and would read what it says.
    @Test(arguments: [
        ("evil.example", 421), ("evil.example:8080", 421), ("127.0.0.1.evil.example", 421), ("worker:8080", 200),
        ("Worker", 200), ("127.0.0.1:8080", 200), ("10.1.2.3", 200), ("[::1]:8080", 200), ("localhost:8080", 200),
        ("", 421), ("a b", 421), (nil, 200),
    ])
    func whoAsksByANameThatNobodyGaveHearsNothing(host: String?, status: Int) {
        let source = AdminSource(readiness: { .ready }, status: { Array("secret".utf8) }, metrics: { Metrics() })
        for path in ["/", "/status", "/metrics", "/readyz", "/nothing"] {
            let request = HTTPServer.Request(method: "GET", path: path, headers: host.map { ["Host": $0] } ?? [])
            let response = AdminServer.answer(request, source, hosts: ["worker"])
            #expect(response.status == (status == 200 && path == "/nothing" ? 404 : status), "\(path)")
        }
        // A probe that asks by a name must not end the worker, and hears no more than that it lives.
        let probe = HTTPServer.Request(method: "GET", path: "/livez", headers: host.map { ["Host": $0] } ?? [])
        #expect(AdminServer.answer(probe, source, hosts: ["worker"]).status == 200)
    }

    @Test
    func histogramsAreCumulativeAndLabelsEscaped() {
        let text = PrometheusText.render(Self.metrics().snapshot(), process: nil)
        #expect(text.contains("afterlogin_logins_failures_total{reason=\"limit \\\"quoted\\\"\\nand \\\\ more\"} 2\n"))
        #expect(
            text.contains("messaging_client_consumed_messages_total{messaging_destination_name=\"logins\"} 3\n")
        )
        #expect(text.contains("messaging_process_duration_seconds_bucket{le=\"0.005\"} 1\n"))
        #expect(text.contains("messaging_process_duration_seconds_bucket{le=\"3600\"} 2\n"))
        #expect(text.contains("messaging_process_duration_seconds_bucket{le=\"+Inf\"} 3\n"))
        #expect(text.contains("messaging_process_duration_seconds_count 3\n"))
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/promtool"), "needs promtool"))
    func promtoolAcceptsTheMetrics() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/promtool")
        process.arguments = ["check", "metrics"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = PrometheusText.render(Self.metrics().snapshot(), process: .current)
        try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
        let said = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        #expect(process.terminationStatus == 0, "\(said)")
    }

    @Test func theProcessSaysWhenItStartedAndWhatItMayOpen() throws {
        let before = Date().timeIntervalSince1970
        let process = try #require(ProcessFigures.current)
        // A test process is minutes old, and the kernel counts in hundredths.
        #expect(process.startTime > before - 7_200 && process.startTime <= before + 0.02)
        #expect(process.maxDescriptors > process.openDescriptors && process.openDescriptors > 0)
        #expect(process.residentBytes > 1 << 20)
        let text = PrometheusText.render([], process: process)
        #expect(text.contains("\nprocess_max_fds \(process.maxDescriptors)\n"))
        #expect(text.contains("\nprocess_start_time_seconds 1"))
    }
}
