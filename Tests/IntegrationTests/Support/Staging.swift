import AfterloginJSON
import AfterloginKafka
import AfterloginSandbox
import Foundation
import Testing

/// A sandbox and workers, each a process of its own, on a real broker; topics of its own.
final class Staging {
    let broker: KafkaBroker
    let folder: TemporaryFolder
    private let sandbox: ChildProcess
    private let sandboxURL: String
    private let control: String
    private let name = "it-\(UInt32.random(in: .min ... .max))"
    private var workers: [ChildProcess] = []

    var topics: ResultAudit.Topics {
        ResultAudit.Topics(logins: [self.name], updates: "\(self.name)-updates", failures: "\(self.name)-failures")
    }

    /// A rule as people wrote them: its own token at every login, then the API, then the callback.
    static let rule = """
        async function enrich(user, context, callback) {
            const answer = await fetch(`https://${auth0.domain}/oauth/token`, {
                method: 'POST',
                headers: { 'content-type': 'application/json' },
                body: JSON.stringify({
                    grant_type: 'client_credentials', client_id: configuration.CLIENT_ID,
                    client_secret: configuration.CLIENT_SECRET, audience: 'https://profiles.example/api',
                }),
            });
            const { access_token } = await answer.json();
            const profile = await fetch(`${configuration.API}/profiles/${encodeURIComponent(user.user_id)}`, {
                headers: { authorization: `Bearer ${access_token}` },
            });
            if (!profile.ok) return callback(new Error(`profiles: ${profile.status}`));
            context.idToken.plan = (await profile.json()).plan;
            callback(null, user, context);
        }
        """

    /// `results`: settings of both result topics.
    init(
        _ broker: KafkaBroker,
        delayMilliseconds: Int = 0,
        rule: String = Staging.rule,
        results: [String: String] = [:]
    ) async throws {
        self.broker = broker
        self.folder = try TemporaryFolder()
        try self.folder.write(rule, to: "rules/enrich.js")
        try self.folder.write(#"{"order": 10, "enabled": true, "stage": "login_success"}"#, to: "rules/enrich.json")
        let sandbox = try ChildProcess(
            Executables.afterlogin,
            [
                "sandbox", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--format", "json", "--ca-file",
                "\(self.folder.path)/ca.pem", "--fault", "profiles={\"delay\":\(delayMilliseconds)}",
            ]
        )
        self.sandbox = sandbox
        try sandbox.waitUntil("the sandbox is up") { sandbox.standardOutputText.hasSuffix("\n") }
        let address = try JSONValue(parsing: Array(sandbox.standardOutputText.utf8))
        self.sandboxURL = try #require(address["url"]?.string)
        self.control = try #require(address["control"]?.string)
        let admin = try KafkaAdmin(brokers: broker.bootstrapServers, properties: [:])
        let names = self.topics.logins + [self.topics.updates, self.topics.failures]
        let problems = try await admin.create(
            names.map { name in
                let isInput = self.topics.logins.contains(name)
                return TopicSpecification(name: name, partitions: 8, configuration: isInput ? [:] : results)
            },
            timeout: .seconds(20)
        )
        await admin.close()
        #expect(problems.values.allSatisfy { $0 == nil })
    }

    /// Starts a worker of the group.
    func worker(_ settings: String...) throws -> ChildProcess {
        let host = self.sandboxURL.replacingOccurrences(of: "https://", with: "")
        let all =
            [
                "kafka.brokers=\(self.broker.bootstrapServers)", "kafka.group=\(self.name)",
                "kafka.input=\(self.topics.logins[0])", "kafka.properties.session.timeout.ms=6000",
                "results.updates=\(self.topics.updates)", "results.failures=\(self.topics.failures)",
                "rules.directory=\(self.folder.path)/rules", "tenant.domain=\(host)", "egress.allow=\(host)",
                "egress.ca_file=\(self.folder.path)/ca.pem", "configuration.API=\(self.sandboxURL)",
                "configuration.CLIENT_ID=sandbox-client", "configuration.CLIENT_SECRET=sandbox-secret",
                "admin.listen=none",
            ] + settings
        let worker = try ChildProcess(Executables.afterlogin, ["run"] + all.flatMap { ["--set", $0] })
        self.workers.append(worker)
        return worker
    }

    /// Writes logins, and returns when the broker has them.
    func produce(
        _ count: Int,
        users: Int = 5_000,
        seed: UInt64 = 1,
        distribution: LoginGenerator.Distribution = .zipfMandelbrot
    ) async throws {
        let generator = LoginGenerator(seed: seed, users: users, distribution: distribution, unverifiedShare: 0)
        let feed = try LoginFeed(
            brokers: self.broker.bootstrapServers,
            topic: self.topics.logins[0],
            generator: generator
        )
        try await feed.backlog(count)
        await feed.close()
    }

    func audit() throws -> ResultAudit {
        try ResultAudit(brokers: self.broker.bootstrapServers, topics: self.topics)
    }

    /// What the audit found when everything is read; closes it.
    func report(_ audit: ResultAudit) async throws -> AuditReport {
        #expect(try await audit.readToEnd())
        let report = audit.report()
        await audit.close()
        return report
    }

    /// Switches a fault of the sandbox; nil: off.
    func fault(_ endpoint: String, _ fault: String?) throws {
        var words = ["--silent", "--fail", "--request", fault == nil ? "DELETE" : "PUT"]
        if let fault { words += ["--data", fault] }
        let curl = try ChildProcess("curl", words + ["\(self.control)/control/faults/\(endpoint)"])
        #expect(curl.wait() == 0)
    }

    /// How often each audience's token was given.
    func tokens() throws -> [String: Int] {
        let members = try self.statistics()["tokens"]?.object?.members.map { ($0.name, $0.value.int ?? 0) } ?? []
        return Dictionary(uniqueKeysWithValues: members)
    }

    /// How many requests an endpoint got; with a status: how many it answered so.
    func requests(to endpoint: String, answered status: Int? = nil) throws -> Int {
        let requests = try self.statistics()["endpoints"]?[endpoint]
        guard let status else { return requests?["received"]?.int ?? 0 }
        return requests?["answered"]?["\(status)"]?.int ?? 0
    }

    private func statistics() throws -> JSONValue {
        let curl = try ChildProcess("curl", ["--silent", "--fail", "\(self.control)/control/stats"])
        return try JSONValue(parsing: Array(curl.waitForOutput().utf8))
    }

    /// Everything goes with it.
    func close() {
        for process in self.workers + [self.sandbox] { process.kill() }
    }
}
