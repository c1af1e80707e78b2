import AfterloginSystem

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

/// The faults that requests meet; they can be changed while requests run.
package final class FaultBoard: Sendable {
    /// What becomes of one request.
    struct Verdict: Equatable {
        enum Ending: Equatable {
            case answer
            case error(status: Int, retryAfter: Int?)
            case truncated
            case hang
            case reset
        }
        var delay: Duration = .zero
        var ending = Ending.answer
        /// Of the answer, at least.
        var size = 0
    }

    private struct Entry {
        var fault: Fault
        var bucket: RequestBucket?
        /// When it ends by itself.
        var end: Double?

        func isOver(at now: Double) -> Bool { self.end.map { now >= $0 } ?? false }
    }

    private struct State {
        var entries: [Endpoint: Entry] = [:]
        /// The last bucket of each endpoint, to be read after its end too.
        var buckets: [Endpoint: RequestBucket] = [:]
        var random: SeededRandom
        var delays: Duration = .zero
    }

    private let now: @Sendable () -> Double
    private let state: Mutex<State>

    /// Without faults.
    ///
    /// - Parameters:
    ///   - seed: Of the shares.
    ///   - now: Seconds, for what ends by itself and for buckets.
    package init(seed: UInt64, now: @escaping @Sendable () -> Double) {
        self.now = now
        self.state = Mutex(State(random: SeededRandom(seed: seed)))
    }

    package var faults: [Endpoint: Fault] {
        let now = self.now()
        return self.state.withLock { $0.entries.filter { !$0.value.isOver(at: now) }.mapValues(\.fault) }
    }

    /// Nil: the endpoint is well.
    ///
    /// - Parameters:
    ///   - fault: Takes the place of an earlier one; a bucket begins full.
    ///   - endpoint: Whose requests meet it.
    ///   - seconds: After which it ends by itself; nil: never.
    package func set(_ fault: Fault?, on endpoint: Endpoint, for seconds: Double? = nil) {
        let now = self.now()
        self.state.withLock { state in
            let bucket = fault?.bucket.map { RequestBucket($0) }
            state.entries[endpoint] = fault.map { Entry(fault: $0, bucket: bucket, end: seconds.map { now + $0 }) }
            if let bucket { state.buckets[endpoint] = bucket }
        }
    }

    /// What all requests together waited for their answers: the APIs' own time, whatever the machine does beside.
    package var delays: Duration { self.state.withLock(\.delays) }

    package func clear() { self.state.withLock { $0.entries = [:] } }

    /// What the latest bucket of each endpoint let through, and what it could have.
    var buckets: [Endpoint: SandboxStatistics.Bucket] {
        let now = self.now()
        return self.state.withLock { state in
            state.buckets.mapValues {
                .init(allowed: $0.allowed, refused: $0.refused, offered: $0.offered(at: now))
            }
        }
    }

    func verdict(on endpoint: Endpoint) -> Verdict {
        let now = self.now()
        return self.state.withLock { state in
            guard let entry = state.entries[endpoint], !entry.isOver(at: now) else { return Verdict() }
            let fault = entry.fault
            guard !fault.isOutage else { return Verdict(ending: .reset) }
            let delay = fault.delay?.sample(&state.random) ?? .zero
            state.delays += delay
            let chance = state.random.unit()
            var bound = fault.resetShare
            if chance < bound { return Verdict(delay: delay, ending: .reset) }
            bound += fault.hangShare
            if chance < bound { return Verdict(ending: .hang) }
            bound += fault.errorShare
            if chance < bound {
                let ending = Verdict.Ending.error(status: fault.errorStatus, retryAfter: fault.retryAfter)
                return Verdict(delay: delay, ending: ending)
            }
            if var bucket = entry.bucket {
                let wait = bucket.requestArrived(at: now)
                state.entries[endpoint]?.bucket = bucket
                state.buckets[endpoint] = bucket
                if let wait {
                    let ending = Verdict.Ending.error(
                        status: bucket.settings.status,
                        retryAfter: bucket.settings.hint.seconds(until: wait)
                    )
                    return Verdict(delay: delay, ending: ending)
                }
            }
            bound += fault.truncateShare
            return Verdict(delay: delay, ending: chance < bound ? .truncated : .answer, size: fault.size)
        }
    }
}

extension Fault.Bucket.Hint {
    fileprivate func seconds(until wait: Double) -> Int? {
        switch self {
        // A second at least: 0 would say "at once".
        case .untilRefilled: max(1, Int(wait.rounded(.up)))
        case .seconds(let seconds): seconds
        case .none: nil
        }
    }
}
