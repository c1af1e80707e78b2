import FoundationEssentials
import JSON
import RuleHost
import Synchronization

/// Builds the chain of a configuration: reads the rules' folder, starts the rule hosts, puts native rules in their places.
package struct RuleChainLoader: Sendable {
    package var configuration: Configuration
    package var nativeRules: [any Rule]
    package var egress: any Egress
    package var log: Log
    package var metrics: Metrics

    package init(
        configuration: Configuration,
        nativeRules: [any Rule],
        egress: any Egress,
        log: Log,
        metrics: Metrics
    ) {
        self.configuration = configuration
        self.nativeRules = nativeRules
        self.egress = egress
        self.log = log
        self.metrics = metrics
    }

    /// The chain, and what is worth knowing about it (skipped files, versions that differ, advice).
    package func load() async throws(RuleChainRefusal) -> (chain: RuleChain, notes: [RuleProblem]) {
        let directory = self.configuration.rules.directory.map(RuleDirectory.init(path:))
        let entries = directory?.entries ?? []
        var problems = (directory?.problems ?? []) + self.clashes(entries)
        var notes = (directory?.notes ?? [])
        notes += RuleAdvice.notes(entries, configured: Set(self.configuration.configuration.map(\.name)))
        if entries.isEmpty, self.nativeRules.isEmpty, problems.isEmpty {
            let place = self.configuration.rules.directory.map { "in \($0)" } ?? "and rules.directory is not set"
            problems.append(RuleProblem(file: "rules", reason: "there is no enabled rule \(place)"))
        }
        var hosts: RuleHostPool?
        var isDeath = false
        if !entries.isEmpty {
            var hostConfiguration = self.configuration.rules.host
            hostConfiguration.rulesDirectory = self.configuration.rules.directory.map(Self.absolute)
            let pool = RuleHostPool(
                configuration: hostConfiguration,
                load: self.message(entries),
                delegate: RuleHostLog(log: self.log, metrics: self.metrics, rules: entries.map(\.name))
            )
            do {
                notes += Self.places(try await pool.start().notes, entries)
                hosts = pool
            } catch {
                isDeath = problems.isEmpty && error.isDeath
                let refused = Self.places(error.problems, entries)
                problems += refused.isEmpty ? [RuleProblem(file: "rule host", reason: error.message)] : refused
            }
        }
        guard problems.isEmpty else {
            await hosts?.shutdown()
            throw RuleChainRefusal(problems: problems, isDeath: isDeath)
        }
        return (self.chain(entries, hosts), notes)
    }

    /// The host starts elsewhere, and Node's resolution wants a whole path.
    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    private func chain(_ entries: [RuleDirectory.Entry], _ hosts: RuleHostPool?) -> RuleChain {
        let idMayChange = entries.contains { RuleAdvice.changesID($0.source) }
        let hasClient = self.configuration.tenant.clientID != nil
        let scripted = entries.enumerated().map { index, entry in
            let readsAccessToken =
                RuleAdvice.readsAccessToken(entry.source)
                || hasClient && RuleAdvice.mayWriteToOthers(entry.source, idMayChange: idMayChange)
            return (
                order: entry.order,
                link: RuleChain.Link(name: entry.name, step: .scripted(index, readsAccessToken: readsAccessToken))
            )
        }
        let native = self.nativeRules.map { (order: $0.order, link: RuleChain.Link(name: $0.name, step: .native($0))) }
        return RuleChain(
            links: (scripted + native).sorted { $0.order < $1.order }.map(\.link),
            timeout: self.configuration.rules.timeout,
            egress: self.egress,
            log: self.log,
            metrics: self.metrics,
            hosts: hosts,
            mayWriteToOthers: hasClient
                && entries.contains { RuleAdvice.mayWriteToOthers($0.source, idMayChange: true) }
        )
    }

    /// Names and orders that two rules share: whichever ran first would be an accident.
    private func clashes(_ entries: [RuleDirectory.Entry]) -> [RuleProblem] {
        let rules =
            entries.map { (place: $0.orderPlace, name: $0.name, order: $0.order) }
            + self.nativeRules.map {
                (place: (file: "native rule", line: 0, column: 0), name: $0.name, order: $0.order)
            }
        var problems: [RuleProblem] = []
        for (index, rule) in rules.enumerated() {
            for other in rules[..<index] {
                if other.order == rule.order {
                    let reason = "\(rule.name) has order \(rule.order), as \(other.name) has (\(other.place.file))"
                    problems.append(
                        RuleProblem(
                            file: rule.place.file,
                            line: rule.place.line,
                            column: rule.place.column,
                            reason: reason
                        )
                    )
                }
                if other.name == rule.name {
                    let reason = "the name \(rule.name) is taken already (\(other.place.file))"
                    problems.append(RuleProblem(file: rule.place.file, reason: reason))
                }
            }
        }
        return problems
    }

    /// What every rule host is sent first.
    private func message(_ entries: [RuleDirectory.Entry]) -> LoadMessage {
        var load = LoadMessage()
        for (name, value) in self.configuration.configuration { load.configuration[name] = .string(value) }
        load.rules = entries.map { LoadMessage.Rule(name: $0.name, file: $0.file, source: $0.source) }
        load.quiet = self.configuration.rules.quiet
        load.tenantDomain = self.configuration.tenant.domain ?? ""
        load.maxBodyBytes = self.configuration.egress.maxResponseBytes
        return load
    }

    /// The problems or notes that a host reports, in our own words.
    private static func places(_ remarks: [RuleRemark], _ entries: [RuleDirectory.Entry]) -> [RuleProblem] {
        remarks.map { remark in
            let file = remark.file ?? entries.first { $0.name == remark.rule }?.file
            return RuleProblem(
                file: file ?? remark.rule ?? "rules",
                line: remark.line,
                column: remark.column,
                reason: remark.text
            )
        }
    }
}

/// Logs and counts what the rule hosts go through.
private final class RuleHostLog: RuleHostPoolDelegate {
    private let log: Log
    /// What is not enforced is said of the first host.
    private let hasSaidWhatIsMissing = Atomic(false)
    private let metrics: Metrics
    private let rules: [String]

    init(log: Log, metrics: Metrics, rules: [String]) {
        self.log = log
        self.metrics = metrics
        self.rules = rules
    }

    func hostStarted(_ host: RuleHostStatus) {
        self.log.log(
            .info,
            "rule host started",
            [
                ("process", "\(host.process)"), ("node", host.nodeVersion),
                ("confinement", host.confinement.joined(separator: ", ")),
            ]
        )
        guard !host.notEnforced.isEmpty,
            !self.hasSaidWhatIsMissing.exchange(true, ordering: .relaxed)
        else { return }
        let missing = host.notEnforced.joined(separator: ", ")
        guard host.mayReadEveryFile else { return self.log.log(.warning, "not enforced on this kernel: \(missing)") }
        self.log.log(.error, "\(RuleHostStatus.whatIsOpen) (missing: \(missing)); \(RuleHostStatus.whatToDo)")
    }

    func hostDied(_ host: RuleHostStatus, reason: String, culprit: EvaluationOutcome.Kill?) {
        self.metrics.add(.ruleHostDeaths, 1, culprit?.reason.rawValue ?? "unknown")
        self.log.log(.warning, "rule host died: \(reason)", [("process", "\(host.process)")])
    }

    func hostRetired(_ host: RuleHostStatus, reason: String) {
        self.log.log(.info, "rule host retires: \(reason)", [("process", "\(host.process)")])
    }

    func hostPrinted(_ text: String) { self.log.log(.info, text, [("source", "rule host")]) }

    func hostWarned(_ warning: HostWarning) {
        self.log.log(warning) { self.rules.indices.contains($0) ? self.rules[$0] : nil }
    }
}
