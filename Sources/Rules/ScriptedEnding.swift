import AfterloginWaiting

/// Why an evaluation was ended before it was done.
enum ScriptedEnding {
    /// What it asked for is away.
    case away(Destination)
    /// It waited for a promise of another login, which was ended and will never settle it: the destinations for which that may have been.
    case keptPromise([String])

    var destination: Destination? {
        switch self {
        case .away(let destination): destination
        case .keptPromise: nil
        }
    }

    /// What that is for its login.
    var verdict: ChainVerdict {
        switch self {
        case .away(let destination): .away(destination)
        case .keptPromise(let destinations): .unjudged(taintedBy: destinations)
        }
    }
}
