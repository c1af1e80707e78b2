import AfterloginWaiting

/// A login on its way through a `SimulatedWorker`.
final class SimulatedLogin: Comparable {
    let id: UInt64
    let user: Int
    let arrived: Int64
    var attempts: LoginAttempts?
    /// The evaluation's only call, and when its rule's time is over.
    var call: WaitingCall?
    var deadline: Int64 = 0
    /// Tells the back-offs, calls and evaluations of one login apart.
    var run = 0
    var isWaitingForToken = false

    init(id: UInt64, user: Int, arrived: Int64) {
        self.id = id
        self.user = user
        self.arrived = arrived
    }

    var waitingUser: LoginUser { LoginUser(key: UInt64(self.user)) }
    var waiting: WaitingLogin { WaitingLogin(id: self.id, user: self.waitingUser, arrival: self.id) }

    static func < (one: SimulatedLogin, other: SimulatedLogin) -> Bool { one.id < other.id }
    static func == (one: SimulatedLogin, other: SimulatedLogin) -> Bool { one.id == other.id }
}
