import Foundation
import Testing

/// Every service of `docker-compose.yml`, its command line, environment and health check read from the file, run on this machine against a
/// real broker.
///
/// Only what a container network gives is replaced: names, ports and mount points.
@Suite(
    .enabled(if: KafkaBroker.isAvailable && ComposeFile.isAvailable, "needs KAFKA_HOME and docker-compose"),
    .timeLimit(.minutes(5))
)
struct ComposeRehearsalTests {
    @Test
    func theStagingSetUpRunsAndStopsInOrder() throws {
        let compose = try ComposeFile()
        let kafka = try #require(compose.services["kafka"])
        let broker = try KafkaBroker(Self.properties(kafka.environment))
        let place = try Place(broker: broker)

        // The health check of the broker is one of Kafka's scripts; this is the program behind it.
        let versions = try broker.tool(
            ["org.apache.kafka.tools.BrokerApiVersionsCommand"] + place.local(kafka.healthCheck.dropFirst())
        )
        #expect(versions.wait() == 0, "\(versions.standardErrorText)")

        let topics = try place.start(#require(compose.services["topics"]))
        #expect(topics.wait() == 0, "\(topics.standardErrorText)")

        let sandboxService = try #require(compose.services["sandbox"])
        let sandbox = try place.start(sandboxService)
        try place.waitUntilHealthy(sandbox, sandboxService)

        let worker = try place.start(#require(compose.services["worker"]))
        try worker.waitUntil("the worker is ready") { place.get("\(place.admin)/readyz").status == 200 }
        try worker.waitUntil("updates have been published") {
            place.get("\(place.admin)/metrics").body.split(separator: "\n").contains {
                $0.hasPrefix("afterlogin_logins_finished_total{outcome=\"update\"}") && !$0.hasSuffix(" 0")
            }
        }

        let prometheusService = try #require(compose.services["prometheus"])
        let prometheus = try ChildProcess(
            "prometheus",
            place.local(prometheusService.command)
                + [
                    "--storage.tsdb.path=\(place.folder.path)/prometheus",
                    "--web.listen-address=127.0.0.1:\(place.prometheusPort)",
                ]
        )
        try prometheus.waitUntil("Prometheus has scraped the worker") {
            place.get("http://127.0.0.1:\(place.prometheusPort)/api/v1/query?query=up").body.contains("\"1\"]")
        }

        for process in [worker, sandbox] {
            process.send(SIGTERM)
            #expect(process.wait() == 0, "\(process.standardErrorText.suffix(2_000))")
        }
    }

    /// `KAFKA_NODE_ID` is `node.id`, as the image's own start script has it; the heap is the virtual machine's.
    private static func properties(_ environment: [String: String]) -> [String: String] {
        let settings = environment.filter { $0.key.hasPrefix("KAFKA_") && $0.key != "KAFKA_HEAP_OPTS" }
        return Dictionary(
            uniqueKeysWithValues: settings.map { name, value in
                (name.dropFirst("KAFKA_".count).lowercased().replacingOccurrences(of: "_", with: "."), value)
            }
        )
    }

    /// This machine in the place of the container network.
    private final class Place {
        let folder: TemporaryFolder
        let prometheusPort: Int
        let admin: String
        private let replacements: [(String, String)]

        init(broker: KafkaBroker) throws {
            let folder = try TemporaryFolder()
            let (sandboxPort, controlPort, adminPort) = try (FreePort.take(), FreePort.take(), FreePort.take())
            self.folder = folder
            self.prometheusPort = try FreePort.take()
            self.admin = "http://127.0.0.1:\(adminPort)"
            self.replacements = [
                ("kafka:9092", broker.bootstrapServers),
                ("localhost:9092", broker.bootstrapServers),
                ("0.0.0.0:8443", "127.0.0.1:\(sandboxPort)"),
                ("sandbox:8443", "localhost:\(sandboxPort)"),
                ("--names=sandbox", "--names=localhost"),
                ("0.0.0.0:8444", "127.0.0.1:\(controlPort)"),
                ("127.0.0.1:8444", "127.0.0.1:\(controlPort)"),
                ("0.0.0.0:8080", "127.0.0.1:\(adminPort)"),
                ("worker:8080", "127.0.0.1:\(adminPort)"),
                ("/etc/afterlogin", "\(folder.path)/staging"),
                ("/etc/prometheus", folder.path),
                ("/certificates", folder.path),
                ("/run/secrets", folder.path),
            ]
            try folder.write("rehearsal-secret\n", to: "rule_app_client_secret")
            let deploy = "\(Executables.repository)/deploy"
            try self.copy("\(deploy)/prometheus.yml", to: "prometheus.yml")
            for file in try FileManager.default.subpathsOfDirectory(atPath: "\(deploy)/staging")
            where file.contains(".") {
                try self.copy("\(deploy)/staging/\(file)", to: "staging/\(file)")
            }
        }

        private func copy(_ file: String, to name: String) throws {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            try self.folder.write(self.local(text), to: name)
        }

        func local(_ text: String) -> String {
            self.replacements.reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
        }

        func local(_ words: some Sequence<String>) -> [String] { words.map { self.local($0) } }

        func start(_ service: ComposeFile.Service) throws -> ChildProcess {
            // What the image sets, then what the service sets.
            let environment = service.environment.mapValues { self.local($0) }
            return try ChildProcess(Executables.afterlogin, self.local(service.command), environment: environment)
        }

        func waitUntilHealthy(_ process: ChildProcess, _ service: ComposeFile.Service) throws {
            let check = self.local(service.healthCheck)
            try process.waitUntil("its health check passes") {
                try ChildProcess(check[0], Array(check.dropFirst())).wait() == 0
            }
        }

        func get(_ url: String) -> (status: Int, body: String) {
            guard let curl = try? ChildProcess("curl", ["--silent", "--globoff", "--write-out", "\n%{http_code}", url])
            else {
                return (0, "")
            }
            let lines = curl.waitForOutput().split(separator: "\n", omittingEmptySubsequences: false)
            return (lines.last.flatMap { Int($0) } ?? 0, lines.dropLast().joined(separator: "\n"))
        }
    }
}
