import AfterloginHTTPServer
import AfterloginJSON
import AfterloginKafka
import AfterloginObservability
import AfterloginRules
import AfterloginSandbox
import AfterloginSystem

/// A stand-in for the identity provider, its APIs and its logins, for staging.
enum SandboxCommand: Command {
    static let name = "sandbox"
    static let summary = "stands in for identity provider, APIs and logins, with faults that can be switched"
    static let example = "afterlogin sandbox --listen 127.0.0.1:8443 --brokers localhost:9092 --rate 20"
    static let options: [CommandOption] = [
        .value("listen", "HOST:PORT", "token endpoint, Management API, target APIs (default: 127.0.0.1:8443)"),
        .value("control", "HOST:PORT", "faults and statistics, plain HTTP (default: 127.0.0.1:8444)"),
        .value("names", "NAME,…", "of the certificate (default: localhost,127.0.0.1)"),
        .value("ca-file", "FILE", "where the certificate is written, for clients to trust"),
        .flag("plain", "HTTP without TLS, to measure what it costs"),
        .value("client", "ID", "the one client there is (default: sandbox-client)"),
        .value("client-secret-file", "FILE", "with its secret (without: sandbox-secret)"),
        .value("client-public-key", "FILE", "PEM, for private_key_jwt"),
        .value("audience", "URI", "that tokens are given for; may be repeated (default: https://profiles.example/api)"),
        .value("token-lifetime", "SECONDS", "of tokens (default: 3600)"),
        .value("token-quota", "N", "tokens an hour (default: without end)"),
        .value("door", "ENDPOINT=HOST:PORT", "a port of its own, for faults of its connections; may be repeated"),
        .value("fault", "NAME=JSON", "on from the start: slow={\"delay\":100,\"seconds\":30}; may be repeated"),
        .value("brokers", "HOST:PORT,…", "where logins are written"),
        .value("topic", "NAME", "of the logins (default: logins)"),
        .value("rate", "N", "logins per second (default: 0)"),
        .value("backlog", "N", "logins written at once at the start (default: 0)"),
        .value("users", "N", "that log in (default: 1000)"),
        .value("distribution", "NAME", "zipf: the hottest user has 1 % of the logins, or even (default: zipf)"),
        .value("seed", "N", "of users, logins and faults (default: 1)"),
        .value("format", "FORMAT", "text or json: how the addresses are printed"),
    ]
    static let notes = """
        Faults, of the endpoints token, users, profiles and slow, switched while it
        runs (/control/faults for all, /control/stats for counts):
          curl -X PUT CONTROL/control/faults/slow -d '{"error": 0.2, "seconds": 30}'
          curl -X DELETE CONTROL/control/faults/slow
        delay       in milliseconds: 100, {"uniform": [50, 150]},
                    {"exponential": 100} or {"lognormal": [80, 0.5]}
        error       a share of the requests, as 0.1, or
                    {"share": 0.1, "status": 503, "retry_after": 2}
        hang        a share that is read and never answered
        reset       a share whose connection is reset
        truncate    a share that is cut off after half of its length
        bucket      requests per second:
                    {"capacity": 100, "rate": 100, "status": 429, "retry_after": 1};
                    without retry_after it is the time until the next one is
                    allowed, with false none is sent
        size        bytes that an answer has at least
        connection  of a port as a whole, "main" or that of an endpoint with a
                    --door: refused, blackhole (no connection comes about) or
                    expired (its certificate)
        seconds     after which the fault ends by itself
        """

    static func run(_ arguments: Arguments, rules: [any Rule]) async throws(CommandFailure) -> ExitCode {
        try CommandFailure.requireDescriptors()
        let isJSON = try arguments.wantsJSON()
        let configuration = try self.configuration(arguments)
        let feed = try self.makeFeed(arguments, seed: configuration.seed)
        let rate = try arguments.integer("rate", 0...100_000, default: 0)
        let backlog = try arguments.integer("backlog", 0...10_000_000, default: 0)
        guard feed != nil || rate + backlog == 0 else {
            throw CommandFailure(
                message: "--rate and --backlog are logins that go to Kafka: add --brokers HOST:PORT",
                code: .usage
            )
        }
        let faults = try self.faults(arguments)
        let (stopped, stop) = AsyncStream.makeStream(of: Void.self)
        StopSignals.handle { stop.finish() }
        do {
            let sandbox = try SandboxServer(configuration)
            let address = try sandbox.start()
            do {
                for (endpoint, fault) in faults { try await sandbox.change(fault, on: endpoint) }
            } catch {
                await sandbox.stop()
                throw error
            }
            self.announce(address, isJSON: isJSON)
            let feeding = Task {
                guard let feed else { return }
                do {
                    try await feed.backlog(backlog, patience: .seconds(600))
                    if rate > 0 { try await feed.run(rate: Double(rate)) }
                } catch {
                    // Without its logins it is not what was asked for.
                    stop.finish()
                    throw error
                }
            }
            let telling = Task { if let feed { await self.tell(feed) } }
            for await _ in stopped {}
            telling.cancel()
            feeding.cancel()
            let result = await feeding.result
            await feed?.close()
            await sandbox.stop()
            do {
                try result.get()
            } catch is CancellationError {
                // The signal's.
            }
            return .done
        } catch let refusal as SandboxServer.Refusal {
            throw CommandFailure(message: refusal.description, code: .usage)
        } catch let error as HTTPServer.ListenError where error.isOfTheAddress {
            throw CommandFailure(message: error.description, code: .usage)
        } catch {
            throw CommandFailure(message: "\(error)")
        }
    }

    /// Says what keeps logins from being written, once, and that they are written again.
    private static func tell(_ feed: LoginFeed) async {
        var news = RepeatedProblem()
        while (try? await Task.sleep(for: .seconds(2))) != nil {
            let line = news.line(feed.problem.map { ($0.code, "\($0)") })
            if let line { Output.error("afterlogin sandbox: \(TerminalText.plain(line))") }
        }
    }

    private static func configuration(_ arguments: Arguments) throws(CommandFailure) -> SandboxConfiguration {
        var configuration = SandboxConfiguration()
        configuration.listen = arguments.value("listen") ?? "127.0.0.1:8443"
        configuration.control = arguments.value("control") ?? "127.0.0.1:8444"
        if let names = arguments.value("names") { configuration.names = names.split(separator: ",").map(String.init) }
        for text in arguments.values("door") {
            let parts = text.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let endpoint = Endpoint(rawValue: String(parts[0])) else {
                let known = Endpoint.allCases.map(\.rawValue).joined(separator: ", ")
                throw CommandFailure(
                    message: "--door takes ENDPOINT=HOST:PORT, with one of \(known), and not \(text)",
                    code: .usage
                )
            }
            configuration.doors[endpoint] = String(parts[1])
        }
        configuration.isPlain = arguments.has("plain")
        configuration.caFile = arguments.value("ca-file")
        configuration.clientID = arguments.value("client") ?? configuration.clientID
        if let file = arguments.value("client-secret-file") {
            configuration.clientSecret = String(try self.read(file).prefix { !$0.isNewline })
        }
        if let file = arguments.value("client-public-key") { configuration.clientPublicKey = try self.read(file) }
        let audiences = arguments.values("audience")
        if !audiences.isEmpty { configuration.audiences = Set(audiences) }
        configuration.tokenLifetime = .seconds(try arguments.integer("token-lifetime", 1...86_400, default: 3_600))
        if arguments.value("token-quota") != nil {
            let quota = try arguments.integer("token-quota", 0...1_000_000, default: 0)
            configuration.tokenQuota = .init(tokens: quota, window: .seconds(3_600))
        }
        configuration.seed = UInt64(try arguments.integer("seed", 0...Int.max, default: 1))
        return configuration
    }

    private static func read(_ file: String) throws(CommandFailure) -> String {
        do {
            return String(decoding: try SmallFile.read(file), as: UTF8.self)
        } catch {
            throw CommandFailure(
                message:
                    "cannot read \(file): \(error); --client-secret-file and --client-public-key take files that you may read",
                code: .usage
            )
        }
    }

    private static func makeFeed(_ arguments: Arguments, seed: UInt64) throws(CommandFailure) -> LoginFeed? {
        let name = arguments.value("distribution") ?? "zipf"
        guard let distribution = LoginGenerator.Distribution(rawValue: name) else {
            throw CommandFailure(message: "--distribution takes zipf or even, not \(name)", code: .usage)
        }
        guard let brokers = arguments.value("brokers") else { return nil }
        let generator = LoginGenerator(
            seed: seed,
            users: try arguments.integer("users", 1...10_000_000, default: 1_000),
            distribution: distribution,
            unverifiedShare: 0.03
        )
        do {
            return try LoginFeed(brokers: brokers, topic: arguments.value("topic") ?? "logins", generator: generator)
        } catch {
            throw CommandFailure(message: "\(error)", code: .usage)
        }
    }

    private static func faults(_ arguments: Arguments) throws(CommandFailure) -> [(Endpoint?, SwitchedFault)] {
        var faults: [(Endpoint?, SwitchedFault)] = []
        for text in arguments.values("fault") {
            let parts = text.split(separator: "=", maxSplits: 1)
            let endpoint = parts.first.flatMap { Endpoint(rawValue: String($0)) }
            guard parts.count == 2, endpoint != nil || parts[0] == "main" else {
                let known = (["main"] + Endpoint.allCases.map(\.rawValue)).joined(separator: ", ")
                throw CommandFailure(
                    message: "--fault takes NAME=JSON, with one of \(known), and not \(text)",
                    code: .usage
                )
            }
            do {
                faults.append((endpoint, try SwitchedFault(JSONValue(parsing: Array(parts[1].utf8)))))
            } catch {
                throw CommandFailure(message: "--fault \(text): \(error)", code: .usage)
            }
        }
        return faults
    }

    private static func announce(_ address: SandboxAddress, isJSON: Bool) {
        if isJSON {
            var value: JSONValue = ["url": .string(address.url), "control": .string(address.controlURL)]
            if !address.doors.isEmpty {
                let doors = address.doors.sorted { $0.key.rawValue < $1.key.rawValue }
                value["doors"] = JSONValue(doors.map { (name: $0.key.rawValue, value: .string($0.value)) })
            }
            value["caFile"] = address.caFile.map { .string($0) }
            Output.line(value.serialized())
        } else {
            Output.text("sandbox on \(address.url), control on \(address.controlURL)")
            for (endpoint, url) in address.doors.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                Output.text("\(endpoint.rawValue) on \(url)")
            }
        }
    }
}
