package import AfterloginEgress
import AfterloginJSON
package import AfterloginObservability
import AfterloginRuleHost
import FoundationEssentials
import Synchronization

/// Builds the chain of a configuration: reads the rules' folder, starts the rule hosts, puts native rules in their places.
package struct RuleChainLoader: Sendable {
    package var configuration: RuleSettings
    package var nativeRules: [any Rule]
    package var egress: any Egress
    package var log: Log
    package var metrics: Metrics

    package init(
        configuration: RuleSettings,
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
    ///
    /// - Throws: All that is wrong with the rules, with the same notes.
    package func load() async throws(RuleChainRefusal) -> (chain: RuleChain, notes: [RuleProblem]) {
        let directory = self.configuration.rules.directory.map(RuleDirectory.init(path:))
        let entries = directory?.entries ?? []
        // What can't have its place is compiled all the same: all that is wrong is said at once.
        let scripts = entries + (directory?.unplaced ?? [])
        // Where a native rule changes it, the run asks for the token.
        let idMayChange = scripts.contains { AccessTokenUse.changesID($0.scripts) }
        var uses = scripts.map { AccessTokenUse.find(in: $0.scripts, idMayChange: idMayChange) }
        var problems = (directory?.problems ?? []) + self.clashes(entries) + self.tokenProblems(uses)
        var notes = (directory?.notes ?? [])
        notes += RuleAdvice.notes(scripts, self.configuration) + self.tokenNotes(scripts)
        if scripts.isEmpty, self.nativeRules.isEmpty, problems.isEmpty { problems.append(self.noRule(directory)) }
        var hosts: RuleHostPool?
        var isDeath = false
        if !scripts.isEmpty {
            var hostConfiguration = self.configuration.rules.host
            hostConfiguration.rulesDirectory = self.configuration.rules.directory.map(Self.absolute)
            let pool = RuleHostPool(
                configuration: hostConfiguration,
                load: self.message(scripts),
                delegate: RuleHostLog(log: self.log, metrics: self.metrics, rules: scripts.map(\.name))
            )
            do {
                let reply = try await pool.start()
                notes += self.places(reply.notes, scripts)
                notes += self.take(reply.tokenFiles, of: scripts, idMayChange, into: &uses)
                hosts = pool
            } catch {
                isDeath = problems.isEmpty && error.isDeath
                let refused = self.places(error.problems, scripts)
                problems += refused.isEmpty ? [RuleProblem(file: "rule host", reason: error.message)] : refused
                notes += self.places(error.notes, scripts)
            }
        }
        problems = Self.withoutConsequences(problems)
        guard problems.isEmpty else {
            await hosts?.shutdown()
            throw RuleChainRefusal(problems: problems, notes: notes, isDeath: isDeath)
        }
        return (self.chain(entries, uses, hosts), notes)
    }

    private func noRule(_ directory: RuleDirectory?) -> RuleProblem {
        guard let path = self.configuration.rules.directory else {
            let reason =
                "there is no rule: set rules.directory to the folder of your rules, in \(self.configuration.file) "
                + "or with --set rules.directory=FOLDER"
            return RuleProblem(file: "rules", reason: reason)
        }
        return RuleProblem(file: path, reason: "there is no enabled rule: \(directory?.emptiness ?? "none was found")")
    }

    /// A keyword that was not replaced is no JavaScript either: the cause is enough.
    private static func withoutConsequences(_ problems: [RuleProblem]) -> [RuleProblem] {
        problems.filter { problem in
            guard problem.reason.hasPrefix("SyntaxError: ") else { return true }
            return !problems.contains { $0.file == problem.file && $0.reason.contains(DeployKeyword.what) }
        }
    }

    // MARK: auth0.accessToken

    /// What the worker lacks for a Management API token; nil where it can ask for one.
    private var lackForToken: String? {
        let tenant = self.configuration.tenant
        if tenant.clientID == nil { return "tenant.client_id and tenant.client_secret" }
        return tenant.resolvedManagementAudience == nil ? "tenant.domain, or tenant.management_audience," : nil
    }

    private func tokenProblems(_ uses: [AccessTokenUse?]) -> [RuleProblem] {
        self.remarks(uses, of: .token) { lack in
            "reads auth0.accessToken, or hands auth0 to code that may: the worker needs a client of its own for "
                + "that; set \(lack) in \(self.configuration.file) to an application that may use the Management API"
        }
    }

    private func tokenNotes(_ scripts: [RuleDirectory.Entry]) -> [RuleProblem] {
        // What other rules may make of an id is nothing to speak of.
        let uses = scripts.map { AccessTokenUse.find(in: $0.scripts) }
        return self.remarks(uses, of: .otherUser) { lack in
            "may write metadata of another user than the one who logs in, which fails without a client of the "
                + "worker's own: set \(lack) in \(self.configuration.file), or write user.user_id"
        }
    }

    /// What packages look for by themselves, in the global `auth0`, is what the rules need that load them.
    ///
    /// - Returns: What is undefined for them. That is no error: how much they need it is not known here.
    private func take(
        _ files: [LoadReply.TokenFile],
        of scripts: [RuleDirectory.Entry],
        _ idMayChange: Bool,
        into uses: inout [AccessTokenUse?]
    ) -> [RuleProblem] {
        var notes: [RuleProblem] = []
        for file in files {
            let script = RuleDirectory.Script(file: file.file, source: file.source)
            guard let use = AccessTokenUse.find(in: [script], idMayChange: idMayChange) else { continue }
            for index in scripts.indices where file.rules.contains(scripts[index].name) {
                if uses[index]?.need != .token { uses[index] = use }
            }
            guard let lack = self.lackForToken, use.need == .token, !Self.isOwn(file, scripts) else { continue }
            let reason =
                "reads auth0.accessToken, which is undefined without a client of the worker's own: where it is "
                + "needed, set \(lack) in \(self.configuration.file) to an application that may use the Management API"
            notes.append(RuleProblem(file: file.file, line: use.line, column: use.column, reason: reason))
        }
        return notes
    }

    /// A file of the folder that a rule requires by its path; a host knows it by its whole path.
    private static func isOwn(_ file: LoadReply.TokenFile, _ scripts: [RuleDirectory.Entry]) -> Bool {
        scripts.contains { $0.helpers.contains { $0.source == file.source } }
    }

    /// Of the uses with that need, where the worker lacks what they take.
    private func remarks(
        _ uses: [AccessTokenUse?],
        of need: AccessTokenUse.Need,
        _ reason: (String) -> String
    ) -> [RuleProblem] {
        guard let lack = self.lackForToken else { return [] }
        return uses.compactMap { $0 }.filter { $0.need == need }.map { use in
            RuleProblem(file: use.file, line: use.line, column: use.column, reason: reason(lack))
        }
    }

    /// The host starts elsewhere, and Node's resolution wants a whole path.
    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    private func chain(
        _ entries: [RuleDirectory.Entry],
        _ uses: [AccessTokenUse?],
        _ hosts: RuleHostPool?
    ) -> RuleChain {
        let hasToken = self.lackForToken == nil
        let scripted = entries.enumerated().map { index, entry in
            let readsAccessToken = hasToken && uses[index] != nil
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
            mayWriteToOthers: hasToken
                && entries.contains { AccessTokenUse.find(in: $0.scripts, idMayChange: true) != nil },
            directory: self.configuration.rules.directory.map(Self.absolute)
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
                    let reason =
                        "\(rule.name) has order \(rule.order), as \(other.name) has (\(other.place.file)): give "
                        + "one of them another, so that it is certain which runs first"
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
                    let reason =
                        "the name \(rule.name) is taken already (\(other.place.file)): give this rule another \"name\""
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
        load.reach = self.egress.reach
        return load
    }

    /// The problems or notes that a host reports, in our own words.
    private func places(_ remarks: [RuleRemark], _ entries: [RuleDirectory.Entry]) -> [RuleProblem] {
        let directory = self.configuration.rules.directory ?? ""
        let whole = Self.absolute(directory)
        return remarks.map { remark in
            // Hosts know the folder by its whole path, and people as they have named it.
            let given = remark.file.map { $0.hasPrefix(whole) ? directory + $0.dropFirst(whole.count) : $0 }
            let file = given ?? entries.first { $0.name == remark.rule }?.file
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
        guard host.mayReadEveryFile else {
            return self.log.log(
                .warning,
                "not enforced on this kernel: \(missing); with rules.host.confinement: required afterlogin starts only where all of it is"
            )
        }
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
