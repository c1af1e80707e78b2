import AfterloginEgress
import AfterloginKafka
import AfterloginSystem
import AfterloginWaiting

/// The logins whose rules run, and which of them merely wait for an answer.
///
/// One lock a login at its begin and its end; looked through four times a second while anything runs.
final class SlotWatch: Sendable {
    static let interval: Duration = .milliseconds(250)

    private struct Running {
        var login: AdmittedLogin
        var activity: LoginActivity
    }

    private struct State {
        var running: [Int: Running] = [:]
        var isSweeping = false
        var sweep: (@Sendable () -> Void)?
        var onReturn: (@Sendable (AdmittedLogin) -> Void)?
    }

    private let state = Mutex(State())

    /// `sweep` begins to look through them; `onReturn` is told who works again.
    func start(sweep: @escaping @Sendable () -> Void, onReturn: @escaping @Sendable (AdmittedLogin) -> Void) {
        self.state.withLock { ($0.sweep, $0.onReturn) = (sweep, onReturn) }
    }

    /// Its rules run from now on.
    func began(_ login: AdmittedLogin) -> LoginActivity {
        let (activity, sweep) = self.state.withLock { state in
            let onReturn = state.onReturn
            let activity = LoginActivity { onReturn?(login) }
            state.running[login.arrival] = Running(login: login, activity: activity)
            defer { state.isSweeping = true }
            return (activity, state.isSweeping ? nil : state.sweep)
        }
        sweep?()
        return activity
    }

    func ended(_ login: AdmittedLogin) { self.state.withLock { $0.running[login.arrival] = nil } }

    /// Those who gave no sign of life for that long, each said once until it works again.
    func idle(after silence: Duration) -> [AdmittedLogin] {
        self.state.withLock { state in
            state.running.values.filter { $0.activity.becameIdle(after: silence) }.map(\.login)
        }
    }

    /// Whether it has not worked since it was found idle; also where its rules have ended.
    func isIdle(_ login: AdmittedLogin) -> Bool {
        self.state.withLock { $0.running[login.arrival]?.activity.isIdle ?? true }
    }

    /// Whether anything runs; the next to begin starts a new sweep where nothing does.
    func goesOn() -> Bool {
        self.state.withLock { state in
            state.isSweeping = !state.running.isEmpty
            return state.isSweeping
        }
    }
}

extension LoginIdentity {
    init(_ login: AdmittedLogin) {
        self.init(
            number: UInt64(login.arrival) + 1,
            user: LoginUser(key: UInt64(truncatingIfNeeded: login.lane.digest))
        )
    }
}
