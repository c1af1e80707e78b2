import AfterloginHTTPMessages
import AfterloginObservability
import AfterloginSystem
import AfterloginTestSupport
import AfterloginWaiting
import Testing

@testable import AfterloginEgress
@testable import AfterloginRuleHost
@testable import AfterloginRules

@Suite("What the rules of one login may ask for at a time", .timeLimit(.minutes(1)))
struct ScriptedCallsTests {
    private static let api = Destination.connection(host: "api.example", port: 443)

    private final class Silent: RuleHostPoolDelegate {
        func hostStarted(_ host: RuleHostStatus) {}
        func hostDied(_ host: RuleHostStatus, reason: String, culprit: EvaluationOutcome.Kill?) {}
        func hostPrinted(_ text: String) {}
        func hostRetired(_ host: RuleHostStatus, reason: String) {}
        func hostWarned(_ warning: HostWarning) {}
    }

    /// Answers nothing until it is told to, and says when calls have come.
    private final class Gate: Sendable {
        let arrivals: AsyncStream<Void>
        private let arrival: AsyncStream<Void>.Continuation
        private let opened: AsyncStream<Void>
        let opener: AsyncStream<Void>.Continuation

        init() {
            (self.arrivals, self.arrival) = AsyncStream.makeStream()
            (self.opened, self.opener) = AsyncStream.makeStream()
        }

        func pass() async {
            self.arrival.yield()
            for await _ in self.opened {}
        }
    }

    private func makeCalls(
        _ egress: ScriptedEgress,
        _ login: EvaluatedLogin = .test(),
        clock: any WorkerClock = ContinuousClock()
    ) -> ScriptedCalls {
        let hosts = RuleHostPool(configuration: RuleHostConfiguration(), load: LoadMessage(), delegate: Silent())
        let chain = RuleChain(
            links: [.init(name: "rule", step: .scripted(0, readsAccessToken: false))],
            timeout: .seconds(60),
            egress: egress,
            log: Log(level: .error),
            metrics: Metrics(),
            hosts: hosts
        )
        return ScriptedCalls(
            chain: chain,
            hosts: hosts,
            token: EvaluationToken(),
            names: [0: "rule"],
            login: login,
            clock: clock
        )
    }

    private func request(
        _ number: UInt32,
        body: [UInt8] = [],
        _ reply: @escaping @Sendable (HostReply) -> Void
    ) -> HostRequest {
        HostRequest(
            number: number,
            rule: 0,
            method: "POST",
            url: "https://api.example/",
            headers: [],
            remaining: .seconds(60),
            body: body,
            reply: reply
        )
    }

    @Test func sixteenAreUnderWayAThousandWaitAndTheRestIsRefused() async {
        let gate = Gate()
        let egress = ScriptedEgress { _ in
            await gate.pass()
            return .response(HTTPResponse(status: 200), CallOutcome())
        }
        let calls = self.makeCalls(egress)
        let refusals = Mutex<[String]>([])
        let (answers, answer) = AsyncStream.makeStream(of: Void.self)
        for number in 1...1_001 {
            calls.requestMade(
                self.request(UInt32(number)) { reply in
                    switch reply {
                    case .failed(let failure): refusals.withLock { $0.append(failure.message) }
                    case .response: answer.yield()
                    }
                }
            )
        }
        #expect(refusals.withLock { $0.count } == 1)
        #expect(refusals.withLock { $0.first }?.contains("more than 1000 calls or 32 MB") == true)
        for await _ in gate.arrivals.prefix(16) {}
        #expect(egress.calls.count == 16)
        gate.opener.finish()
        for await _ in answers.prefix(1_000) {}
        #expect(egress.calls.count == 1_000)
        calls.drop()
    }

    /// Nobody waits for an answer that comes after the rule's own deadline.
    @Test func whatRemainsOfTheRulesTimeIsTheCallsDeadline() async {
        let (answers, answer) = AsyncStream.makeStream(of: Void.self)
        let egress = ScriptedEgress()
        let calls = self.makeCalls(egress)
        var request = self.request(1) { _ in answer.yield() }
        request.remaining = .seconds(3)
        let before = ContinuousClock.now
        calls.requestMade(request)
        for await _ in answers.prefix(1) {}
        let deadline = egress.calls.first?.deadline ?? before
        #expect(deadline >= before + .seconds(3) && deadline <= .now + .seconds(3))
    }

    /// The host dies between the outage and its end: the login waits all the same, and does not vanish (A9).
    @Test func theOutageThatAnEvaluationMetOutlivesItsHost() async {
        let calls = self.makeCalls(ScriptedEgress { _ in .away(Self.api) })
        calls.requestMade(self.request(1) { _ in Issue.record("an outage is not told to the rule") })
        while calls.ending == nil { await Task.yield() }
        calls.restarted()
        #expect(calls.ending?.destination == Self.api)
    }

    /// Its library has a time limit of its own, and meanwhile the destination has gone away.
    @Test func anOutageThatARuleNoLongerListensForDropsItsVerdict() async {
        let gate = Gate()
        let login = EvaluatedLogin.test()
        let egress = ScriptedEgress { _ in
            await gate.pass()
            return .away(Self.api)
        }
        let calls = self.makeCalls(egress, login)
        calls.requestMade(self.request(1) { _ in Issue.record("nobody listens") })
        for await _ in gate.arrivals.prefix(1) {}
        #expect(calls.requestCancelled(1) == "api.example:443 (rule rule)")
        gate.opener.finish()
        _ = await calls.finish()
        #expect(login.scope.login.unsent == Self.api)
        #expect(calls.ending == nil)
    }

    /// The host has so much to do that its rule's own time limit comes first.
    @Test(arguments: [(Duration.seconds(5), true), (.milliseconds(900), false)])
    func anAnswerThatARuleDidNotWaitForIsJudged(after time: Duration, isJudged: Bool) async {
        let (clock, login) = (ManualClock(), EvaluatedLogin.test())
        let route = Route.call(rule: "rule", host: "api.example", port: 443)
        let egress = ScriptedEgress { _ in .response(HTTPResponse(status: 200), CallOutcome(route: route)) }
        let calls = self.makeCalls(egress, login, clock: clock)
        let (answers, answer) = AsyncStream.makeStream(of: Void.self)
        calls.requestMade(self.request(1) { _ in answer.yield() })
        for await _ in answers.prefix(1) {}
        clock.advance(by: time)
        #expect(calls.requestCancelled(1) == nil)
        let log = await calls.finish()
        #expect(log.entry(0).hasFailed == isJudged && log.hasFailedSo == isJudged)
        #expect(login.scope.login.attempts.failedCalls.map(\.destination) == (isJudged ? [route.answers] : []))
        #expect(login.scope.login.unsent == nil)
    }

    /// Other logins may wait for its answer.
    @Test func anotherCallOfAnEndedEvaluationIsStillAnswered() async {
        let gate = Gate()
        let egress = ScriptedEgress { call in
            if call.request.body.isEmpty { return .away(Self.api) }
            await gate.pass()
            return .response(HTTPResponse(status: 200), CallOutcome())
        }
        let calls = self.makeCalls(egress)
        let (answers, answer) = AsyncStream.makeStream(of: Void.self)
        calls.requestMade(self.request(1, body: [1]) { _ in answer.yield() })
        for await _ in gate.arrivals.prefix(1) {}
        calls.requestMade(self.request(2) { _ in Issue.record("an outage is not told to the rule") })
        while calls.ending == nil { await Task.yield() }
        gate.opener.finish()
        for await _ in answers.prefix(1) {}
        #expect(egress.calls.count == 2)
    }

    @Test func theBytesThatAreSentAreBounded() {
        let egress = ScriptedEgress { _ in
            await Gate().pass()
            return .response(HTTPResponse(status: 200), CallOutcome())
        }
        let calls = self.makeCalls(egress)
        let refusals = Mutex<[UInt32]>([])
        let body = [UInt8](repeating: 0, count: 9 << 20)
        func make(_ number: UInt32) {
            calls.requestMade(self.request(number, body: body) { _ in refusals.withLock { $0.append(number) } })
        }
        for number in 1...4 { make(UInt32(number)) }
        #expect(refusals.withLock { $0 } == [4])
        #expect(calls.requestCancelled(1) != nil && calls.requestCancelled(1) == nil)
        make(5)
        #expect(refusals.withLock { $0 } == [4])
        make(6)
        #expect(refusals.withLock { $0 } == [4, 6])
        calls.drop()
    }
}
