/// All destinations, and who waits for them: one question for each call, one answer.
///
/// Pure: no lock, no clock, randomness is given. Its caller performs what it is told: after each event that may free
/// something (`ended`, `loginEnded`, `withdrawn`, a timer at `nextWake`) it takes `releases`.
package struct Destinations: Sendable {
    /// One destination, and who waits for it.
    struct Slot: Sendable {
        var state: DestinationState
        /// Calls that wait for limit or pause; only of answers and grants.
        var calls = ArrivalQueue<WaitingCall>()
        /// Logins that wait without an evaluation.
        var room = WaitingRoom()
        /// Logins that left the room and have not called yet.
        var onTheWay = 0
        /// The evaluations with a call here, waiting or sent, and how many calls each.
        var holders: [UInt64: Int] = [:]
        /// Of answers: the connection's slot.
        var connection: Int?
        /// Of a connection: the slots of the answers at its host and port.
        var members: [Int] = []
        /// The failure that was forgiven, and for which the room was emptied.
        var forgiven: ContinuousClock.Instant?
        var lastUse: UInt64 = 0
        /// Of a grant: when the worker was told to ask for its token after a pause.
        var tokenAsked: ContinuousClock.Instant?
        /// A pause began: calls whose rule has less time left are away.
        var hasNewPause = false

        var isIdle: Bool {
            self.calls.isEmpty && self.room.isEmpty && self.holders.isEmpty && self.onTheWay == 0
                && self.state.limit.total == 0 && self.members.isEmpty
        }
        var hasWaiting: Bool { !self.calls.isEmpty || !self.room.isEmpty }
    }

    /// A login that left the room: where it waited, and whether to have a probe.
    struct Begun: Sendable {
        var slot: Int
        var isProbe: Bool
    }

    package let settings: WaitingSettings
    var slots: [Slot] = []
    var places: [Destination: Int] = [:]
    var free: [Int] = []
    /// Slots with somebody who waits.
    var active: Set<Int> = []
    var begun: [UInt64: Begun] = [:]
    /// Where each waiting login waits.
    var waiting: [UInt64: Int] = [:]
    /// Logins that may begin although their destination is away: patience is over.
    var forgivenLogins: [WaitingLogin] = []
    /// When the latest call to a host with a name got through.
    var namesGotThrough: ContinuousClock.Instant?
    private var uses: UInt64 = 0

    package init(_ settings: WaitingSettings) { self.settings = settings }

    /// Whether nobody waits: then there is nobody to release.
    package var isCalm: Bool { self.active.isEmpty && self.forgivenLogins.isEmpty }

    /// How many are remembered.
    package var count: Int { self.places.count }

    /// What is known of a destination; nil where nothing is.
    package func state(of destination: Destination) -> DestinationState? {
        self.places[destination].map { self.slots[$0].state }
    }

    /// Every destination that is away or paused, with the number of logins and calls that wait for it: for status,
    /// log and readiness.
    package func troubled(now: ContinuousClock.Instant) -> [(state: DestinationState, waiting: Int)] {
        self.places.values.map { self.slots[$0] }
            .filter { $0.state.away != nil || $0.state.limit.pauseEnd(now: now) != nil }
            .map { ($0.state, $0.room.count + $0.calls.count) }
    }

    /// How many logins wait for that destination.
    package func waitingLogins(for destination: Destination) -> Int {
        self.places[destination].map { self.slots[$0].room.count } ?? 0
    }

    /// Whether failures there are told and verdicts stand.
    func isForgiven(_ slot: Int, now: ContinuousClock.Instant) -> Bool {
        if self.slots[slot].state.isOptional(self.settings) { return true }
        guard self.slots[slot].state.failingSince != nil else { return false }
        let end = self.slots[slot].state.patienceEnd(othersGotThrough: self.namesGotThrough, self.settings)
        return end.map { now >= $0 } ?? false
    }

    /// The calls in flight that a destination may have: half, where another calls the same host and port.
    func cap(_ slot: Int) -> Int {
        guard let connection = self.slots[slot].connection, self.slots[connection].members.count > 1 else {
            return self.settings.perHost
        }
        return max(1, self.settings.perHost / 2)
    }

    // MARK: Remembering

    /// The slots of a call's destinations, which are remembered from now on.
    mutating func slots(of route: Route) -> (answers: Int, connection: Int?) {
        let answers = self.slot(of: route.answers)
        return (answers, self.slots[answers].connection)
    }

    /// The slot of a destination, which is remembered from now on, and its connection with it.
    mutating func slot(of destination: Destination) -> Int {
        self.uses += 1
        if let slot = self.places[destination] {
            self.slots[slot].lastUse = self.uses
            return slot
        }
        guard case .answers(_, let host, let port) = destination else { return self.makeSlot(destination) }
        let connection = self.slot(of: .connection(host: host, port: port))
        let slot = self.makeSlot(destination)
        self.slots[slot].connection = connection
        self.slots[connection].members.append(slot)
        return slot
    }

    private mutating func makeSlot(_ destination: Destination) -> Int {
        if self.places.count >= self.settings.destinations { self.forgetOldest() }
        let state = DestinationState(destination, self.settings)
        let slot: Int
        if let reused = self.free.popLast() {
            slot = reused
            self.slots[slot] = Slot(state: state)
        } else {
            slot = self.slots.count
            self.slots.append(Slot(state: state))
        }
        self.slots[slot].lastUse = self.uses
        self.places[destination] = slot
        return slot
    }

    /// The oldest for which nobody waits goes; where all are waited for, more are remembered than usual.
    private mutating func forgetOldest() {
        let idle = self.places.values.filter { self.slots[$0].isIdle && self.slots[$0].lastUse != self.uses }
        guard let oldest = idle.min(by: { self.slots[$0].lastUse < self.slots[$1].lastUse }) else { return }
        self.places[self.slots[oldest].state.destination] = nil
        self.free.append(oldest)
        guard let connection = self.slots[oldest].connection else { return }
        self.slots[connection].members.removeAll { $0 == oldest }
    }
}
