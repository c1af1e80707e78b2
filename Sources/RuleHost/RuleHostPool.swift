import AfterloginSystem

/// Supervised, confined Node processes that run JavaScript rules.
///
/// Calls leave a command and wake the pool's thread (`afterlogin.rules`); everything else happens in `HostLoop`.
package final class RuleHostPool: Sendable {
    private let mailbox: HostMailbox
    private let loop: HostLoop.Seed

    /// Takes what every host gets; starts nothing before `start`.
    package init(
        configuration: RuleHostConfiguration,
        load: LoadMessage,
        delegate: any RuleHostPoolDelegate
    ) {
        self.mailbox = HostMailbox()
        self.loop = HostLoop.Seed(
            configuration: configuration,
            load: load.encoded(for: configuration),
            delegate: delegate
        )
    }

    /// Starts the hosts; returns when the first is ready.
    ///
    /// - Returns: What the host noted about the rules.
    /// - Throws: `RuleHostRefusal` where the rules can't be loaded or no host can be started; nothing runs then.
    package func start() async throws(RuleHostRefusal) -> LoadReply {
        let (mailbox, seed) = (self.mailbox, self.loop)
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<StartResult, Never>) in
            mailbox.send(.start(continuation))
            // The kernel binds the hosts to the life of the thread that starts them.
            NamedThread.start("afterlogin.rules") { HostLoop(seed, mailbox: mailbox).run() }
        }
        return try result.get()
    }

    /// Runs rules on one of the hosts.
    ///
    /// Returns also when the host dies, is shut down, or at `cancel` and `end`.
    ///
    /// - Parameters:
    ///   - evaluation: The rules, and what they are given.
    ///   - token: Names the evaluation; a new one each time.
    ///   - client: Is asked and told meanwhile.
    ///   - destination: It waited for this one, and begins on a host that is not tainted by it, where there is one or one may be started.
    ///   - avoidingTaint: The same of every destination.
    /// - Returns: What became of it.
    package func evaluate(
        _ evaluation: Evaluation,
        token: EvaluationToken,
        client: any EvaluationClient,
        waitingFor destination: String? = nil,
        avoidingTaint: Bool = false
    ) async -> EvaluationOutcome {
        if let destination { token.waits(for: destination) }
        return await withCheckedContinuation { continuation in
            let job = HostJob(
                evaluation,
                token: token,
                client: client,
                avoidsTaint: avoidingTaint,
                continuation: continuation
            )
            if !self.mailbox.send(.evaluate(job)) { continuation.resume(returning: .stopped) }
        }
    }

    /// Drops an evaluation, wherever it is; does nothing when it is over.
    package func cancel(_ token: EvaluationToken) { self.mailbox.send(.cancel(token)) }

    /// Ends an evaluation, wherever it is, since a destination is away; does nothing when it is over.
    ///
    /// Nothing is rejected in the host: others may wait for its promises. What it asked other destinations is answered as before, and may be
    /// replied to. The host is tainted by the destination for the rest of its life; none is given where the evaluation waits for a promise that
    /// will never come.
    package func end(_ token: EvaluationToken, for destination: String?) {
        self.mailbox.sendTaint(.end(token, destination: destination))
    }

    /// A failure of that destination was told to a rule of the evaluation: its host may keep it.
    package func told(_ token: EvaluationToken, of destination: String) {
        self.mailbox.sendTaint(.told(token, destination: destination))
    }

    /// A call of the evaluation got through to that destination.
    ///
    /// Costs next to nothing while no host is tainted.
    package func gotThrough(_ token: EvaluationToken, to destination: @autoclosure () -> String) {
        guard self.mailbox.mayBeTainted else { return }
        self.mailbox.send(.gotThrough(token, destination: destination()))
    }

    /// The evaluation has called that destination, whatever became of the call.
    package func called(_ token: EvaluationToken, _ destination: @autoclosure () -> String) {
        if let awaited = token.destination, awaited == destination() { token.hasCalled() }
    }

    /// A fresh host takes the place of the one of that process, which ends with what it has in flight.
    func retire(process: Int32) { self.mailbox.send(.retire(process)) }

    /// Calls back from the pool's thread: a sign that it turns.
    ///
    /// At once after `shutdown`.
    package func ping(_ answer: @escaping @Sendable () -> Void) {
        if !self.mailbox.send(.ping(answer)) { answer() }
    }

    /// Ends all hosts; evaluations that still run return `.stopped`.
    package func shutdown() async {
        await withCheckedContinuation { continuation in
            if !self.mailbox.send(.shutdown(continuation)) { continuation.resume() }
        }
    }

    /// At most a quarter of a second old.
    package func status() -> [RuleHostStatus] { self.mailbox.status }
}
