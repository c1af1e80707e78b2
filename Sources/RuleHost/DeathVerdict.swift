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
    /// `suspect` is the evaluation that ran alone because it was suspected before; `cause` says how the process ended.
    init(inFlight: [UInt32], suspect: UInt32?, lastWords: Host.LastWords?, limits: Limits, cause: String) {
        switch lastWords {
        case .turn(let evaluation, let rule) where inFlight.contains(evaluation):
            self.culprit = evaluation
            self.kill = .init(
                reason: .limit,
                message: "one turn of the event loop took longer than \(limits.turn)",
                rule: rule
            )
            self.innocent = inFlight.filter { $0 != evaluation }
        case .memory:
            self.blame(inFlight, suspect, .init(reason: .limit, message: "used more than \(limits.memory) of memory"))
        case .turn, nil:
            let kill = EvaluationOutcome.Kill(reason: .crashed, message: "its rule host ended: \(cause)")
            self.blame(inFlight, suspect, kill)
        }
    }

    struct Limits: Equatable {
        var turn: String
        var memory: String
    }

    private mutating func blame(_ inFlight: [UInt32], _ suspect: UInt32?, _ kill: EvaluationOutcome.Kill) {
        if let suspect, inFlight == [suspect] {
            self.culprit = suspect
            self.kill = kill
        } else {
            self.suspects = inFlight
        }
    }
}
