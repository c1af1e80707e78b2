import Synchronization

/// One host and port that rules call: its limit of requests in flight, and whether it is away.
final class EgressHost: Sendable {
    private struct State {
        var circuit = HostCircuit()
        var durations: [String: MetricSeries] = [:]
    }

    /// Of the metric of calls, by the first digit of the status.
    static let outcomes = ["1xx", "2xx", "3xx", "4xx", "5xx"]

    let name: String
    let limiter: CallLimiter
    private let state = Mutex(State())

    init(name: String, limit: Int) {
        self.name = name
        self.limiter = CallLimiter(limit)
    }

    func mayCall(_ now: ContinuousClock.Instant) -> HostCircuit.Verdict {
        self.state.withLock { $0.circuit.asked(now) }
    }

    func answered(_ now: ContinuousClock.Instant) { self.state.withLock { $0.circuit.answered() } }

    func unreachable(_ now: ContinuousClock.Instant, _ reason: String) {
        self.state.withLock { $0.circuit.unreachable(now, reason, fraction: Backoff.random()) }
    }

    /// How long its calls take, by how they end.
    func duration(_ outcome: String, _ metrics: Metrics) -> MetricSeries {
        self.state.withLock { state in
            if let series = state.durations[outcome] { return series }
            let series = metrics.series(.callDuration, self.name, outcome)
            state.durations[outcome] = series
            return series
        }
    }

    var outage: (since: ContinuousClock.Instant, reason: String)? { self.state.withLock { $0.circuit.outage } }
}

/// Tells an API that is away from one that fails now and then.
///
/// Opens only when nothing but failures to reach the host came for a while, and many of them: answers of any status close it. Pure.
struct HostCircuit {
    enum Verdict: Equatable {
        case call
        /// It is away; ask again then.
        case away(until: ContinuousClock.Instant, reason: String)
    }

    /// Failures in a row, over at least this time, before the host counts as away.
    static let threshold = 20
    static let minimumSpan = Duration.seconds(10)
    private static let probes = Backoff(base: .seconds(1), cap: .seconds(15))

    private var failures = 0
    private var firstFailure: ContinuousClock.Instant?
    private(set) var outage: (since: ContinuousClock.Instant, reason: String)?
    private var nextProbe: ContinuousClock.Instant?
    private var probeFailures = 0

    mutating func asked(_ now: ContinuousClock.Instant) -> Verdict {
        guard let outage = self.outage, let probe = self.nextProbe else { return .call }
        guard now >= probe else { return .away(until: probe, reason: outage.reason) }
        // This one is the probe; whoever comes after it waits for the next.
        self.nextProbe = now + Self.probes.ceiling(failures: max(1, self.probeFailures))
        return .call
    }

    mutating func answered() { self = HostCircuit() }

    mutating func unreachable(_ now: ContinuousClock.Instant, _ reason: String, fraction: Double) {
        self.failures += 1
        let first = self.firstFailure ?? now
        self.firstFailure = first
        guard self.failures >= Self.threshold, now - first >= Self.minimumSpan else { return }
        self.probeFailures += 1
        self.outage = (self.outage?.since ?? first, reason)
        self.nextProbe =
            now + max(.milliseconds(500), Self.probes.delay(failures: self.probeFailures, fraction: fraction))
    }
}

/// Work waits until an instant, then tries again.
struct TimedOutage: Outage {
    let reason: String
    let until: ContinuousClock.Instant
    let clock: any WorkerClock

    func waitUntilOver() async { try? await self.clock.sleep(until: self.until, tolerance: nil) }
}
