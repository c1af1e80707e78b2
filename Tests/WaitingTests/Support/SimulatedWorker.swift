import AfterloginTestSupport
import AfterloginWaiting
import Glibc

/// A worker in virtual time around the real deciders: lanes, slots, evaluations of one call each, back-offs, timers.
///
/// Discrete events, seeded, no clock: a scene of five minutes takes as long as its logins take to decide. Times are
/// nanoseconds since its start.
final class SimulatedWorker {
    /// What a rule does with a call that failed.
    enum RuleKind: Sendable, CaseIterable {
        /// Calls back with the error; native rules throw it.
        case callsBackWithTheError
        /// Calls back first, or catches the error: its login knows nothing of it.
        case swallows
    }

    /// What the far end does with one call.
    struct Reply {
        var ending: CallEnding
        var seconds: Double
    }

    struct Scene {
        /// Logins per second, of this many users, for this long.
        var rate = 200.0
        var users = 3_000
        var seconds = 60.0
        var rule = RuleKind.callsBackWithTheError
        var settings = WaitingSettings()
        var concurrency = 256
        var admitted = 10_000
        /// A rule's whole time, and how long its library waits for an answer.
        var ruleTimeout = 20.0
        var libraryTimeout = Double.infinity
        /// Logins further behind than this stay out of the simulation: `admitted` bounds what is decided anyway.
        var backlog = 30_000
        /// Whether each call needs a token, of which one is kept.
        var needsToken = false
        /// After this much time beyond the last arrival the simulation ends, with whatever is unfinished.
        var patienceAtEnd = 3_600.0
        var seed: UInt64 = 1
        /// Where a user's login calls; nil where it makes no call.
        var route: (Int) -> Route? = { _ in .call(rule: "sync", host: "api.example.com", port: 443) }
        /// What the API answers a user's call at a time in seconds.
        var answer: (Int, Double, inout SeededGenerator) -> Reply = { _, _, _ in
            Reply(ending: .gotThrough, seconds: 0.01)
        }
        /// What the token endpoint answers.
        var token: (Double) -> Reply = { _ in Reply(ending: .gotThrough, seconds: 0.01) }
    }

    enum Event {
        case arrival
        case answered(CallTicket, CallEnding, SimulatedLogin?, run: Int)
        case deadline(SimulatedLogin, run: Int)
        case backOff(SimulatedLogin)
        case clock
    }

    struct Timed: Comparable {
        var at: Int64
        var number: UInt64
        var event: Event
        static func < (one: Timed, other: Timed) -> Bool { (one.at, one.number) < (other.at, other.number) }
        static func == (one: Timed, other: Timed) -> Bool { one.number == other.number }
    }

    let scene: Scene
    var random: SeededGenerator
    /// Apart, so that equal scenes have equal arrivals whatever happens in them.
    var arrivals: SeededGenerator
    var destinations: Destinations
    var slots: SlotKeeper
    var events = PriorityQueue<Timed>()
    var now: Int64 = 0
    let start = ContinuousClock.now
    var numbers: UInt64 = 0

    var backlog: [SimulatedLogin] = []
    var nextOfBacklog = 0
    var admitted = 0
    var lanes: [Int: [SimulatedLogin]] = [:]
    var ready = PriorityQueue<SimulatedLogin>()
    var logins: [UInt64: SimulatedLogin] = [:]
    var evaluations = 0
    var clockAt = Int64.max
    var hasToken = false
    var isFetching = false
    var tokenCall: WaitingCall?
    var waitingForToken: [SimulatedLogin] = []

    var report = SceneReport()

    init(_ scene: Scene) {
        self.scene = scene
        self.random = SeededGenerator(seed: scene.seed)
        self.arrivals = SeededGenerator(seed: scene.seed &+ 1_000)
        self.destinations = Destinations(scene.settings)
        self.slots = SlotKeeper(concurrency: scene.concurrency, scene.settings)
    }

    var instant: ContinuousClock.Instant { self.start + .nanoseconds(self.now) }
    var seconds: Double { Double(self.now) / 1e9 }

    func fraction() -> Double { Double.random(in: 0..<1, using: &self.random) }

    func at(_ time: Int64, _ event: Event) {
        self.numbers += 1
        self.events.insert(Timed(at: time, number: self.numbers, event: event))
    }

    func after(_ seconds: Double, _ event: Event) { self.at(self.now + Int64(seconds * 1e9), event) }

    func run() -> SceneReport {
        self.scheduleArrival()
        let end = Int64((self.scene.seconds + self.scene.patienceAtEnd) * 1e9)
        while let timed = self.events.popFirst(), timed.at <= end {
            self.now = timed.at
            self.report.events += 1
            precondition(self.report.events < 20_000_000, "the scene does not end")
            self.handle(timed.event)
            self.goOn()
        }
        self.report.unfinished = self.admitted + self.backlog.count - self.nextOfBacklog
        return self.report
    }

    private func handle(_ event: Event) {
        switch event {
        case .arrival: self.arrived()
        case .answered(let ticket, let ending, let login, let run): self.answered(ticket, ending, login, run: run)
        case .deadline(let login, let run):
            guard login.run == run, let call = login.call else { return }
            let destination = login.isWaitingForToken ? .grant("api") : self.destinations.withdrawn(call)
            self.waitingForToken.removeAll { $0 === login }
            self.endEvaluation(login)
            self.destinations.wait(login.waiting, for: destination, now: self.instant)
        case .backOff(let login): self.backOffEnded(login)
        case .clock: if self.clockAt == self.now { self.clockAt = .max }
        }
    }

    // MARK: Arrivals and lanes

    private func scheduleArrival() {
        let gap = -log(1 - Double.random(in: 0..<1, using: &self.arrivals)) / self.scene.rate
        guard self.seconds + gap < self.scene.seconds else { return }
        self.after(gap, .arrival)
    }

    private func arrived() {
        let user = Int.random(in: 0..<self.scene.users, using: &self.arrivals)
        self.report.arrivalTimes.append(self.seconds)
        if self.backlog.count - self.nextOfBacklog < self.scene.backlog {
            self.numbers += 1
            self.report.arrived += 1
            self.backlog.append(SimulatedLogin(id: self.numbers, user: user, arrived: self.now))
        }
        self.scheduleArrival()
    }

    private func admit() {
        while self.nextOfBacklog < self.backlog.count, self.admitted < self.scene.admitted {
            let login = self.backlog[self.nextOfBacklog]
            self.nextOfBacklog += 1
            self.admitted += 1
            self.lanes[login.user, default: []].append(login)
            if self.lanes[login.user]?.count == 1 { self.ready.insert(login) }
        }
        if self.nextOfBacklog > 10_000 {
            self.backlog.removeFirst(self.nextOfBacklog)
            self.nextOfBacklog = 0
        }
    }

    /// Everything that may go on after an event, and the one timer.
    private func goOn() {
        self.admit()
        _ = self.slots.clockTicked(now: self.instant)
        var isMoving = true
        var rounds = 0
        while isMoving {
            isMoving = false
            rounds += 1
            precondition(rounds < 100_000, "the worker goes in circles")
            let releases = self.destinations.releases(now: self.instant, logins: self.slots.free)
            for (call, answer) in releases.calls {
                isMoving = true
                if call.login == 0 {
                    self.tokenAsked(answer)
                } else if let login = self.logins[call.login] {
                    self.told(answer, login)
                }
            }
            for waiting in releases.logins {
                isMoving = true
                if let login = self.logins[waiting.id] { self.ready.insert(login) }
            }
            for _ in releases.tokens {
                isMoving = true
                self.fetchToken()
            }
            while self.slots.mayBegin, self.evaluations < self.scene.settings.evaluations,
                let login = self.ready.popFirst()
            {
                isMoving = true
                self.begin(login)
            }
        }
        let wakes = [self.destinations.nextWake(now: self.instant), self.slots.nextWake].compactMap { $0 }
        guard let wake = wakes.min() else { return }
        let time = max(self.now + 1, Self.nanoseconds(wake - self.start))
        guard time < self.clockAt else { return }
        self.clockAt = time
        self.at(time, .clock)
    }

    static func nanoseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1_000_000_000 + duration.components.attoseconds / 1_000_000_000
    }
}
