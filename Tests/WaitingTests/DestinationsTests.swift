import AfterloginWaiting
import Testing

@Suite(.timeLimit(.minutes(1)))
struct DestinationsTests {
    private let transcript = Transcript()
    private var connection: Destination { .connection(host: "api.example.com", port: 443) }

    private func makeAway(_ destinations: inout Destinations, at seconds: Double = 0) {
        for _ in 0..<3 {
            self.transcript.call(&destinations, .ada, .of(.connectionRefused), from: seconds, to: seconds)
        }
    }

    private func login(_ id: UInt64, _ user: LoginUser) -> WaitingLogin {
        WaitingLogin(id: id, user: user, arrival: id)
    }

    @Test
    func toAnAwayDestinationOnlyProbesAreSent() {
        var destinations = Destinations(WaitingSettings())
        self.makeAway(&destinations)
        #expect(destinations.state(of: self.connection)?.away != nil)
        guard
            case .away(self.connection, nil) = destinations.ask(
                self.transcript.make(.bob),
                now: self.transcript.at(0.1)
            )
        else {
            Issue.record("it is sent before a probe is due")
            return
        }
        destinations.wait(self.login(1, .ada), for: self.connection, now: self.transcript.at(0.1))
        destinations.wait(self.login(2, .bob), for: self.connection, now: self.transcript.at(0.1))
        #expect(destinations.releases(now: self.transcript.at(0.1)).isEmpty == true)
        #expect(destinations.nextWake(now: self.transcript.at(0.1)) == self.transcript.at(0.2))
        let first = destinations.releases(now: self.transcript.at(0.2)).logins
        #expect(first.map(\.id) == [1])
        #expect(destinations.releases(now: self.transcript.at(0.2)).isEmpty == true)
        let probe = self.transcript.make(.ada, login: 1)
        guard case .send(let ticket) = destinations.ask(probe, now: self.transcript.at(0.3)) else {
            Issue.record("the probe is not sent")
            return
        }
        #expect(ticket.isProbe)
        self.transcript.end(&destinations, ticket, .of(.connectionRefused), 0.4)
        destinations.loginEnded(1, now: self.transcript.at(0.4), fraction: 1)
        destinations.wait(self.login(1, .ada), for: self.connection, now: self.transcript.at(0.4))
        #expect(destinations.releases(now: self.transcript.at(0.8)).logins.map(\.id) == [2], "another user's")
    }

    @Test
    func whenItIsBackLoginsBeginAsTheLimitAllows() {
        var destinations = Destinations(WaitingSettings())
        self.makeAway(&destinations)
        for id in 1...9 as ClosedRange<UInt64> {
            let user = LoginUser(key: id)
            destinations.wait(self.login(id, user), for: self.connection, now: self.transcript.at(0.1))
        }
        let end = self.transcript.call(&destinations, .eve, .gotThrough, from: 1, to: 1.5)
        #expect(end?.changes.contains(.cameBack(self.connection, after: .seconds(1.5))) == true)
        #expect(destinations.releases(now: self.transcript.at(1.5)).logins.map(\.id) == [1, 2])
        #expect(destinations.releases(now: self.transcript.at(1.5)).isEmpty == true, "two are on the way")
        destinations.loginEnded(1, now: self.transcript.at(1.6), fraction: 0)
        #expect(destinations.releases(now: self.transcript.at(1.6)).logins.map(\.id) == [3], "one did not call")
        guard
            case .send(let ticket) = destinations.ask(self.transcript.make(.bob, login: 2), now: self.transcript.at(2))
        else {
            Issue.record("the call is not sent")
            return
        }
        #expect(destinations.releases(now: self.transcript.at(2)).isEmpty == true, "one in flight, one on the way")
        self.transcript.end(&destinations, ticket, .gotThrough, 2.1)
        #expect(destinations.releases(now: self.transcript.at(2.1)).logins.map(\.id) == [4, 5])
        destinations.left(6)
        #expect(destinations.waitingLogins(for: self.connection) == 3)
    }

    @Test
    func patienceEndsByItselfAndLoginsAreToldOnce() {
        var destinations = Destinations(WaitingSettings())
        self.makeAway(&destinations)
        destinations.wait(self.login(1, .ada), for: self.connection, now: self.transcript.at(1))
        guard let begun = destinations.releases(now: self.transcript.at(1)).logins.first else {
            Issue.record("no probe")
            return
        }
        destinations.wait(begun, for: self.connection, wasTold: false, now: self.transcript.at(1))
        var last = self.transcript.at(1)
        while let wake = destinations.nextWake(now: last), wake < self.transcript.at(900) {
            let logins = destinations.releases(now: wake).logins
            for login in logins { destinations.wait(login, for: self.connection, now: wake) }
            last = max(wake, last + .milliseconds(1))
        }
        let now = self.transcript.at(900)
        #expect(destinations.nextWake(now: last) == now)
        #expect(destinations.releases(now: now).logins.map(\.id) == [1])
        let probe = destinations.ask(self.transcript.make(.bob), now: now)
        guard case .send = probe,
            case .tellNow(self.connection, let error) = destinations.ask(
                self.transcript.make(.ada, login: 1),
                now: now
            )
        else {
            Issue.record("it is not told")
            return
        }
        #expect(error == "connect ECONNREFUSED")
        destinations.wait(self.login(1, .ada), for: self.connection, wasTold: true, now: now)
        #expect(destinations.waitingLogins(for: self.connection) == 1, "who was told waits for the return")
        destinations.wait(self.login(2, .bob), for: self.connection, now: now)
        #expect(destinations.releases(now: now).logins.map(\.id) == [2], "who was not is told")
    }

    @Test
    func anOptionalHostIsNotWaitedFor() {
        var settings = WaitingSettings()
        settings.optionalHosts = ["api.example.com"]
        var destinations = Destinations(settings)
        let end = self.transcript.call(&destinations, .ada, .of(.connectionRefused), from: 0, to: 0)
        #expect(end?.verdict.consequence == .stands)
        self.makeAway(&destinations)
        guard case .tellNow = destinations.ask(self.transcript.make(.bob), now: self.transcript.at(0.1)) else {
            Issue.record("it is not told at once")
            return
        }
    }

    @Test
    func aPauseThatIsLongerThanARuleHasLeftIsAwayUntilThen() {
        var destinations = Destinations(WaitingSettings())
        let early = self.transcript.call(&destinations, .ada, .pace(retryAfter: .seconds(30)), from: 0, to: 0)
        #expect(early?.verdict.consequence == .sentAgain)
        guard case .wait = destinations.ask(self.transcript.make(.ada, deadline: 31), now: self.transcript.at(1)),
            case .away(self.transcript.route.answers, self.transcript.at(30)) = destinations.ask(
                self.transcript.make(.bob, deadline: 29),
                now: self.transcript.at(1)
            )
        else {
            Issue.record("the pause is not compared with the deadline")
            return
        }
        destinations.wait(self.login(7, .bob), for: self.transcript.route.answers, now: self.transcript.at(1))
        #expect(destinations.nextWake(now: self.transcript.at(1)) == self.transcript.at(30))
        let releases = destinations.releases(now: self.transcript.at(30))
        #expect(releases.calls.map(\.call.user) == [.ada])
        #expect(releases.logins.map(\.id) == [7])
    }

    @Test
    func aPauseSendsWaitingCallsAwayThatCannotOutlastIt() {
        var settings = WaitingSettings()
        settings.perHost = 1
        var destinations = Destinations(settings)
        guard case .send(let ticket) = destinations.ask(self.transcript.make(.ada), now: self.transcript.at(0)),
            case .wait = destinations.ask(self.transcript.make(.bob, deadline: 20), now: self.transcript.at(0)),
            case .wait = destinations.ask(self.transcript.make(.eve, deadline: 200), now: self.transcript.at(0))
        else {
            Issue.record("the limit is not kept")
            return
        }
        self.transcript.end(&destinations, ticket, .pace(retryAfter: .seconds(60)), 1)
        let releases = destinations.releases(now: self.transcript.at(1))
        #expect(releases.calls.map(\.call.user) == [.bob])
        guard case .away = releases.calls.first?.answer else {
            Issue.record("it is not away")
            return
        }
    }

    @Test
    func noDestinationHoldsMoreThanHalfOfTheEvaluations() {
        var settings = WaitingSettings()
        settings.evaluations = 8
        settings.perHost = 2
        var destinations = Destinations(settings)
        var waiting: [WaitingCall] = []
        for login in 1...5 as ClosedRange<UInt64> {
            let call = self.transcript.make(LoginUser(key: login), login: login)
            switch destinations.ask(call, now: self.transcript.at(0)) {
            case .send: #expect(login <= 2)
            case .wait:
                #expect(login == 3 || login == 4)
                waiting.append(call)
            case .away: #expect(login == 5)
            case .tellNow: Issue.record("nothing is wrong there")
            }
        }
        destinations.withdrawn(waiting[0])
        guard case .wait = destinations.ask(self.transcript.make(.eve, login: 6), now: self.transcript.at(1)) else {
            Issue.record("one left, and there is no room")
            return
        }
    }

    @Test
    func onlyAThousandAreRememberedAndNoneThatIsWaitedFor() {
        var settings = WaitingSettings()
        settings.destinations = 10
        var destinations = Destinations(settings)
        self.makeAway(&destinations)
        destinations.wait(self.login(1, .ada), for: self.connection, now: self.transcript.at(0))
        for number in 0..<100 {
            let route = Route.call(rule: "sync", host: "host\(number).example.com", port: 443)
            self.transcript.call(&destinations, .bob, .gotThrough, from: 1, to: 1, route: route)
            #expect(destinations.count <= 12)
        }
        #expect(destinations.state(of: self.connection)?.away != nil)
        #expect(destinations.state(of: .connection(host: "host0.example.com", port: 443)) == nil)
        #expect(destinations.state(of: .connection(host: "host99.example.com", port: 443)) != nil)
    }

    @Test
    func theWorkerProbesForTokensItself() {
        let grant = Destination.grant("api")
        var destinations = Destinations(WaitingSettings())
        let route = Route.grant("api")
        let end = self.transcript.call(&destinations, nil, .tokenRefused, from: 0, to: 0, route: route)
        #expect(end?.changes == [.wentAway(grant, lastError: "connect ECONNREFUSED")])
        let now = self.transcript.at(0)
        #expect(
            destinations.availability(of: grant, deadline: self.transcript.at(20), now: now) == .away(grant, until: nil)
        )
        for id in 1...5 as ClosedRange<UInt64> { destinations.wait(self.login(id, .ada), for: grant, now: now) }
        let releases = destinations.releases(now: self.transcript.at(0.2))
        #expect(releases.tokens == [grant])
        #expect(releases.logins.isEmpty)
        #expect(destinations.releases(now: self.transcript.at(0.3)).isEmpty == true)
        self.transcript.call(&destinations, nil, .gotThrough, from: 0.4, to: 0.5, route: route)
        #expect(destinations.releases(now: self.transcript.at(0.5)).logins.map(\.id) == [1, 2, 3, 4, 5])
    }
}
