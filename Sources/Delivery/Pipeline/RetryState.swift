import AfterloginEgress
import AfterloginJSON
package import AfterloginRules
package import AfterloginWaiting

/// What a login has been through, and what it waits for.
package struct RetryState: Sendable {
    /// Why a login is not finished, and when it goes on at the latest.
    package enum Wait: Sendable {
        /// A call failed so and its rule with it: judged when the back-off ends.
        case backOff(RuleFailure, until: ContinuousClock.Instant)
        /// A rule swallowed a call that failed so: `KeptVerdict` says when that stands, at the latest when the back-off ends.
        case kept(KeptBack, until: ContinuousClock.Instant)
        /// Until the destination is back, or `rules.max_age` is over.
        case away(Destination, until: ContinuousClock.Instant)
        /// For a rule host on which nothing of other logins stands in its way.
        case host(until: ContinuousClock.Instant)
    }

    /// The chain as far as it came; nil before the first attempt.
    var chain: ChainState?
    /// Milliseconds since 1970.
    var firstAttempt: Int64?
    /// nil before the first attempt.
    var calls: LoginCalls?
    var wait: Wait?

    package init() {}

    init(chain: ChainState, firstAttempt: Int64, calls: LoginCalls, wait: Wait) {
        self.chain = chain
        self.firstAttempt = firstAttempt
        self.calls = calls
        self.wait = wait
    }

    /// When it goes on at the latest.
    var until: ContinuousClock.Instant? {
        switch self.wait {
        case .backOff(_, let until), .kept(_, let until), .away(_, let until), .host(let until): until
        case nil: nil
        }
    }

    /// For `/status` and the log.
    var reason: String {
        switch self.wait {
        case .backOff(let failure, _): "\(failure.rule): \(failure.message)"
        case .kept(let kept, _): "a call failed inside \(kept.failedRule)"
        case .away(let destination, _): "\(destination) is away"
        case .host: "a fresh rule host"
        case nil: ""
        }
    }

    /// What is kept for it beside its record.
    var byteCount: Int {
        guard let wait = self.wait else { return 0 }
        var count = self.chain.map(Self.byteCount) ?? 0
        if case .kept(let kept, _) = wait { count += Self.byteCount(kept.after) }
        return count
    }

    private static func byteCount(_ chain: ChainState) -> Int {
        chain.user.bytes.count + chain.context.bytes.count + 512
    }
}

extension KeptBack {
    /// The last rule of the run, for people.
    fileprivate var failedRule: String { self.after.reports.last?.name ?? "a rule" }
}
