import AfterloginKafka

/// One line for each user of a partition, and who goes next: the login that arrived first among those that may begin.
struct Lanes {
    typealias Instant = ContinuousClock.Instant

    struct Due: Comparable {
        var instant: Instant
        var login: AdmittedLogin
        static func < (one: Self, other: Self) -> Bool { one.instant < other.instant }
    }

    /// One without a login is free.
    private var slots: [Lane] = []
    private var free: [Int] = []
    private var indices: [LaneKey: Int] = [:]
    private var beginning = ReadyLanes()
    /// Those whose first login has run before, and waited.
    private var resuming = ReadyLanes()
    /// Who waits until when; those that were resumed before are dropped when they are the most.
    private(set) var due = MinimumHeap<Due>()
    /// Logins that have a slot.
    private(set) var working = 0
    /// How many of these have run before, and waited.
    private(set) var workingAgain = 0
    /// Logins that run without one.
    private(set) var idle = 0
    private(set) var waiting = 0

    /// Whether logins may begin for which there is no slot.
    var someAreReady: Bool { !self.beginning.isEmpty || !self.resuming.isEmpty }
    var all: some Sequence<Lane> { self.slots.lazy.filter { $0.first != nil } }
    /// When the next of those that wait is due.
    var nextDue: Instant? { self.due.first?.instant }

    /// Whether the login is the first of its lane, and was not dropped.
    func holds(_ login: AdmittedLogin) -> Bool {
        guard let index = self.index(of: login) else { return false }
        return !self.slots[index].isDropped
    }

    /// What the login does, where it is the first of its lane.
    func standing(of login: AdmittedLogin) -> Lane.Standing? {
        self.index(of: login).map { self.slots[$0].standing }
    }

    /// The slot of the lane of which the login is the first, where it is.
    private func index(of login: AdmittedLogin) -> Int? {
        guard let index = self.indices[login.lane], self.slots[index].first == login else { return nil }
        return index
    }

    // MARK: Who goes next

    mutating func queued(_ login: AdmittedLogin) {
        let key = login.lane
        if let index = self.indices[key] {
            self.slots[index].logins.append(login)
        } else {
            let index: Int
            if let free = self.free.popLast() {
                index = free
                self.slots[index] = Lane(key, login)
            } else {
                index = self.slots.count
                self.slots.append(Lane(key, login))
            }
            self.indices[key] = index
            self.becameReady(index, login)
        }
    }

    /// The login that arrived first among those that may begin; it has a slot from now on.
    ///
    /// A partition whose best may not begin is passed over until `released`. At most `again` of those that have run before work at a time.
    mutating func next(again limit: Int, mayBegin: (AdmittedLogin) -> Bool) -> AdmittedLogin? {
        while true {
            var best = self.beginning.first
            if self.workingAgain < limit, let again = self.resuming.first, best.map({ again < $0 }) ?? true {
                best = again
            }
            guard let place = best else { return nil }
            let resumes = self.slots[place.lane].isAgain
            guard let login = self.slots[place.lane].first, mayBegin(login) else {
                if resumes { self.resuming.hold() } else { self.beginning.hold() }
                continue
            }
            if resumes { self.resuming.removeFirst() } else { self.beginning.removeFirst() }
            self.slots[place.lane].standing = .running(hasSlot: true)
            self.worksMore(place.lane)
            return login
        }
    }

    /// Partitions that were passed over are looked at again.
    mutating func released() {
        self.beginning.release()
        self.resuming.release()
    }

    private mutating func becameReady(_ index: Int, _ login: AdmittedLogin) {
        let place = ReadyLanes.Place(arrival: login.arrival, epoch: login.epoch, lane: index)
        if self.slots[index].isAgain { self.resuming.insert(place) } else { self.beginning.insert(place) }
    }

    private mutating func worksMore(_ index: Int) {
        self.working += 1
        if self.slots[index].isAgain { self.workingAgain += 1 }
    }

    private mutating func worksLess(_ index: Int) {
        self.working -= 1
        if self.slots[index].isAgain { self.workingAgain -= 1 }
    }

    // MARK: The first login of a lane

    /// Its rules have ended; where it had no slot it has one again, beyond the limit if need be.
    ///
    /// Returns whether it had one.
    mutating func finished(_ login: AdmittedLogin) -> Bool {
        guard let index = self.indices[login.lane] else { return true }
        let hadSlot = self.slots[index].standing != .running(hasSlot: false)
        if !hadSlot {
            self.worksMore(index)
            self.idle -= 1
        }
        self.slots[index].standing = .finished
        return hadSlot
    }

    /// It works no more for now; false where it had no slot.
    mutating func slotGivenBack(_ login: AdmittedLogin) -> Bool {
        guard let index = self.index(of: login), self.slots[index].standing == .running(hasSlot: true) else {
            return false
        }
        self.slots[index].standing = .running(hasSlot: false)
        self.worksLess(index)
        self.idle += 1
        return true
    }

    /// It works again; false where it had a slot.
    @discardableResult
    mutating func slotTaken(_ login: AdmittedLogin) -> Bool {
        guard let index = self.index(of: login), self.slots[index].standing == .running(hasSlot: false) else {
            return false
        }
        self.slots[index].standing = .running(hasSlot: true)
        self.worksMore(index)
        self.idle -= 1
        return true
    }

    /// It is to begin again later, from what the given one carries; its user's logins wait behind it.
    ///
    /// Returns by how much what is kept beside its record grew.
    mutating func heldBack(_ login: AdmittedLogin, for reason: String, until: Instant?, bytes: Int) -> Int {
        guard let index = self.index(of: login) else { return 0 }
        self.leftItsStanding(index)
        self.waiting += 1
        let growth = bytes - self.slots[index].extraBytes
        self.slots[index].standing = .waiting(for: reason, until: until)
        self.slots[index].replaceFirst(login)
        self.slots[index].isAgain = true
        self.slots[index].extraBytes = bytes
        if let until { self.waits(login, until: until) }
        return growth
    }

    /// An entry outlives its login, which may have been resumed long before: they must not keep the records of a day.
    private mutating func waits(_ login: AdmittedLogin, until: Instant) {
        self.due.insert(Due(instant: until, login: login))
        guard self.due.count > 2 * self.waiting + 64 else { return }
        self.due = MinimumHeap()
        for lane in self.all {
            guard case .waiting(_, until: .some(let instant)) = lane.standing, let first = lane.first else { continue }
            self.due.insert(Due(instant: instant, login: first))
        }
    }

    /// It may begin, at its old place; false where it does not wait.
    @discardableResult
    mutating func resumed(_ login: AdmittedLogin) -> Bool {
        guard let index = self.index(of: login), case .waiting = self.slots[index].standing else { return false }
        self.waiting -= 1
        self.slots[index].standing = .ready
        self.becameReady(index, login)
        return true
    }

    /// Those whose time has come.
    mutating func resumeDue(_ now: Instant) {
        while let due = self.due.first, due.instant <= now {
            self.due.removeFirst()
            // It may have been resumed before, and wait for something else.
            guard case .waiting(_, until: due.instant) = self.standing(of: due.login) else { continue }
            self.resumed(due.login)
        }
    }

    /// It is over here, and the next of its user may begin; returns what was kept beside its record.
    mutating func ended(_ login: AdmittedLogin) -> Int {
        guard let index = self.index(of: login) else { return 0 }
        self.leftItsStanding(index)
        let extraBytes = self.slots[index].extraBytes
        self.slots[index].removeFirst()
        if let next = self.slots[index].first { self.becameReady(index, next) } else { self.remove(index) }
        return extraBytes
    }

    // MARK: Drains

    /// What is given up of the partitions: what has not begun, or waits, and what runs without a slot.
    struct Dropped: Equatable {
        /// They have left their lanes.
        var queued: [AdmittedLogin] = []
        /// They waited, and have left their lanes.
        var waiting: [AdmittedLogin] = []
        /// So much was kept for those that have left.
        var extraBytes = 0
        /// They stay the first of their lanes until they end, and count for nothing.
        var idle: [AdmittedLogin] = []
    }

    mutating func dropped(_ epochs: Set<Int>) -> Dropped {
        var dropped = Dropped()
        self.beginning.remove(epochs)
        self.resuming.remove(epochs)
        for index in self.slots.indices {
            let lane = self.slots[index]
            guard let first = lane.first else { continue }
            let kept = lane.queued.filter { !epochs.contains($0.epoch) }
            dropped.queued += lane.queued.filter { epochs.contains($0.epoch) }
            let isFirstDropped = epochs.contains(first.epoch)
            var leaves = isFirstDropped
            switch lane.standing {
            case .running, .finished:
                leaves = false
                if isFirstDropped, lane.standing == .running(hasSlot: false), !lane.isDropped {
                    self.slots[index].isDropped = true
                    dropped.idle.append(first)
                }
            case .ready: if isFirstDropped { dropped.queued.append(first) }
            case .waiting:
                guard isFirstDropped else { break }
                self.waiting -= 1
                dropped.waiting.append(first)
            }
            if leaves { dropped.extraBytes += lane.extraBytes }
            if !leaves {
                self.slots[index].keep([first] + kept)
            } else if let next = kept.first {
                self.slots[index].restart(with: kept)
                self.becameReady(index, next)
            } else {
                self.remove(index)
            }
        }
        return dropped
    }

    /// It gave its slot back in a drain: it runs on for nothing.
    mutating func isDropped(_ login: AdmittedLogin) {
        if let index = self.index(of: login) { self.slots[index].isDropped = true }
    }

    // MARK: Inside

    private mutating func leftItsStanding(_ index: Int) {
        switch self.slots[index].standing {
        case .ready: break
        case .running(hasSlot: true), .finished: self.worksLess(index)
        case .running(hasSlot: false): self.idle -= 1
        case .waiting: self.waiting -= 1
        }
    }

    private mutating func remove(_ index: Int) {
        self.indices[self.slots[index].key] = nil
        self.slots[index].keep([])
        self.free.append(index)
    }
}

extension Lanes {
    /// How many logins wait, those included that are queued behind one that does.
    var heldUp: Int {
        self.all.reduce(0) { count, lane in
            guard case .waiting = lane.standing else { return count }
            return count + 1 + lane.queued.count
        }
    }

    /// How many logins wait, by what for; the first 20 reasons.
    var waitingReasons: [String: Int] {
        guard self.waiting > 0 else { return [:] }
        var reasons: [String: Int] = [:]
        for lane in self.all {
            guard case .waiting(for: let reason, _) = lane.standing else { continue }
            reasons[reasons[reason] != nil || reasons.count < 20 ? reason : "other reasons", default: 0] += 1
        }
        return reasons
    }
}
