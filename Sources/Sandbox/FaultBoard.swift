import Synchronization

/// What the sandbox offers, by the names of the control API.
package enum Endpoint: String, Sendable, CaseIterable {
    /// `POST /oauth/token`
    case token
    /// `GET` and `PATCH /api/v2/users/{id}`
    case users
    /// `GET /profiles/{id}`
    case profiles
    /// `GET` and `POST /slow/{id}`
    case slow
}

/// The faults that are switched on; they can be changed while requests run.
package final class FaultBoard: Sendable {
    /// What becomes of one request.
    struct Verdict: Equatable {
        enum Ending: Equatable {
            case answer
            case error(status: Int, retryAfter: Int?)
            case hang
            case reset
        }
        var delay: Duration = .zero
        var ending = Ending.answer
    }

    private struct State {
        var faults: [Endpoint: Fault] = [:]
        var random: SeededRandom
    }

    private let state: Mutex<State>

    package init(seed: UInt64) { self.state = Mutex(State(random: SeededRandom(seed: seed))) }

    package var faults: [Endpoint: Fault] { self.state.withLock { $0.faults } }

    /// Nil: the endpoint is well.
    package func set(_ fault: Fault?, on endpoint: Endpoint) {
        self.state.withLock { $0.faults[endpoint] = fault }
    }

    package func clear() { self.state.withLock { $0.faults = [:] } }

    func verdict(on endpoint: Endpoint) -> Verdict {
        self.state.withLock { state in
            guard let fault = state.faults[endpoint] else { return Verdict() }
            guard !fault.isOutage else { return Verdict(ending: .reset) }
            let delay = fault.delay?.sample(&state.random) ?? .zero
            let chance = state.random.unit()
            if chance < fault.resetShare { return Verdict(delay: delay, ending: .reset) }
            if chance < fault.resetShare + fault.hangShare { return Verdict(ending: .hang) }
            if chance < fault.resetShare + fault.hangShare + fault.errorShare {
                let ending = Verdict.Ending.error(status: fault.errorStatus, retryAfter: fault.retryAfter)
                return Verdict(delay: delay, ending: ending)
            }
            return Verdict(delay: delay)
        }
    }
}
