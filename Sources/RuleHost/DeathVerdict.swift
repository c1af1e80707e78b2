/// Who is to blame for the death of a host, and who runs again.
///
/// Pure. A watchdog that names an evaluation names the culprit. Where none is named, those in flight run again one at a time, and the one that
/// kills a host alone is the culprit.
struct DeathVerdict: Equatable {
    /// Of the evaluations in flight.
    var culprit: UInt32?
    var kill: EvaluationOutcome.Kill?
    /// They did nothing wrong, and run again as they are.
    var innocent: [UInt32] = []
    /// They run again, each alone.
    var suspects: [UInt32] = []

    /// Decides.
    ///
    /// `suspect` is the evaluation that ran alone because it was suspected before, with its rule where that is known; `cause` says how the process
    /// ended.
    init(
        inFlight: [UInt32],
        suspect: (evaluation: UInt32, rule: Int?)?,
        lastWords: Host.LastWords?,
        limits: Limits,
        cause: String
    ) {
        let turn = "one turn of the event loop took longer than \(limits.turn)"
        switch lastWords {
        case .turn(let evaluation, let rule) where inFlight.contains(evaluation):
            self.culprit = evaluation
            self.kill = .init(reason: .limit, message: turn, rule: rule)
            self.innocent = inFlight.filter { $0 != evaluation }
        case .memory:
            self.blame(inFlight, suspect, .init(reason: .limit, message: "used more than \(limits.memory) of memory"))
        case .turn: self.blame(inFlight, suspect, .init(reason: .limit, message: turn))
        case .pool:
            self.blame(
                inFlight,
                suspect,
                .init(
                    reason: .limit,
                    message: "its work kept all threads of the pool for more than three times \(limits.turn)"
                )
            )
        case nil:
            let kill = EvaluationOutcome.Kill(reason: .crashed, message: "its rule host ended: \(cause)")
            self.blame(inFlight, suspect, kill)
        }
    }

    struct Limits: Equatable {
        var turn: String
        var memory: String
    }

    private mutating func blame(
        _ inFlight: [UInt32],
        _ suspect: (evaluation: UInt32, rule: Int?)?,
        _ kill: EvaluationOutcome.Kill
    ) {
        if let suspect, inFlight == [suspect.evaluation] {
            self.culprit = suspect.evaluation
            self.kill = kill
            self.kill?.rule = suspect.rule
        } else {
            self.suspects = inFlight
        }
    }
}
