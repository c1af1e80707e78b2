import AfterloginHTTPMessages
package import AfterloginObservability
package import AfterloginSystem
package import AfterloginWaiting

/// What all calls and all waiting logins ask: `Destinations` behind one lock, with a timer, and with those who wait.
///
/// Decides nothing itself. Continuations are resumed and handlers called after the lock is released.
package final class DestinationBoard: Sendable {
    /// What a call may do.
    enum Entry: Sendable {
        case send(CallTicket)
        /// Its evaluation is to be ended; its login waits for this destination.
        case away(Destination)
        /// The rule hears the last failure of that destination at once.
        case tellNow(Destination, Result<HTTPResponse, HTTPFailure>)
        /// Its task was cancelled while it waited for limit or pause.
        case cancelled
    }

    private struct State {
        var destinations: Destinations
        var lastCall: UInt64 = 0
        var calls: [UInt64: CheckedContinuation<CallAnswer?, Never>] = [:]
        /// Answers to calls that were about to wait.
        var early: [UInt64: CallAnswer] = [:]
        /// What begins a login that waits, by its number.
        var logins: [UInt64: @Sendable () -> Void] = [:]
        /// What failed last, for rules that are told of it later.
        var failures: [Destination: Result<HTTPResponse, HTTPFailure>] = [:]
        var kept = KeptVerdicts()
        /// When the timer wakes.
        var wakesAt: ContinuousClock.Instant?

        /// Who goes on now, and when the timer is to be set for.
        mutating func released(
            _ now: ContinuousClock.Instant
        ) -> (
            calls: [(CheckedContinuation<CallAnswer?, Never>, CallAnswer)], logins: [@Sendable () -> Void],
            tokens: [Destination], wake: ContinuousClock.Instant?
        ) {
            let releases = self.destinations.releases(now: now)
            var calls: [(CheckedContinuation<CallAnswer?, Never>, CallAnswer)] = []
            for (call, answer) in releases.calls {
                if let continuation = self.calls.removeValue(forKey: call.id) {
                    calls.append((continuation, answer))
                } else {
                    self.early[call.id] = answer
                }
            }
            let logins = releases.logins.compactMap { self.logins.removeValue(forKey: $0.id) }
            // Of a timer that is set for long every earlier one would leave a task behind.
            let next = self.destinations.nextWake(now: now).map { min($0, now + .seconds(30)) }
            guard let next, self.wakesAt.map({ next < $0 }) ?? true else {
                return (calls, logins, releases.tokens, nil)
            }
            self.wakesAt = next
            return (calls, logins, releases.tokens, next)
        }
    }

    /// Of a response that is told again later.
    private static let maxKeptBody = 64 << 10

    package let settings: WaitingSettings
    private let log: Log
    private let clock: any WorkerClock
    private let state: Mutex<State>
    /// Asks for a token in the worker's own name, to find out whether it can be had again.
    private let probesToken = Mutex<(@Sendable (Destination) -> Void)?>(nil)

    package init(_ settings: WaitingSettings, log: Log, clock: any WorkerClock = ContinuousClock()) {
        self.settings = settings
        self.log = log
        self.clock = clock
        self.state = Mutex(State(destinations: Destinations(settings)))
    }

    func probeTokens(_ probe: @escaping @Sendable (Destination) -> Void) {
        self.probesToken.withLock { $0 = probe }
    }

    // MARK: Calls

    /// Returns when the call may be sent, or must not be.
    func enter(_ route: Route, _ scope: CallScope?, deadline: ContinuousClock.Instant) async -> Entry {
        let (call, answer) = self.ask(route, scope, deadline)
        guard case .wait = answer else { return self.entry(answer) }
        // For the timer: a pause may be what it waits for.
        self.release()
        return await self.wait(call)
    }

    private func ask(
        _ route: Route,
        _ scope: CallScope?,
        _ deadline: ContinuousClock.Instant
    ) -> (WaitingCall, CallAnswer) {
        let now = self.clock.now
        return self.state.withLock { state in
            state.lastCall += 1
            let call = WaitingCall(
                id: state.lastCall,
                login: scope?.login.number ?? 0,
                user: scope?.login.user,
                arrival: scope?.login.number ?? 0,
                deadline: deadline,
                route: route
            )
            return (call, state.destinations.ask(call, now: now))
        }
    }

    private func wait(_ call: WaitingCall) async -> Entry {
        let answer: CallAnswer? = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: CallAnswer?? = self.state.withLock { state in
                    // It may have been its turn before anybody waited here.
                    if let early = state.early.removeValue(forKey: call.id) { return .some(early) }
                    if Task.isCancelled {
                        state.destinations.withdrawn(call)
                        return .some(nil)
                    }
                    state.calls[call.id] = continuation
                    return .none
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let continuation = self.state.withLock { state in
                let continuation = state.calls.removeValue(forKey: call.id)
                if continuation != nil { state.destinations.withdrawn(call) }
                return continuation
            }
            continuation?.resume(returning: nil)
        }
        return answer.map(self.entry) ?? .cancelled
    }

    private func entry(_ answer: CallAnswer) -> Entry {
        switch answer {
        case .send(let ticket): .send(ticket)
        case .away(let destination, _): .away(destination)
        case .tellNow(let destination, let lastError):
            .tellNow(destination, self.lastFailure(at: destination) ?? .failure(Self.unreachable(lastError)))
        // `ask` and `releases` say so only of calls that go on waiting.
        case .wait: .cancelled
        }
    }

    /// A call that was sent has ended; what that means for its rule and its login.
    func ended(
        _ ticket: CallTicket,
        _ ending: CallEnding,
        _ result: Result<HTTPResponse, HTTPFailure>,
        error: @autoclosure () -> String,
        _ scope: CallScope?
    ) -> CallEnd {
        let now = self.clock.now
        let (end, verdicts, waited, isCalm) = self.state.withLock { state in
            let end = state.destinations.ended(
                ticket,
                ending,
                error: error(),
                isFirstFailure: { scope?.login.isFirstFailure(at: $0) ?? true },
                now: now,
                fraction: Backoff.random()
            )
            if let failed = end.failed ?? Self.refusal(ticket, ending) {
                if state.failures.count >= self.settings.destinations { state.failures.removeAll() }
                state.failures[failed.destination] = Self.bounded(result)
            }
            let verdicts =
                ending == .gotThrough
                ? state.kept.gotThrough(ticket.call.route, state.destinations, now: now) : []
            let back = end.changes.lazy.compactMap(\.cameBack).first
            let waited = back.map { state.destinations.waitingLogins(for: $0) } ?? 0
            return (end, verdicts, waited, state.destinations.isCalm)
        }
        for verdict in verdicts { verdict() }
        for change in end.changes { self.tell(change, waited) }
        if !isCalm { self.release() }
        return end
    }

    private static func refusal(
        _ ticket: CallTicket,
        _ ending: CallEnding
    ) -> (destination: Destination, failure: CallEnding.Failure)? {
        ending == .tokenRefused ? (ticket.call.route.answers, .answer) : nil
    }

    private static func bounded(_ result: Result<HTTPResponse, HTTPFailure>) -> Result<HTTPResponse, HTTPFailure> {
        guard case .success(var response) = result else { return result }
        response.hold = nil
        if response.body.count > Self.maxKeptBody { response.body = [] }
        return .success(response)
    }

    func isAway(_ destination: Destination) -> Bool {
        self.state.withLock { $0.destinations.state(of: destination)?.away != nil }
    }

    /// The one of those names that is away or paused; nil where none is.
    package func awaited(among names: [String]) -> Destination? {
        guard !names.isEmpty else { return nil }
        let now = self.clock.now
        return self.state.withLock { $0.destinations.troubled(now: now) }.map(\.state.destination)
            .first { names.contains($0.description) }
    }

    func lastFailure(at destination: Destination) -> Result<HTTPResponse, HTTPFailure>? {
        self.state.withLock { $0.failures[destination] }
    }

    private static func unreachable(_ lastError: String) -> HTTPFailure {
        HTTPFailure(kind: .other, message: lastError, code: "ECONNREFUSED")
    }

    // MARK: Logins

    /// The login waits for a destination, without an evaluation, until `begin` is called, once.
    package func wait(_ login: LoginCalls, for destination: Destination, begin: @escaping @Sendable () -> Void) {
        let now = self.clock.now
        self.state.withLock { state in
            state.logins[login.number] = begin
            state.destinations.wait(
                WaitingLogin(id: login.number, user: login.user, arrival: login.number),
                for: destination,
                wasTold: login.wasTold,
                now: now
            )
        }
        self.release()
    }

    /// Its verdict is kept back until it stands, and then `begin` is called, or until `left`.
    package func keep(_ login: LoginCalls, begin: @escaping @Sendable () -> Void) {
        let now = self.clock.now
        let stands = self.state.withLock { state in
            state.kept.insert(login, begin: begin, state.destinations, now: now)
        }
        if stands { begin() }
    }

    /// It waits no longer: its back-off is over, or it was dropped.
    package func left(_ login: LoginCalls) {
        self.state.withLock { state in
            state.kept.remove(login)
            guard state.logins.removeValue(forKey: login.number) != nil else { return }
            state.destinations.left(login.number)
        }
    }

    /// Its evaluation has ended, however.
    package func evaluationEnded(_ login: LoginCalls) {
        let now = self.clock.now
        let isCalm = self.state.withLock { state in
            state.destinations.loginEnded(login.number, now: now, fraction: Backoff.random())
            return state.destinations.isCalm
        }
        if !isCalm { self.release() }
    }

    /// Reads what speaks for and against a login.
    package func judge<Judgement>(_ read: (Destinations, ContinuousClock.Instant) -> Judgement) -> Judgement {
        let now = self.clock.now
        return self.state.withLock { read($0.destinations, now) }
    }

    // MARK: Who may go on

    /// Lets go on whoever may, and sets the timer for the next.
    private func release() {
        let now = self.clock.now
        let (calls, logins, tokens, wake) = self.state.withLock { $0.released(now) }
        for (continuation, answer) in calls { continuation.resume(returning: answer) }
        for begin in logins { begin() }
        if !tokens.isEmpty, let probe = self.probesToken.withLock({ $0 }) {
            for token in tokens { probe(token) }
        }
        if let wake { self.wake(at: wake) }
    }

    private func wake(at instant: ContinuousClock.Instant) {
        Task {
            try? await self.clock.sleep(until: instant, tolerance: nil)
            self.state.withLock { state in
                if let wakesAt = state.wakesAt, wakesAt <= instant { state.wakesAt = nil }
            }
            self.release()
        }
    }

    // MARK: For people

    private func tell(_ change: DestinationState.Change, _ waited: Int) {
        switch change {
        case .wentAway(let destination, let lastError):
            self.log.log(
                .warning,
                "\(destination) is away: \(lastError); logins that need it wait, for \(self.settings.patience.forPeople) "
                    + "(egress.patience), then rules are told\(Self.hint(destination))"
            )
        case .cameBack(let destination, let time):
            let who = waited == 1 ? "1 login that waits for it goes on" : "\(waited) logins that wait for it go on"
            self.log.log(.info, "\(destination) is back after \(time.forPeople); \(who)")
        case .paused(let destination, let until):
            let pause = until - self.clock.now
            self.log.log(.debug, "\(destination) asks for a pause of \(pause.forPeople)")
        case .limitChanged: break
        }
    }

    private static func hint(_ destination: Destination) -> String {
        guard let host = destination.host else { return "" }
        return "; where rules can do without it, add \(host) to egress.optional"
    }

    /// What is away or paused now, and how many wait for it.
    package func troubles() -> [OutageStatus] {
        let now = self.clock.now
        return self.state.withLock { $0.destinations.troubled(now: now) }.compactMap { state, waiting in
            guard let away = state.away else { return nil }
            return OutageStatus(
                name: self.log.redactor.redact(state.destination.description, limit: 600),
                reason: self.log.redactor.redact(state.lastError, limit: 200),
                lasts: now - away.since,
                waiting: waiting,
                isToken: state.destination.host == nil
            )
        }.sorted { $0.name < $1.name }
    }
}

extension DestinationState.Change {
    /// Which destination is back; nil for other changes.
    fileprivate var cameBack: Destination? { if case .cameBack(let destination, _) = self { destination } else { nil } }
}
