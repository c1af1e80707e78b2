import AfterloginSystem

/// What became of a result that is several records: told once all of them are.
final class PublishAnswers: Sendable {
    private struct State {
        var missing: Int
        var worst = PublishOutcome.acknowledged
    }

    private let state: Mutex<State>

    init(count: Int) { self.state = Mutex(State(missing: count)) }

    /// One of them; gives the outcome of all with the last answer.
    ///
    /// Only the last record is the result: what goes before it may be refused, which its topic does for good.
    func received(_ outcome: PublishOutcome, isLast: Bool) -> PublishOutcome? {
        self.state.withLock { state in
            if outcome.rank > state.worst.rank, isLast || outcome.rank != PublishOutcome.refused("").rank {
                state.worst = outcome
            }
            state.missing -= 1
            return state.missing == 0 ? state.worst : nil
        }
    }
}

extension PublishOutcome {
    /// A result that was dropped runs again, whatever became of the rest; nothing outweighs the end of all writing.
    fileprivate var rank: Int {
        switch self {
        case .acknowledged: 0
        case .refused: 1
        case .dropped: 2
        case .failed: 3
        }
    }
}
