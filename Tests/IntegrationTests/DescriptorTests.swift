import AfterloginJSON
import Foundation
import Testing

/// Where the system allows few open files (`ulimit -Hn`), calls wait, and nothing crashes.
@Suite("Few descriptors", .timeLimit(.minutes(3)))
struct DescriptorTests {
    private static let rule = """
        async function five(user, context, callback) {
            const answers = await Promise.all(configuration.HOSTS.split(' ').map((host) => fetch(`${host}/slow/a`)));
            const bodies = await Promise.all(answers.map((answer) => answer.json()));
            context.idToken['https://five.example/points'] = bodies.map((body) => body.points);
            callback(null, user, context);
        }
        """

    @Test(arguments: [(256, 100), (1_024, 300)])
    func aWorkerThatCallsFiveHostsAtATimeLosesNothing(_ limit: Int, _ logins: Int) throws {
        let folder = try TemporaryFolder()
        try folder.write(Self.rule, to: "rules/five.js")
        try folder.write(#"{"order": 1, "enabled": true, "stage": "login_success"}"#, to: "rules/five.json")
        let lines = (0..<logins).map {
            #"{"id":"e\#($0)","user":{"user_id":"auth0|\#($0)","email":"a@example.com"},"context":{}}"#
        }
        try folder.write(lines.joined(separator: "\n") + "\n", to: "logins")
        let endpoints = ["token", "users", "profiles", "slow"]
        let sandbox = try ChildProcess(
            Executables.afterlogin,
            ["sandbox", "--plain", "--names", "127.0.0.1", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
                + ["--format", "json", "--fault", #"slow={"delay":100}"#]
                + endpoints.flatMap { ["--door", "\($0)=127.0.0.1:0"] }
        )
        defer { sandbox.kill() }
        try sandbox.waitUntil("the sandbox is up") { sandbox.standardOutputText.hasSuffix("\n") }
        let address = try JSONValue(parsing: Array(sandbox.standardOutputText.utf8))
        let urls = try ([address["url"]] + endpoints.map { address["doors"]?[$0] }).map { try #require($0?.string) }
        let hosts = urls.map { $0.replacingOccurrences(of: "http://", with: "") }
        let worker = try ChildProcess(
            "/bin/sh",
            ["-c", "ulimit -n \(limit) && exec \"$@\"", "sh", Executables.afterlogin, "run"]
                + ["--input", "\(folder.path)/logins", "--output", "\(folder.path)/results"]
                + ["--set", "rules.directory=\(folder.path)/rules", "--set", "rules.timeout=2m"]
                + ["--set", "configuration.HOSTS=\(urls.joined(separator: " "))"]
                + ["--set", "egress.allow=\(hosts.joined(separator: ","))"]
        )
        #expect(worker.wait() == 0, "\(worker.standardErrorText.suffix(2_000))")
        let results = folder.text("results").split(separator: "\n")
        #expect(results.count == logins)
        #expect(results.allSatisfy { $0.contains("five.example") && !$0.contains("\"failure\"") })
    }

    @Test func whereHardlyAnyAreAllowedItSaysSo() throws {
        let words = ["-c", "ulimit -n 64 && exec \"$@\"", "sh", Executables.afterlogin, "run", "--input", "/dev/null"]
        let worker = try ChildProcess("/bin/sh", words)
        #expect(worker.wait() == 2)
        #expect(worker.standardErrorText.contains("only 64 open files are allowed (ulimit -Hn)"))
    }
}
