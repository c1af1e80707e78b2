import AfterloginKafka

/// The key of the order: one user of one partition; strict order inside, none between.
struct LaneKey: Hashable, Sendable {
    let partition: TopicPartition
    let user: String
    /// It is looked up many times for each login, and made once.
    let digest: Int

    init(partition: TopicPartition, user: String) {
        self.partition = partition
        self.user = user
        var hasher = Hasher()
        hasher.combine(partition)
        hasher.combine(user)
        self.digest = hasher.finalize()
    }

    func hash(into hasher: inout Hasher) { hasher.combine(self.digest) }
}

/// The logins of one user in one partition, in their order.
struct Lane {
    /// What the first login of a lane does; all others are queued behind it.
    enum Standing: Equatable {
        /// It may begin. Exits: `.running` (`next`).
        case ready
        /// Its rules run; without a slot it waits for an answer from outside. Exits: `.finished`, `.waiting`, and its end.
        case running(hasSlot: Bool)
        /// Its rules have ended; it keeps its slot until its result is handed over. Exit: its end.
        case finished
        /// It will begin again. Exits: `.ready` (`resumed`), and its end.
        case waiting(for: String, until: ContinuousClock.Instant?)
    }

    let key: LaneKey
    var standing = Standing.ready
    var logins: [AdmittedLogin]
    private var head = 0
    /// Bytes that are kept for the first login beside its record.
    var extraBytes = 0
    /// The first login has run before, and waited.
    var isAgain = false
    /// The first login runs on, and whatever it comes to counts for nothing.
    var isDropped = false

    init(_ key: LaneKey, _ login: AdmittedLogin) {
        self.key = key
        self.logins = [login]
    }

    var first: AdmittedLogin? { self.head < self.logins.count ? self.logins[self.head] : nil }
    var queued: ArraySlice<AdmittedLogin> { self.logins[self.head...].dropFirst() }

    mutating func replaceFirst(_ login: AdmittedLogin) { self.logins[self.head] = login }

    mutating func removeFirst() {
        self.head += 1
        if self.head > 64, self.head * 2 > self.logins.count {
            self.logins.removeFirst(self.head)
            self.head = 0
        }
        self.begin()
    }

    mutating func keep(_ logins: [AdmittedLogin]) { (self.logins, self.head) = (logins, 0) }

    mutating func restart(with logins: [AdmittedLogin]) {
        self.keep(logins)
        self.begin()
    }

    /// Its next login is as nothing had been before it.
    private mutating func begin() {
        (self.standing, self.extraBytes, self.isAgain, self.isDropped) = (.ready, 0, false, false)
    }
}
