import AfterloginSystem
package import AfterloginWaiting

import struct Synchronization.Atomic

/// What one login's calls came to, over all of its attempts.
///
/// Shared by the tasks of its calls and by whoever judges it.
package final class LoginCalls: Sendable {
    /// Unique among logins, and in the order of their arrival.
    package let number: UInt64
    package let user: LoginUser

    private struct State {
        var attempts: LoginAttempts
        /// What a call waited for that was given up before it was sent: the verdict is dropped.
        var unsent: Destination?
    }

    private let state: Mutex<State>

    package init(number: UInt64, user: LoginUser, firstAttempt: ContinuousClock.Instant) {
        self.number = number
        self.user = user
        self.state = Mutex(State(attempts: LoginAttempts(firstAttempt: firstAttempt)))
    }

    func isFirstFailure(at destination: Destination) -> Bool {
        self.state.withLock { $0.attempts.isFirstFailure(at: destination) }
    }

    package func callFailed(
        at destination: Destination,
        _ failure: CallEnding.Failure,
        isForgiven: Bool,
        now: ContinuousClock.Instant
    ) {
        self.state.withLock { $0.attempts.callFailed(at: destination, failure, isForgiven: isForgiven, now: now) }
    }

    func callGivenUpUnsent(_ destination: Destination) {
        self.state.withLock { $0.unsent = $0.unsent ?? destination }
    }

    /// What a call of this run waited for in vain; nil for most.
    package var unsent: Destination? { self.state.withLock(\.unsent) }

    /// Whether its rule failed although patience was over.
    var wasTold: Bool { self.state.withLock(\.attempts.wasTold) }

    package var attempts: LoginAttempts { self.state.withLock(\.attempts) }

    /// A run begins.
    package func runBegan() {
        self.state.withLock { state in
            state.attempts.runBegan()
            state.unsent = nil
        }
    }

    /// Changes the attempts by what is judged.
    package func judged<Judgement>(_ judge: (inout LoginAttempts) -> Judgement) -> Judgement {
        self.state.withLock { judge(&$0.attempts) }
    }
}

/// One run of a login's rules, as far as its calls must know: whose they are, and whether anybody still counts them.
package final class CallScope: Sendable {
    package let login: LoginCalls
    private let discarded = Atomic(false)

    package init(_ login: LoginCalls) { self.login = login }

    /// The worker gave the run up, for reasons of its own: what its calls come to says nothing.
    package func discard() { self.discarded.store(true, ordering: .relaxed) }

    /// A call of it was given up before that destination had it: what its rule makes of that does not count as a verdict.
    package func gaveUpUnsent(_ destination: Destination) {
        guard !self.isDiscarded else { return }
        self.login.callGivenUpUnsent(destination)
    }

    package var isDiscarded: Bool { self.discarded.load(ordering: .relaxed) }
}
