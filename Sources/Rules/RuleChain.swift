import AfterloginEgress
import AfterloginJSON
import AfterloginObservability
package import AfterloginRuleHost

/// The rules of a worker, in order: native ones run here, runs of neighbouring JavaScript rules go to a rule host.
package final class RuleChain: ChainEvaluator {
    enum Step: Sendable {
        case native(any Rule)
        /// The rule's index in what the rule hosts have loaded.
        case scripted(Int, readsAccessToken: Bool)
    }

    struct Link: Sendable {
        var name: String
        var step: Step
    }

    let links: [Link]
    let timeout: Duration
    let egress: any Egress
    let log: Log
    let metrics: Metrics
    /// nil for a chain of native rules only: it starts no Node.
    let hosts: RuleHostPool?
    /// Where a native rule has changed the user's id, JavaScript rules write metadata of another account: with the worker's token.
    let mayWriteToOthers: Bool
    /// The rules' folder as stacks name it.
    let directory: String?
    private let deadlines = DeadlineSweeper()
    /// By rule, then by outcome.
    private let durations: [String: [RuleReport.Outcome: MetricSeries]]

    init(
        links: [Link],
        timeout: Duration,
        egress: any Egress,
        log: Log,
        metrics: Metrics,
        hosts: RuleHostPool?,
        mayWriteToOthers: Bool = false,
        directory: String? = nil
    ) {
        self.links = links
        self.timeout = timeout
        self.egress = egress
        self.log = log
        self.metrics = metrics
        self.hosts = hosts
        self.mayWriteToOthers = mayWriteToOthers
        self.directory = directory
        let durations = links.map { link in
            let byOutcome = RuleReport.Outcome.allCases.map {
                ($0, metrics.series(.ruleDuration, link.name, $0.rawValue))
            }
            return (link.name, Dictionary(uniqueKeysWithValues: byOutcome))
        }
        self.durations = Dictionary(durations) { $1 }
    }

    /// In order, for `/status` and the header `afterlogin-chain`.
    package var ruleNames: [String] { self.links.map(\.name) }

    package func evaluate(_ state: ChainState, for login: EvaluatedLogin) async -> (ChainState, ChainVerdict) {
        var state = state
        while state.next < self.links.count {
            let before = state.reports.count
            let verdict: ChainVerdict =
                switch self.links[state.next].step {
                case .native:
                    await NativeRun(chain: self, deadlines: self.deadlines).evaluate(&state, for: login)
                case .scripted: await self.evaluateScripted(&state, login)
                }
            self.observe(state.reports[min(before, state.reports.count)...])
            guard case .completed = verdict else { return (state, verdict) }
        }
        return (state, .completed)
    }

    private func evaluateScripted(_ state: inout ChainState, _ login: EvaluatedLogin) async -> ChainVerdict {
        guard let hosts = self.hosts else { preconditionFailure("a chain with JavaScript rules has rule hosts") }
        return await ScriptedRun(chain: self, hosts: hosts, range: self.scriptedRange(from: state.next))
            .evaluate(&state, for: login)
    }

    /// The run of neighbouring JavaScript rules that begins at `first`.
    private func scriptedRange(from first: Int) -> Range<Int> {
        let end = self.links[first...].firstIndex { if case .native = $0.step { true } else { false } }
        return first..<(end ?? self.links.count)
    }

    private func observe(_ reports: ArraySlice<RuleReport>) {
        for report in reports {
            self.durations[report.name]?[report.outcome]?.observe(report.milliseconds / 1_000)
        }
    }

    /// What a rule's error message becomes before anyone else sees it.
    func presentable(_ message: String) -> String { self.log.redactor.redact(message, limit: 1_000) }

    /// Whether it needs rule hosts.
    package var hasScriptedRules: Bool { self.hosts != nil }

    package func hostStatus() -> [RuleHostStatus] { self.hosts?.status() ?? [] }

    /// Calls back from the thread of the rule hosts, where there are any.
    package func ping(_ answer: @escaping @Sendable () -> Void) {
        if let hosts = self.hosts { hosts.ping(answer) } else { answer() }
    }

    /// Ends the rule hosts.
    package func shutdown() async { await self.hosts?.shutdown() }
}
