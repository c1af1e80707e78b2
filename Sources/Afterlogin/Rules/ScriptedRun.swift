import HTTPClient
import JSON
import RuleHost

/// One evaluation of a run of neighbouring JavaScript rules on a rule host.
struct ScriptedRun {
    let chain: RuleChain
    let hosts: RuleHostPool
    /// In the chain; never empty.
    let range: Range<Int>

    func evaluate(_ state: inout ChainState) async -> ChainVerdict {
        var accessToken: String?
        if self.needsAccessToken {
            switch await self.chain.egress.managementToken(deadline: .now + self.chain.timeout) {
            case .token(let token): accessToken = token
            case .outage(let outage): return .outage(outage)
            case .refused(let reason): self.chain.log.log(.warning, "no Management API token for rules: \(reason)")
            }
        }
        let token = EvaluationToken()
        let client = ScriptedCalls(chain: self.chain, hosts: self.hosts, token: token, names: self.names)
        let evaluation = Evaluation(
            head: self.head(accessToken),
            user: Array(state.user.bytes),
            context: Array(state.context.bytes),
            // The host keeps each rule's own deadline; this is for a host that doesn't.
            deadline: self.chain.timeout * self.range.count + .seconds(5)
        )
        let outcome = await self.hosts.evaluate(evaluation, token: token, client: client)
        client.finish()
        if let outage = client.calls.outage { return .outage(outage) }
        switch outcome {
        case .done(let head, let user, let context):
            return self.done(head, user, context, &state, client.calls)
        case .killed(let kill):
            return self.killed(kill, &state, client.calls)
        case .cancelled, .stopped:
            return .stopped
        }
    }

    private var needsAccessToken: Bool {
        self.chain.links[self.range].contains { link in
            if case .scripted(_, let readsAccessToken) = link.step { readsAccessToken } else { false }
        }
    }

    /// Names by the index that the host uses.
    private var names: [Int: String] {
        var names: [Int: String] = [:]
        for link in self.chain.links[self.range] {
            if case .scripted(let index, _) = link.step { names[index] = link.name }
        }
        return names
    }

    private func head(_ accessToken: String?) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("from", self.firstIndex)
        writer.member("to", self.firstIndex + self.range.count)
        writer.member("timeout", Int(self.chain.timeout.milliseconds))
        if let accessToken {
            writer.member("accessToken", accessToken)
        }
        writer.endObject()
        return writer.bytes
    }

    /// Of the first rule of this run, in what the hosts have loaded.
    private var firstIndex: Int {
        if case .scripted(let index, _) = self.chain.links[self.range.lowerBound].step { index } else { 0 }
    }

    /// A rule host is not trusted: what it says becomes part of a result only when it is what it should be.
    private func done(
        _ head: [UInt8],
        _ user: [UInt8],
        _ context: [UInt8],
        _ state: inout ChainState,
        _ calls: CallLog
    ) -> ChainVerdict {
        do {
            let head = try JSONText(validating: head)
            let reply = try ScriptedReply(head, firstIndex: self.firstIndex, count: self.range.count)
            if !user.isEmpty { state.user = try self.object(user, "user") }
            if !context.isEmpty { state.context = try self.object(context, "context") }
            return self.apply(reply, &state, calls)
        } catch {
            return self.killed(
                .init(reason: .crashed, message: "the rule host answered nonsense: \(error)"),
                &state,
                calls
            )
        }
    }

    private func object(_ bytes: [UInt8], _ what: String) throws -> JSONText {
        let text = try JSONText(validating: bytes)
        guard text.kind == .object else { throw ScriptedReply.Nonsense(description: "\(what) is no object") }
        return text
    }

    private func apply(_ reply: ScriptedReply, _ state: inout ChainState, _ calls: CallLog) -> ChainVerdict {
        if let changes = reply.userMetadata { state.metadata.user.merge(reported: changes) }
        if let changes = reply.appMetadata { state.metadata.app.merge(reported: changes) }
        for effect in reply.unsupported where !state.unsupported.contains(effect) { state.unsupported.append(effect) }
        let firstAttempt = state.attempt
        for offset in 0..<(reply.endedBy ?? self.range.count) {
            state.reports.append(
                self.report(offset, .completed, reply, calls, attempts: offset == 0 ? firstAttempt : 1)
            )
        }
        guard let endedBy = reply.endedBy else {
            state.next = self.range.upperBound
            state.attempt = 1
            return .completed
        }
        state.next = self.range.lowerBound + endedBy
        state.attempt = endedBy == 0 ? firstAttempt : 1
        let name = self.chain.links[state.next].name
        let entry = calls.entry(self.firstIndex + endedBy)
        let isDenial = reply.outcome == .denied
        state.reports.append(
            self.report(endedBy, isDenial ? .denied : .failed, reply, calls, attempts: state.attempt)
        )
        let message = self.chain.presentable(reply.message)
        let reason: RuleFailure.Reason
        switch reply.outcome {
        case .completed, .denied: return .denied(rule: name, message: message)
        case .error: reason = .ruleError
        case .timeout: reason = .ruleTimeout
        case .limit: reason = .limit
        }
        let isRetryable =
            reason == .ruleError && entry.failedRetryably
            || reason == .ruleTimeout && (entry.failedRetryably || entry.open > 0)
        return .failed(
            RuleFailure(
                rule: name,
                reason: reason,
                message: message,
                isRetryable: isRetryable,
                retryAfter: entry.retryAfter
            )
        )
    }

    private func report(
        _ offset: Int,
        _ outcome: RuleReport.Outcome,
        _ reply: ScriptedReply,
        _ calls: CallLog,
        attempts: Int
    ) -> RuleReport {
        let index = self.firstIndex + offset
        let entry = calls.entry(index)
        let late = reply.rules[index]?.late ?? []
        // A call that failed and whose rule completed all the same was swallowed by the rule.
        let swallowed = outcome == .completed ? entry.failures : []
        return RuleReport(
            name: self.chain.links[self.range.lowerBound + offset].name,
            outcome: outcome,
            milliseconds: reply.rules[index]?.milliseconds ?? 0,
            calls: entry.calls,
            attempts: attempts,
            warnings: swallowed + late.map { self.chain.presentable($0) }
        )
    }

    /// The host died of one of these rules.
    ///
    /// Where the rule is not known, the first of the run stands for it.
    private func killed(
        _ kill: EvaluationOutcome.Kill,
        _ state: inout ChainState,
        _ calls: CallLog
    ) -> ChainVerdict {
        let offset = kill.rule.map { $0 - self.firstIndex }.flatMap { (0..<self.range.count).contains($0) ? $0 : nil }
        let name = self.chain.links[self.range.lowerBound + (offset ?? 0)].name
        let reason: RuleFailure.Reason =
            switch kill.reason {
            case .limit: .limit
            case .crashed: .crashed
            case .timeout: .ruleTimeout
            }
        state.reports.append(
            RuleReport(
                name: name,
                outcome: .failed,
                milliseconds: 0,
                calls: calls.entry(self.firstIndex + (offset ?? 0)).calls,
                attempts: state.attempt
            )
        )
        return .failed(
            RuleFailure(
                rule: offset == nil && self.range.count > 1 ? "one of \(self.range.count) rules from \(name) on" : name,
                reason: reason,
                message: self.chain.presentable(kill.message),
                isRetryable: false
            )
        )
    }
}
