import AfterloginDelivery
import AfterloginEgress
import AfterloginHTTPMessages
import AfterloginKafka
import AfterloginRules

/// What must hold between the keys of a configuration, and in values that another part reads: all that is wrong at once.
struct ConfigurationCheck {
    private let configuration: Configuration
    /// Where each key was set last.
    private let places: [String: ConfigurationPlace]
    private let file: String?
    /// Those that were known before, first.
    private(set) var problems: [ConfigurationProblem]
    /// Worth knowing, and no reason to stop.
    private(set) var notes: [ConfigurationProblem] = []
    private let visible: RulesFolderContents

    init(
        _ configuration: Configuration,
        _ places: [String: ConfigurationPlace],
        file: String?,
        known: [ConfigurationProblem],
        visible: RulesFolderContents
    ) {
        self.configuration = configuration
        self.places = places
        self.file = file
        self.problems = known
        self.visible = visible
        self.checkKafka()
        self.checkBackoff("rules", configuration.rules.backoff)
        self.checkBackoff("egress", configuration.egress.backoff)
        self.checkEgress()
        self.checkTenant()
        self.checkAdmin()
        self.checkRulesFolder()
    }

    private mutating func checkRulesFolder() {
        guard let directory = self.configuration.rules.directory else { return }
        let remarks = self.visible.remarks(in: directory)
        for problem in remarks.problems { self.problem("rules.directory", problem) }
        for note in remarks.notes { self.note("rules.directory", note) }
    }

    private mutating func checkKafka() {
        let (kafka, results) = (self.configuration.kafka, self.configuration.results)
        if kafka.delivery == .transactional {
            self.problem(
                "kafka.delivery",
                "kafka.delivery: transactional is not supported yet: write at-least-once, or leave it out"
            )
        }
        for (name, value) in kafka.properties.sorted(by: { $0.key < $1.key }) {
            if let objection = KafkaProperties.objection(to: name, value) {
                self.problem("kafka.properties.\(name)", "kafka.properties: \(objection)")
            }
        }
        if kafka.brokers.isEmpty {
            self.problem("kafka.brokers", "kafka.brokers is empty: write host:port of one broker at least")
        }
        if kafka.input.isEmpty {
            self.problem("kafka.input", "kafka.input names no topic: write those with login events, as in [logins]")
        }
        let outputs = [("results.updates", results.updates), ("results.failures", results.failures)]
        for (key, topic) in kafka.input.map({ ("kafka.input", $0) }) + outputs where !Self.isTopic(topic) {
            let shown = topic.lastIndex(of: "@").map { "…\(topic[$0...])" } ?? topic
            let letters = "letters, digits, '.', '_' and '-' only, 249 at most"
            self.problem(key, "\(key): \(shown) can't be the name of a topic: write \(letters)")
        }
        for (key, topic) in outputs where kafka.input.contains(topic) {
            self.problem(
                key,
                "\(key) is \(topic), which kafka.input reads: the worker would read its own results; name another topic"
            )
        }
        if results.updates == results.failures {
            self.problem(
                "results.failures",
                "results.failures is \(results.failures), as results.updates is: name another topic"
            )
        }
    }

    private mutating func checkBackoff(_ section: String, _ backoff: Backoff) {
        guard backoff.base > backoff.cap else { return }
        self.problem(
            "\(section).backoff.base",
            "\(section).backoff.base is longer than \(section).backoff.cap: raise the cap, or lower the base"
        )
    }

    private mutating func checkEgress() {
        if !self.configuration.egress.tunnels.isEmpty {
            self.problem(
                "egress.tunnels",
                "egress.tunnels: tunnels are not supported yet: leave it out; rules reach http and https"
            )
        }
        for (name, profile) in self.configuration.tokens where profile.audience.isEmpty {
            self.problem(
                "tokens",
                "tokens.\(name) has no audience: write tokens.\(name).audience, the identifier of the API"
            )
        }
        for entry in self.configuration.egress.allow {
            do {
                _ = try AllowList([entry])
            } catch {
                // What stands before an @ is a user's name and password.
                let shown = entry.lastIndex(of: "@").map { "…\(entry[$0...])" } ?? entry
                self.problem(
                    "egress.allow",
                    "egress.allow: \(shown): \(error.message); it takes host, host:port or *.domain"
                )
            }
            guard let spelling = AllowList.privateSpelling(of: entry) else { continue }
            self.note(
                "egress.allow",
                "egress.allow: \(entry) looks like a name of your own network; where its address is a private one, "
                    + "calls to it are refused unless the entry says so: \(spelling)"
            )
        }
    }

    private mutating func checkTenant() {
        let tenant = self.configuration.tenant
        if let url = tenant.tokenURL { self.checkAddress("tenant.token_url", url) }
        if let domain = tenant.domain {
            if domain.contains("/") || domain.contains("@") {
                self.problem(
                    "tenant.domain",
                    "tenant.domain takes a host name, without https:// and without a path: example.eu.auth0.com"
                )
            } else {
                self.checkAddress("tenant.domain", "https://\(domain)")
            }
        }
        self.checkClient(tenant)
    }

    private mutating func checkAddress(_ path: String, _ url: String) {
        do {
            _ = try EgressAddress(url)
        } catch {
            self.problem(path, "\(path): \(error.message)")
        }
    }

    private mutating func checkClient(_ tenant: TenantSettings) {
        guard tenant.clientID != nil else {
            if !self.configuration.tokens.isEmpty {
                self.problem(
                    "tokens",
                    "tokens need a client that gets them: set tenant.client_id and tenant.client_secret, or leave tokens out"
                )
            }
            return
        }
        if tenant.resolvedTokenURL == nil {
            self.problem(
                "tenant.client_id",
                "tenant.client_id needs to know where tokens come from: set tenant.domain or tenant.token_url"
            )
        }
        switch tenant.clientAuth {
        case .clientSecretPost, .clientSecretBasic:
            if tenant.clientSecret == nil,
                !self.problems.contains(where: { $0.message.contains("tenant.client_secret") })
            {
                self.problem(
                    "tenant.client_id",
                    "tenant.client_secret is missing, which tenant.client_id needs: set it, or tenant.client_auth: private_key_jwt"
                )
            }
        case .privateKeyJWT:
            if tenant.privateKey == nil, !self.problems.contains(where: { $0.message.contains("tenant.private_key") }) {
                self.problem(
                    "tenant.client_auth",
                    "tenant.private_key is missing, which private_key_jwt needs: set it to ${file:KEY.pem}"
                )
            }
        }
    }

    private mutating func checkAdmin() {
        guard let listen = self.configuration.admin.listen else { return }
        if (try? EgressAddress.split(Array(listen.utf8)[...]))?.port == nil {
            self.problem("admin.listen", "admin.listen takes an address with its port: 127.0.0.1:8080")
        }
        for host in self.configuration.admin.hosts {
            let split = try? EgressAddress.split(Array(host.utf8)[...])
            guard split == nil || split?.port != nil else { continue }
            self.problem("admin.hosts", "admin.hosts takes names without a port")
        }
    }

    private mutating func note(_ path: String, _ message: String) {
        self.notes.append(ConfigurationProblem(place: self.place(path), message: message))
    }

    private mutating func problem(_ path: String, _ message: String) {
        self.problems.append(ConfigurationProblem(place: self.place(path), message: message))
    }

    private func place(_ path: String) -> ConfigurationPlace {
        self.places[path] ?? ConfigurationPlace(name: self.file ?? "configuration")
    }

    /// Kafka's own rule.
    private static func isTopic(_ name: String) -> Bool {
        (1...249).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D
                    || $0 == 0x2E
                    || $0 == 0x5F
            }
    }
}
