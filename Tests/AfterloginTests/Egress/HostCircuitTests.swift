import HTTPClient
import Testing

@testable import Afterlogin

@Suite("When a host counts as away")
struct HostCircuitTests {
    private let start = ContinuousClock.now

    /// A circuit after that many failures, evenly over a time.
    private func circuit(failures: Int, over span: Duration) -> HostCircuit {
        var circuit = HostCircuit()
        for number in 0..<failures {
            let now = self.start + span * Double(number) / Double(max(1, failures - 1))
            circuit.unreachable(now, "refuses", fraction: 0.5)
        }
        return circuit
    }

    @Test(arguments: [(19, 60, false), (20, 9, false), (20, 10, true), (500, 9, false), (500, 10, true)])
    func itTakesManyFailuresOverAWhile(failures: Int, seconds: Int, isAway: Bool) {
        let circuit = self.circuit(failures: failures, over: .seconds(seconds))
        #expect((circuit.outage != nil) == isAway)
        if isAway { #expect(circuit.outage?.since == self.start) }
    }

    @Test func anyAnswerCloses() {
        var circuit = self.circuit(failures: 19, over: .seconds(60))
        circuit.answered()
        circuit.unreachable(self.start + .seconds(61), "refuses", fraction: 0.5)
        #expect(circuit.outage == nil)
        circuit = self.circuit(failures: 20, over: .seconds(10))
        circuit.answered()
        let verdict = circuit.asked(self.start + .seconds(11))
        #expect(circuit.outage == nil && verdict == .call)
    }

    @Test func oneProbeGoesAtATimeAndTheOthersWait() {
        var circuit = self.circuit(failures: 20, over: .seconds(10))
        let opened = self.start + .seconds(10)
        guard case .away(let until, let reason) = circuit.asked(opened) else {
            Issue.record("it is not away")
            return
        }
        #expect(reason == "refuses" && until >= opened + .milliseconds(500))
        let probe = circuit.asked(until)
        #expect(probe == .call)
        guard case .away(let next, _) = circuit.asked(until) else {
            Issue.record("two probes at once")
            return
        }
        #expect(next > until)
        // Each probe that fails makes the wait for the next one longer, up to a limit.
        var now = until
        for _ in 0..<20 {
            circuit.unreachable(now, "refuses", fraction: 0.999)
            guard case .away(let later, _) = circuit.asked(now) else {
                Issue.record("it is back without an answer")
                return
            }
            #expect(later - now <= .seconds(15))
            now = later
            let isProbe = circuit.asked(now)
            #expect(isProbe == .call)
        }
    }

    @Test func theLimitOfOneHostHoldsWhateverIsCancelled() async {
        let host = EgressHost(name: "api.example:443", limit: 3)
        let running = Counter()
        let most = Counter()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    guard await host.limiter.enter() else { return }
                    _ = running.next()
                    for _ in 0..<5 { await Task.yield() }
                    _ = most.next()
                    host.limiter.leave()
                }
                if number % 7 == 0 {
                    group.addTask {
                        let waiting = Task { await host.limiter.enter() }
                        await Task.yield()
                        waiting.cancel()
                        if await waiting.value { host.limiter.leave() }
                    }
                }
            }
        }
        // Every place was given back: three fit at once, and the fourth waits.
        #expect(running.count == 200 && most.count == 200)
        for _ in 0..<3 { #expect(await host.limiter.enter()) }
        let fourth = Task { await host.limiter.enter() }
        fourth.cancel()
        #expect(await fourth.value == false)
    }
}

@Suite("Which calls are made again")
struct RetryPolicyTests {
    private let policy = RetryPolicy(attempts: 3, backoff: Backoff(base: .seconds(1), cap: .seconds(8)))

    private func decide(
        _ result: Result<HTTPResponse, HTTPFailure>,
        _ method: String = "GET",
        attempt: Int = 1,
        retryAfter: Duration? = nil,
        remaining: Duration = .seconds(100)
    ) -> RetryPolicy.Decision {
        self.policy.decide(
            result,
            method: method,
            attempt: attempt,
            retryAfter: retryAfter,
            remaining: remaining,
            fraction: 0.5
        )
    }

    @Test(arguments: ["GET", "HEAD", "OPTIONS", "get", "POST", "PUT", "PATCH", "DELETE"])
    func statusesAreRepeatedWhereThatIsSafe(method: String) {
        let isSafe = ["GET", "HEAD", "OPTIONS", "get"].contains(method)
        for status in [200, 204, 301, 400, 401, 403, 404, 408, 409, 429, 500, 501, 502, 503, 504, 599] {
            let isRepeated = status == 429 || isSafe && [502, 503, 504].contains(status)
            let expected: RetryPolicy.Decision = isRepeated ? .retry(after: .milliseconds(500)) : .giveUp
            #expect(self.decide(.status(status), method) == expected, "\(method) \(status)")
        }
        // A server that names a time invites everybody.
        let invited = self.decide(.status(503), method, retryAfter: .seconds(2))
        #expect(invited == .retry(after: .seconds(2)))
    }

    @Test func failuresAreRepeatedWhereNothingWasSentOrNothingIsChanged() {
        func failure(_ kind: HTTPFailure.Kind, sent: Bool) -> Result<HTTPResponse, HTTPFailure> {
            .failure(HTTPFailure(kind: kind, message: "", code: "", sentBytes: sent))
        }
        for kind: HTTPFailure.Kind in [.connectionRefused, .connectTimeout, .timeout, .connectionReset, .nameNotFound] {
            #expect(self.decide(failure(kind, sent: true)) != .giveUp)
            #expect(self.decide(failure(kind, sent: false), "POST") != .giveUp)
            #expect(self.decide(failure(kind, sent: true), "POST") == .giveUp)
        }
        for kind: HTTPFailure.Kind in [.certificate, .addressRefused, .invalidRequest, .responseTooLarge, .cancelled] {
            #expect(self.decide(failure(kind, sent: false)) == .giveUp)
        }
    }

    @Test func attemptsAndTimeEndIt() {
        #expect(self.decide(.status(503), attempt: 2) == .retry(after: .seconds(1)))
        #expect(self.decide(.status(503), attempt: 3) == .giveUp)
        #expect(self.decide(.status(503), remaining: .milliseconds(500)) == .giveUp)
        #expect(self.decide(.status(429), retryAfter: .seconds(61)) == .giveUp)
    }
}
