import AfterloginWaiting
import Testing

/// Outages, in virtual time on the real deciders: no login fails, and no update goes without its data.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct OutageTests {
    /// One scene of the matrix.
    private func check(
        _ fault: Fault,
        duration: Double,
        fromStart: Bool,
        rate: Double,
        rule: SimulatedWorker.RuleKind,
        atToken: Bool,
        window: Double = 30,
        seed: UInt64 = 1
    ) {
        let from = fromStart ? 0.0 : 10.0
        let end = from + duration
        let scene = SimulatedWorker.Scene.outage(
            fault,
            from: from,
            to: end,
            rate: rate,
            rule: rule,
            atToken: atToken,
            window: window,
            seed: seed
        )
        let report = SimulatedWorker(scene).run()
        let place = atToken ? "token endpoint" : "API"
        let name: Comment = "\(fault) at the \(place) from \(from) to \(end) s, \(rate)/s, \(rule), seed \(seed)"
        #expect(report.failed.isEmpty, name)
        #expect(report.poor == 0, name)
        #expect(report.published.count == report.arrived, name)
        let first = report.first(after: end) ?? .infinity
        #expect(first <= end + fault.firstResult + 2 / rate, name)
        let rest = report.rate(from: first + 5, seconds: window)
        #expect(rest >= 0.8 * report.undisturbedRate(from: first + 5, seconds: window), name)
    }

    @Test(arguments: Fault.allCases, SimulatedWorker.RuleKind.allCases)
    func anOutageFailsNobody(fault: Fault, rule: SimulatedWorker.RuleKind) {
        for duration in [1.0, 30, 300] {
            for fromStart in [true, false] {
                for atToken in [true, false] {
                    // Five minutes are long in logins, too: half of those scenes.
                    if duration == 300, fromStart == atToken { continue }
                    self.check(
                        fault,
                        duration: duration,
                        fromStart: fromStart,
                        rate: 5,
                        rule: rule,
                        atToken: atToken
                    )
                }
            }
        }
    }

    @Test(arguments: Fault.allCases)
    func norDoesOneAtAHighRate(fault: Fault) {
        self.check(
            fault,
            duration: 1,
            fromStart: true,
            rate: 200,
            rule: .swallows,
            atToken: false,
            window: 5,
            seed: 1
        )
        self.check(
            fault,
            duration: 30,
            fromStart: false,
            rate: 70,
            rule: .callsBackWithTheError,
            atToken: false,
            window: 3,
            seed: 2
        )
    }

    @Test(arguments: [Fault.error503, .error429])
    func norDoesOneAtAThousandPerSecond(fault: Fault) {
        self.check(
            fault,
            duration: 3,
            fromStart: false,
            rate: 1_000,
            rule: .swallows,
            atToken: false,
            window: 2,
            seed: 3
        )
    }

    /// Every second of an end is another place in the pauses and back-offs, which are longest after minutes.
    @Test(arguments: [Fault.error429, .error503, .error500, .refused], stride(from: 290.0, to: 320, by: 5).map { $0 })
    func nobodyWaitsForLongAfterALongOutage(fault: Fault, duration: Double) {
        self.check(fault, duration: duration, fromStart: true, rate: 1, rule: .callsBackWithTheError, atToken: false)
    }

    @Test
    func aSwallowedFailureAtTheEndOfAnOutageIsNoVerdict() {
        var scene = SimulatedWorker.Scene.outage(.reset, from: 20, to: 21, rate: 200, rule: .swallows, window: 1)
        #expect(SimulatedWorker(scene).run().poor == 0)
        scene.settings.swallowedAttempts = 1
        #expect(SimulatedWorker(scene).run().poor > 0, "this is what a single run would publish")
    }

    @Test
    func callsThatCallNobodyAreNotHeldUp() {
        var scene = SimulatedWorker.Scene.outage(.hang, from: 5, to: 35, rate: 200, rule: .callsBackWithTheError)
        scene.seconds = 20
        let callsNobody = { (user: Int) in user % 4 == 0 }
        scene.route = { callsNobody($0) ? nil : .call(rule: "sync", host: "api.example.com", port: 443) }
        let report = SimulatedWorker(scene).run()
        #expect(report.p99(callsNobody) <= 0.25)
        #expect(report.published.count == report.arrived)
    }

    @Test
    func anApiThatComesAndGoesFailsNobody() {
        var scene = SimulatedWorker.Scene()
        scene.seconds = 130
        scene.rate = 50
        scene.users = 750
        for rule in SimulatedWorker.RuleKind.allCases {
            scene.rule = rule
            scene.answer = { _, time, _ in
                time.truncatingRemainder(dividingBy: 20) >= 10 && time < 100 ? .status(503) : .well
            }
            let report = SimulatedWorker(scene).run()
            #expect(report.failed.isEmpty)
            #expect(report.poor == 0)
            #expect(report.published.count == report.arrived)
            #expect(report.longest { _ in true } < 25)
        }
    }

    @Test
    func anApiThatFailsHalfOfItsCallsFailsFew() {
        var scene = SimulatedWorker.Scene()
        scene.seconds = 40
        scene.rate = 100
        scene.users = 1_500
        scene.answer = { _, _, random in Double.random(in: 0..<1, using: &random) < 0.5 ? .status(503) : .well }
        let report = SimulatedWorker(scene).run()
        // 0.5 to the power of 8 attempts is 0.4 %.
        #expect(Double(report.failed.count) < 0.01 * Double(report.arrived))
        #expect(report.published.count + report.failed.count == report.arrived)
        #expect(report.failed.allSatisfy { $0.attempts == 8 })
    }

    @Test
    func anApiThatFailsNineOfTenCallsKeepsNobodyForEver() {
        var scene = SimulatedWorker.Scene()
        scene.seconds = 40
        scene.rate = 50
        scene.users = 750
        scene.answer = { _, _, random in Double.random(in: 0..<1, using: &random) < 0.9 ? .status(503) : .well }
        let report = SimulatedWorker(scene).run()
        #expect(report.published.count + report.failed.count == report.arrived)
        #expect(report.published.count > report.arrived / 2)
    }
}
