import AfterloginEgress
import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginObservability
import AfterloginRuleHost
import AfterloginWaiting

/// One evaluation of a run of neighbouring JavaScript rules on a rule host.
struct ScriptedRun {
    let chain: RuleChain
    let hosts: RuleHostPool
    /// In the chain; never empty.
    let range: Range<Int>

    func evaluate(_ state: inout ChainState, for login: EvaluatedLogin) async -> ChainVerdict {
        var accessToken: String?
        let ownID = self.ownID(state, login)
        if self.needsAccessToken || ownID != nil && self.chain.mayWriteToOthers {
            switch await self.chain.egress.managementToken() {
            case .token(let token): accessToken = token
            case .away(let destination): return .away(destination)
            case .refused(let reason): self.chain.log.log(.warning, "no Management API token for rules: \(reason)")
            }
        }
        let token = EvaluationToken()
        let client = ScriptedCalls(chain: self.chain, hosts: self.hosts, token: token, names: self.names, login: login)
        let evaluation = Evaluation(
            rules: self.rules,
            timeout: self.chain.timeout,
            accessToken: accessToken,
            userID: ownID,
            user: state.user,
            context: state.context,
            // The host keeps each rule's own deadline; this is for a host that doesn't.
            deadline: self.chain.timeout * self.range.count + .seconds(5)
        )
        let outcome = await self.hosts.evaluate(
            evaluation,
            token: token,
            client: client,
            waitingFor: login.waitedFor?.description,
            avoidingTaint: login.avoidsTaint
        )
        login.activity.noted()
        switch outcome {
        case .done(let reply, let condition):
            let calls = await client.finish()
            // A call of it had no answer: what it made of that does not count.
            if let ending = client.ending { return ending.verdict }
            return self.apply(reply, condition, &state, calls)
        case .ended(let reply):
            // Its calls go on: other logins may wait for their answers in the host.
            if let reply { self.keepComplete(reply, &state, client.calls) }
            return (client.ending ?? .keptPromise([])).verdict
        case .killed(let kill):
            return self.killed(kill, &state, await client.finish())
        case .cancelled:
            // Nobody here does that; and a login that is neither done nor stopped runs again.
            client.drop()
            return (client.ending ?? .keptPromise([])).verdict
        case .stopped:
            client.drop()
            return .stopped
        }
    }

    /// The login's id, where an earlier rule has put another one in its place; the first rules find it in the user.
    private func ownID(_ state: ChainState, _ login: EvaluatedLogin) -> String? {
        guard state.next > 0, state.user["user_id"]?.string != login.userID else { return nil }
        return login.userID
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

    /// By the index that the host uses.
    private var rules: Range<Int> {
        guard case .scripted(let first, _) = self.chain.links[self.range.lowerBound].step else { return 0..<0 }
        return first..<first + self.range.count
    }

    /// Which rule of the run it is, from 0.
    private func offset(_ rule: Int) -> Int { rule - self.rules.lowerBound }

    // MARK: What came of it

    /// The rules that were complete when the evaluation was ended stay so.
    private func keepComplete(_ reply: EvaluationReply, _ state: inout ChainState, _ calls: CallLog) {
        let first = state.attempt
        let complete = reply.rule.map(self.offset) ?? 0
        self.apply(reply.writes, user: reply.user, context: reply.context, &state)
        self.reportComplete(complete, reply, &state, calls)
        state.next = self.range.lowerBound + complete
        state.attempt = complete == 0 ? first : 1
    }

    private func apply(
        _ reply: EvaluationReply,
        _ condition: HostCondition,
        _ state: inout ChainState,
        _ calls: CallLog
    ) -> ChainVerdict {
        let start = state
        let before = reply.before.map { self.before($0, reply, start, calls) } ?? start
        if let kept = reply.before, kept.isBorrowed, condition.isTainted, reply.outcome != .limit {
            // Whatever the rule made of it: another login's lost call says nothing of this one.
            state = before
            return .unjudged(taintedBy: condition.taintedBy)
        }
        let first = state.attempt
        self.apply(reply.writes, user: reply.user, context: reply.context, &state)
        let endedBy = reply.rule.map(self.offset)
        self.reportComplete(endedBy ?? self.range.count, reply, &state, calls)
        state.next = self.range.lowerBound + (endedBy ?? self.range.count)
        state.attempt = endedBy == 0 ? first : 1
        let verdict: KeptBack.Verdict
        if let endedBy {
            let entry = calls.entry(self.rules.lowerBound + endedBy)
            verdict = self.verdict(reply, self.chain.links[state.next].name, entry)
            if case .failed = verdict, reply.outcome != .limit, condition.isTainted, entry.calls == 0 {
                // Something that another login left behind in the host may have failed it.
                return .unjudged(taintedBy: condition.taintedBy)
            }
            let outcome: RuleReport.Outcome = reply.outcome == .denied ? .denied : .failed
            let report = self.report(endedBy, outcome, reply, calls, attempts: state.attempt)
            if case .failed(let failure) = verdict, failure.isRetryable {
                // The failed attempt leaves nothing behind, its writes of metadata included.
                if reply.before != nil || before.next < state.next { state = before }
                state.reports.append(report)
                return .failed(failure)
            }
            state.reports.append(report)
        } else {
            verdict = .completed
        }
        if calls.hasFailedSo { return .keptBack(KeptBack(verdict: verdict, after: state, before: before)) }
        switch verdict {
        case .completed: return .completed
        case .denied(let rule, let message): return .denied(rule: rule, message: message)
        case .failed(let failure): return .failed(failure)
        }
    }

    private func verdict(_ reply: EvaluationReply, _ rule: String, _ entry: CallLog.Entry) -> KeptBack.Verdict {
        let message = self.chain.presentable(reply.error?.presentable ?? "")
        let reason: RuleFailure.Reason
        switch reply.outcome {
        // The pool has seen to it that the last is ended only where that was asked for.
        case .completed, .denied, .ended: return .denied(rule: rule, message: message)
        case .error: reason = .ruleError
        case .timeout: reason = .ruleTimeout
        case .limit: reason = .limit
        }
        return .failed(
            RuleFailure(
                rule: rule,
                reason: reason,
                message: message,
                isRetryable: reason != .limit && entry.hasFailed,
                place: self.place(reply.error, rule)
            )
        )
    }

    /// Where the error came from; the whole stack is in the log at `debug`.
    private func place(_ error: EvaluationReply.RuleError?, _ rule: String) -> String? {
        guard let stack = error?.stack else { return nil }
        self.chain.log.log(.debug, self.chain.presentable(stack), [("rule", rule)])
        return self.chain.directory.flatMap { StackPlace.first(in: stack, below: $0) }
            .map { self.chain.log.redactor.redact($0, limit: 300) }
    }

    /// The chain before the rule that was told of a failure; `state` is that of before the run.
    private func before(
        _ before: EvaluationReply.Before,
        _ reply: EvaluationReply,
        _ state: ChainState,
        _ calls: CallLog
    ) -> ChainState {
        var earlier = state
        let complete = self.offset(before.rule)
        self.apply(before.writes, user: before.user, context: before.context, &earlier)
        self.reportComplete(complete, reply, &earlier, calls)
        earlier.next = self.range.lowerBound + complete
        earlier.attempt = complete == 0 ? state.attempt : 1
        return earlier
    }

    private func apply(_ writes: RuleWrites, user: JSONText?, context: JSONText?, _ state: inout ChainState) {
        if let user { state.user = user }
        if let context { state.context = context }
        state.metadata.merge(writes)
        for effect in writes.unsupported where !state.unsupported.contains(effect) { state.unsupported.append(effect) }
    }

    // MARK: Reports

    /// Of the first rules of the run.
    private func reportComplete(
        _ count: Int,
        _ reply: EvaluationReply,
        _ state: inout ChainState,
        _ calls: CallLog
    ) {
        let first = state.attempt
        for offset in 0..<count {
            state.reports.append(self.report(offset, .completed, reply, calls, attempts: offset == 0 ? first : 1))
        }
    }

    private func report(
        _ offset: Int,
        _ outcome: RuleReport.Outcome,
        _ reply: EvaluationReply,
        _ calls: CallLog,
        attempts: Int
    ) -> RuleReport {
        let index = self.rules.lowerBound + offset
        let entry = calls.entry(index)
        let times = reply.rules.first { $0.rule == index }
        // A call that failed and whose rule completed all the same was swallowed by the rule.
        let swallowed = outcome == .completed ? entry.failures : []
        return RuleReport(
            name: self.chain.links[self.range.lowerBound + offset].name,
            outcome: outcome,
            milliseconds: times?.milliseconds ?? 0,
            calls: entry.calls,
            attempts: attempts,
            warnings: swallowed + (times?.late ?? []).map { self.chain.presentable($0) }
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
        let offset = kill.rule.map(self.offset).flatMap { (0..<self.range.count).contains($0) ? $0 : nil }
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
                calls: calls.entry(self.rules.lowerBound + (offset ?? 0)).calls,
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

extension EvaluationReply.RuleError {
    /// `Error: text`, as people read it; the name only where it says something.
    fileprivate var presentable: String {
        if self.name == "UnauthorizedError" { return self.message }
        let isPlain = self.name == "Error" && !self.message.isEmpty
        return (isPlain ? self.message : "\(self.name): \(self.message)") + (self.code.map { " (\($0))" } ?? "")
    }
}
