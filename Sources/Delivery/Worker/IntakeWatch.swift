/// Whether intake stands for logins that wait, and when people are told: once while it does.
///
/// Pure: what is seen at each look is given.
struct IntakeWatch {
    /// What one look at the dispatcher finds.
    struct Look {
        var isClosed: Bool
        var admitted: Int
        /// Logins that wait for the world, and those of their users that are queued behind them.
        var heldUp: Int
        /// Logins whose rules work.
        var working: Int

        var stands: Bool {
            // A full completion map holds up logins that wait for nobody: then none works.
            let isHeldUp = self.heldUp * 2 >= self.admitted || self.working == 0
            return self.isClosed && self.heldUp > 0 && isHeldUp
        }
    }

    enum News {
        case stands
        case goesOn
    }

    private var stands = false

    /// What has become other since the look before.
    mutating func looked(_ look: Look) -> News? {
        let stands = look.stands
        guard stands != self.stands else { return nil }
        self.stands = stands
        return stands ? .stands : .goesOn
    }
}

extension IntakeWatch.Look {
    init(_ dispatch: Dispatch) {
        self.init(
            isClosed: dispatch.intake.isClosed,
            admitted: dispatch.intake.admitted,
            heldUp: dispatch.intake.isClosed ? dispatch.lanes.heldUp : 0,
            working: dispatch.lanes.working
        )
    }
}
