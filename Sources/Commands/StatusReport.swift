import AfterloginDelivery
import AfterloginEgress
import AfterloginJSON
import AfterloginKafka
import AfterloginObservability
import AfterloginRuleHost
import AfterloginRules

/// What `/status`, `/readyz` and `/metrics` are made of.
struct StatusReport: Sendable {
    var worker: Worker
    var chain: RuleChain
    var egress: WorkerEgress
    var metrics: Metrics
    private let heartbeat: Heartbeat

    init(worker: Worker, chain: RuleChain, egress: WorkerEgress, metrics: Metrics) {
        self.worker = worker
        self.chain = chain
        self.egress = egress
        self.metrics = metrics
        let others: [(name: String, ask: Heartbeat.Ask)] = [
            ("afterlogin.rules", { chain.ping($0) }), ("afterlogin.http", { egress.ping($0) }),
        ]
        self.heartbeat = Heartbeat(worker.threads + others)
        metrics.set(.buildInfo, 1, AfterloginCommand.version, LibraryVersion.text)
    }

    /// Which threads turn no more; nil while all do.
    func stall() -> String? {
        let silent = self.heartbeat.look().map { "\($0.name) has been stuck for \($0.silent.components.seconds) s" }
        return silent.isEmpty ? nil : silent.joined(separator: "; ")
    }

    /// An outage of an API is not a reason to take the worker away: it would wait as well elsewhere, and is named.
    ///
    /// Where no rule host lives, the cause is here.
    func readiness() -> Readiness {
        guard self.chain.hasScriptedRules else { return self.worker.readiness() }
        let hosts = self.chain.hostStatus()
        guard !hosts.isEmpty else { return .notReady("no rule host runs; the log says why the last one ended") }
        return self.worker.readiness(beside: Self.degradations(hosts))
    }

    /// Beyond a start and the longest turn: what a host may take without anything being wrong.
    private static let hostPatience = Duration.seconds(3)

    private static func degradations(_ hosts: [RuleHostStatus]) -> [Degradation] {
        guard let absence = hosts.absence, absence > self.hostPatience else { return [] }
        let details = "\(hosts.count == 1 ? "the one there is" : "all \(hosts.count)") start or don't answer"
        return [Degradation(.noRuleHost, "no rule host takes logins", lasts: absence, details: details)]
    }

    func degradations() -> [Degradation] {
        (self.chain.hasScriptedRules ? Self.degradations(self.chain.hostStatus()) : []) + self.worker.degradations()
    }

    func updatedMetrics() -> Metrics {
        self.worker.updateGauges()
        let causes = Set(self.degradations().map(\.cause))
        self.metrics.replace(
            .degraded,
            Degradation.Cause.allCases.map { ([$0.rawValue], causes.contains($0) ? 1 : 0) }
        )
        self.metrics.replace(.outages, self.egress.outages().map { ([$0.name], 1) })
        return self.metrics
    }

    func json() -> [UInt8] {
        let status = self.worker.status()
        let readiness = self.readiness()
        let failures = status.tally.failures.sorted { $0.key < $1.key }.map {
            (name: $0.key, value: JSONValue($0.value))
        }
        let report: JSONValue = [
            "ready": JSONValue(readiness.isReady),
            "reason": .string(readiness.reason),
            "degraded": .array(
                self.degradations().map {
                    [
                        "cause": .string($0.cause.rawValue), "since": .string($0.since),
                        "text": .string(self.egress.presentable($0.text)),
                    ]
                }
            ), "version": .string(AfterloginCommand.version),
            "uptimeSeconds": Self.seconds(status.uptime),
            "assignment": .array(status.assignment.map(Self.partition)),
            "inFlight": [
                "running": JSONValue(status.running), "admitted": JSONValue(status.admitted),
                "admittedBytes": JSONValue(status.admittedBytes), "beyondCommit": JSONValue(status.uncommitted),
                "oldestSeconds": status.oldest.map(Self.seconds) ?? .null,
                "intakeIsOpen": JSONValue(status.intakeIsOpen),
            ],
            "waiting": .array(
                status.waiting.sorted { $0.value > $1.value }.map {
                    ["reason": .string($0.key), "logins": JSONValue($0.value)]
                }
            ),
            "logins": [
                "updates": JSONValue(status.tally.updates), "denials": JSONValue(status.tally.denials),
                "failures": JSONValue(failures), "retries": JSONValue(status.tally.retries),
                "outages": JSONValue(status.tally.outages), "stale": JSONValue(status.tally.stale),
            ],
            "outages": .array(self.egress.outages().map(Self.outage)),
            "tokens": .array(self.egress.tokenStatus().map(Self.token)),
            "rules": .array(self.chain.ruleNames.map { self.rule($0) }),
            "ruleHosts": .array(self.chain.hostStatus().map(self.host)),
        ]
        // Looked at with curl, most often.
        return TerminalText.escaped(json: report.serialized())
    }

    private static func seconds(_ duration: Duration) -> JSONValue {
        JSONValue((duration / .milliseconds(1)).rounded() / 1_000)
    }

    private static func partition(_ partition: WorkerStatus.Partition) -> JSONValue {
        [
            "topic": .string(partition.partition.topic), "partition": JSONValue(partition.partition.partition),
            "epoch": JSONValue(partition.epoch), "committed": partition.committed.map { JSONValue($0) } ?? .null,
            "lag": partition.lag.map { JSONValue($0) } ?? .null,
        ]
    }

    private static func outage(_ outage: OutageStatus) -> JSONValue {
        [
            "name": .string(outage.name), "reason": .string(outage.reason), "lastsSeconds": Self.seconds(outage.lasts),
            "waiting": JSONValue(outage.waiting),
        ]
    }

    private static func token(_ token: TokenStatus) -> JSONValue {
        [
            "audience": .string(token.audience), "scope": .string(token.scope),
            "expiresInSeconds": token.expiresIn.map(Self.seconds) ?? .null, "fetches": JSONValue(token.fetches),
            "lastError": token.lastError.map { .string($0) } ?? .null,
        ]
    }

    private func rule(_ name: String) -> JSONValue {
        var counts: [(name: String, value: JSONValue)] = []
        var sum: Histogram?
        for outcome in ["completed", "denied", "failed"] {
            guard let histogram = self.metrics.histogram(.ruleDuration, name, outcome), histogram.count > 0 else {
                continue
            }
            counts.append((outcome, JSONValue(histogram.count)))
            if outcome == "completed" { sum = histogram }
        }
        func quantile(_ share: Double) -> JSONValue {
            sum?.quantile(share).map { JSONValue(($0 * 1_000_000).rounded() / 1_000) } ?? .null
        }
        return [
            "name": .string(name), "counts": JSONValue(counts),
            "milliseconds": ["p50": quantile(0.5), "p90": quantile(0.9), "p99": quantile(0.99)],
        ]
    }

    private func host(_ host: RuleHostStatus) -> JSONValue {
        [
            "process": JSONValue(host.process), "node": .string(host.nodeVersion), "ageSeconds": Self.seconds(host.age),
            "residentBytes": JSONValue(host.residentBytes), "inFlight": JSONValue(host.inFlight),
            "evaluations": JSONValue(host.evaluations), "deaths": JSONValue(host.deaths),
            "isRetiring": JSONValue(host.isRetiring),
            "taintedBy": .array(host.taintedBy.map { .string(self.egress.presentable($0)) }),
            "confinement": .array(host.confinement.map { .string($0) }),
            "notEnforced": .array(host.notEnforced.map { .string($0) }),
        ]
    }
}
