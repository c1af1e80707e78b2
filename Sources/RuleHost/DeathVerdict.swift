/// Who is to blame for the death of a host, and who runs again with whom.
///
/// Pure. What the watchdog says is a suspicion, since a rule can write to its descriptor as well: only one that was alone on a fresh host when that
/// died is the culprit. Where nobody is named, those in flight are halved: each half runs again by itself, until the culprit is alone. With `k`
/// culprits among `n` that takes about `k` × log2(`n`/`k`) deaths, and as many hosts.
struct DeathVerdict: Equatable {
    struct InFlight: Equatable {
        var evaluation: UInt32
        /// Deaths after which it ran again as innocent.
        var pardons = 0
    }

    struct Limits: Equatable {
        var turn: String
        var memory: String
    }

    /// An evaluation that is innocent so often is suspected like all others: somebody else may have been named in its stead.
    static let maxPardons = 3

    /// Of the evaluations in flight.
    var culprit: UInt32?
    var kill: EvaluationOutcome.Kill?
    /// They did nothing wrong, and run again as they are.
    var innocent: [UInt32] = []
    /// They run again, each group alone on a host.
    var groups: [[UInt32]] = []

    /// Decides.
    ///
    /// `alone` is the evaluation that ran alone on a fresh host, with its rule where that is known; `cause` says how the process ended.
    init(
        inFlight: [InFlight],
        alone: (evaluation: UInt32, rule: Int?)?,
        lastWords: Host.LastWords?,
        limits: Limits,
        cause: String
    ) {
        if let alone, inFlight.map(\.evaluation) == [alone.evaluation] {
            self.culprit = alone.evaluation
            self.kill = Self.kill(alone, lastWords, limits, cause)
        } else if case .turn(let named, _) = lastWords, inFlight.contains(where: { $0.evaluation == named }) {
            let others = inFlight.filter { $0.evaluation != named }
            self.innocent = others.filter { $0.pardons < Self.maxPardons }.map(\.evaluation)
            self.groups =
                [[named]] + Self.halves(others.filter { $0.pardons >= Self.maxPardons }.map(\.evaluation))
        } else {
            self.groups = Self.halves(inFlight.map(\.evaluation))
        }
    }

    private static func halves(_ evaluations: [UInt32]) -> [[UInt32]] {
        let middle = (evaluations.count + 1) / 2
        return [Array(evaluations[..<middle]), Array(evaluations[middle...])].filter { !$0.isEmpty }
    }

    private static func kill(
        _ alone: (evaluation: UInt32, rule: Int?),
        _ lastWords: Host.LastWords?,
        _ limits: Limits,
        _ cause: String
    ) -> EvaluationOutcome.Kill {
        switch lastWords {
        case .turn(let evaluation, let rule):
            .init(
                reason: .limit,
                message: "one turn of the event loop took longer than \(limits.turn) (rules.host.turn): "
                    + "look for a loop or a regular expression without an end",
                rule: evaluation == alone.evaluation ? rule ?? alone.rule : alone.rule
            )
        case .memory:
            .init(
                reason: .limit,
                message:
                    "used more than \(limits.memory) of memory (rules.host.memory): look for what it keeps of each login",
                rule: alone.rule
            )
        case .pool:
            .init(
                reason: .limit,
                message:
                    "its work kept all threads of the pool for more than three times \(limits.turn) (rules.host.turn): "
                    + "look for crypto, zlib or files that are asked for too much at a time",
                rule: alone.rule
            )
        case .nonsense:
            .init(
                reason: .crashed,
                message: "the watchdog of its rule host was tampered with: look at the packages that it loads",
                rule: alone.rule
            )
        case nil:
            .init(reason: .crashed, message: "its rule host ended: \(cause)", rule: alone.rule)
        }
    }
}
