import AfterloginTestSupport
import AfterloginWaiting

extension SimulatedWorker.Reply {
    static let well = SimulatedWorker.Reply(ending: .gotThrough, seconds: 0.01)

    static func status(_ status: Int, seconds: Double = 0.01) -> Self {
        Self(ending: .of(status: status, retryAfter: nil), seconds: seconds)
    }
}

extension SimulatedWorker.Scene {
    /// An API, or its token endpoint, with a fault between two times.
    static func outage(
        _ fault: Fault,
        from: Double,
        to: Double,
        rate: Double,
        rule: SimulatedWorker.RuleKind,
        atToken: Bool = false,
        window: Double = 30,
        seed: UInt64 = 1
    ) -> Self {
        var scene = Self()
        scene.rate = rate
        scene.users = Int(rate * 15)
        scene.rule = rule
        scene.seed = seed
        scene.needsToken = atToken
        scene.libraryTimeout = fault.libraryTimeout
        scene.seconds = to + fault.firstResult + 6 + window
        scene.answer = { _, time, _ in !atToken && time >= from && time < to ? fault.reply : .well }
        scene.token = { time in time >= from && time < to ? fault.tokenReply : .well }
        return scene
    }

    /// An API that fails some users for ever, and is well for all others.
    static func poison(
        status: Int,
        rate: Double,
        seconds: Double,
        users: Int = 3_000,
        _ isPoisoned: @escaping (Int) -> Bool
    ) -> Self {
        var scene = Self()
        scene.rate = rate
        scene.seconds = seconds
        scene.users = users
        scene.answer = { user, _, _ in isPoisoned(user) ? .status(status) : .well }
        return scene
    }
}

/// A bucket of requests that is filled again at a rate; beyond it 429, with `Retry-After: 1`.
final class RequestBucket {
    private let size: Double
    private let perSecond: Double
    private var left: Double
    private var at = 0.0

    init(size: Double, perSecond: Double) {
        self.size = size
        self.perSecond = perSecond
        self.left = size
    }

    func answer(at time: Double) -> SimulatedWorker.Reply {
        self.left = min(self.size, self.left + (time - self.at) * self.perSecond)
        self.at = time
        guard self.left >= 1 else { return .init(ending: .pace(retryAfter: .seconds(1)), seconds: 0.005) }
        self.left -= 1
        return .well
    }
}
