/// The logins that wait for one destination, the earliest arrival first.
///
/// O(log n).
package struct WaitingRoom: Sendable {
    private var logins = ArrivalQueue<WaitingLogin>()

    package init() {}

    package var count: Int { self.logins.count }
    package var isEmpty: Bool { self.logins.isEmpty }

    /// It waits from now on.
    package mutating func enter(_ login: WaitingLogin) {
        self.logins.insert(login, id: login.id, arrival: login.arrival)
    }

    /// It waits no longer; whether it did.
    @discardableResult
    package mutating func leave(_ id: UInt64) -> Bool { self.logins.remove(id) != nil }

    /// Takes the one that arrived first.
    package mutating func takeOldest() -> WaitingLogin? { self.logins.popFirst() }

    /// Takes the one that arrived first, of another user than this one where one waits.
    ///
    /// A user is a lane and waits once, so the second is of another user; a few more are looked at all the same.
    package mutating func takeOldest(otherThan user: LoginUser?) -> WaitingLogin? {
        guard let user else { return self.logins.popFirst() }
        return self.logins.popFirst(of: 4) { $0.user != user } ?? self.logins.popFirst()
    }

    /// Takes all, the earliest first.
    package mutating func takeAll() -> [WaitingLogin] { self.logins.removeAll().sorted { $0.arrival < $1.arrival } }
}
