import AfterloginTestSupport
import AfterloginWaiting
import Testing

/// Users whose calls fail for ever, and APIs that are slow or small: what they cost the others.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PoisonTests {
    @Test(arguments: [1, 60])
    func exactlyThePoisonedUsersFail(percent: Int) {
        let isPoisoned = { (user: Int) in (user &* 7_919) % 100 < percent }
        let scene = SimulatedWorker.Scene.poison(status: 500, rate: 100, seconds: 60, users: 1_500, isPoisoned)
        let report = SimulatedWorker(scene).run()
        #expect(report.failed.allSatisfy { isPoisoned($0.user) && $0.attempts == 8 })
        #expect(report.published.allSatisfy { !isPoisoned($0.user) })
        #expect(report.published.count + report.failed.count == report.arrived)
        let others = report.rate(from: 20, seconds: 40)
        #expect(others >= 0.8 * Double(100 - percent) / 100 * report.undisturbedRate(from: 20, seconds: 40))
    }

    @Test
    func aRuleThatSwallowsPublishesPoisonedUsersWithoutTheirData() {
        let isPoisoned = { (user: Int) in user % 10 == 0 }
        var scene = SimulatedWorker.Scene.poison(status: 500, rate: 100, seconds: 30, users: 1_500, isPoisoned)
        scene.rule = .swallows
        let report = SimulatedWorker(scene).run()
        #expect(report.failed.isEmpty)
        #expect(report.published.count == report.arrived)
        #expect(report.published.allSatisfy { $0.hasData != isPoisoned($0.user) })
        #expect(report.p99 { !isPoisoned($0) } < 0.1)
    }

    @Test
    func oneUserAloneKeepsNobodyWaiting() {
        var scene = SimulatedWorker.Scene.poison(status: 504, rate: 1.0 / 60, seconds: 36_000, users: 20) { $0 == 0 }
        scene.answer = { user, _, _ in user == 0 ? .status(504, seconds: 10) : .well }
        let report = SimulatedWorker(scene).run()
        #expect(report.timesAway == 0)
        #expect(report.longest { $0 != 0 } <= 10)
        #expect(report.failed.allSatisfy { $0.user == 0 })
        #expect(!report.failed.isEmpty)
    }

    @Test(arguments: [1.0, 5, 200])
    func oneFailureOfTheFirstTokenRequestHoldsUpNobody(rate: Double) {
        var scene = SimulatedWorker.Scene()
        scene.rate = rate
        scene.seconds = 20
        scene.needsToken = true
        var asked = 0
        scene.token = { _ in
            asked += 1
            return asked == 1
                ? .init(ending: .of(status: 500, retryAfter: nil, hasToken: false), seconds: 0.01) : .well
        }
        let report = SimulatedWorker(scene).run()
        #expect(asked == 2)
        #expect(report.failed.isEmpty)
        #expect(report.published.count == report.arrived)
        #expect(report.longest { _ in true } <= 10)
    }

    @Test
    func aTokenThatIsRefusedIsWaitedFor() {
        var scene = SimulatedWorker.Scene()
        scene.rate = 20
        scene.seconds = 60
        scene.needsToken = true
        var asked = 0
        scene.token = { time in
            asked += 1
            guard time < 30 else { return .well }
            return .init(ending: .of(status: 401, retryAfter: nil, hasToken: false), seconds: 0.01)
        }
        let report = SimulatedWorker(scene).run()
        #expect(report.failed.isEmpty)
        #expect(report.poor == 0)
        #expect(report.published.count == report.arrived)
        #expect((report.first(after: 30) ?? .infinity) <= 36)
        #expect(asked < 60, "probes, and nothing else")
    }

    @Test
    func aHangingApiTakesNothingFromAnotherAtTheSameHost() {
        var scene = SimulatedWorker.Scene()
        scene.rate = 200
        scene.seconds = 30
        let isSlow = { (user: Int) in user % 2 == 0 }
        scene.route = { .call(rule: isSlow($0) ? "slow" : "well", host: "gateway.example.com", port: 443) }
        scene.answer = { user, time, _ in
            isSlow(user) && time < 25 ? .init(ending: .of(.timeout), seconds: 10) : .well
        }
        let report = SimulatedWorker(scene).run()
        #expect(report.longest { !isSlow($0) } <= 0.25)
        #expect(report.failed.isEmpty)
        #expect(report.published.count == report.arrived)
    }

    @Test
    func aDeadNameThatARuleSwallowsIsAMinuteOnce() {
        var scene = SimulatedWorker.Scene()
        scene.rate = 20
        scene.seconds = 150
        scene.rule = .swallows
        let isDead = { (user: Int) in user % 2 == 0 }
        scene.route = { .call(rule: "sync", host: isDead($0) ? "dead.example.com" : "api.example.com", port: 443) }
        scene.answer = { user, _, _ in isDead(user) ? Fault.noName.reply : .well }
        let report = SimulatedWorker(scene).run()
        #expect(report.failed.isEmpty)
        #expect(report.published.count == report.arrived)
        let first = report.published.filter { isDead($0.user) }.map(\.at).min() ?? .infinity
        #expect(first > 55 && first < 65)
        let rest = report.published.filter { isDead($0.user) && $0.arrived >= 66 }
        #expect(rest.map { $0.at - $0.arrived }.max() ?? .infinity <= 5)
        #expect(report.published.filter { isDead($0.user) }.allSatisfy { !$0.hasData })
        #expect(report.longest { !isDead($0) } < 0.25)
    }

    @Test
    func aNameThatFailsAsAllOthersDoKeepsItsPatience() {
        var scene = SimulatedWorker.Scene.outage(.noName, from: 0, to: 200, rate: 2, rule: .swallows)
        scene.seconds = 210
        let report = SimulatedWorker(scene).run()
        #expect(report.poor == 0)
        #expect(report.published.count == report.arrived)
    }

    @Test
    func aBucketIsUsedUpAndFailsNobody() {
        let bucket = RequestBucket(size: 100, perSecond: 100)
        var scene = SimulatedWorker.Scene()
        scene.rate = 1_000
        scene.seconds = 10
        scene.users = 5_000
        scene.answer = { _, time, _ in bucket.answer(at: time) }
        let report = SimulatedWorker(scene).run()
        #expect(report.failed.isEmpty)
        #expect(report.poor == 0)
        #expect(report.published.count == report.arrived)
        let used = report.rate(from: 10, seconds: 60) / 100
        #expect(used >= 0.9 && used <= 1.0, "\(used)")
    }
}
