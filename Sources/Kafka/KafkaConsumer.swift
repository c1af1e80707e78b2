import AfterloginCRDKafka
import AfterloginSystem

import struct Synchronization.Atomic

/// A member of a consumer group on a thread of its own (`afterlogin.consumer`).
///
/// Calls only leave a command and wake the thread; everything else happens in `ConsumerLoop`. The delegate is held until `close`.
package final class KafkaConsumer: Sendable {
    typealias CommitCompletion = @Sendable (Result<Void, KafkaError>) -> Void

    enum Command {
        case resumeIntake
        case stopIntake
        case finishRevocation
        case commit([OffsetCommit], CommitCompletion)
        case ping(@Sendable () -> Void)
        case probed(UInt, [TopicPartition: FingerprintCheck.Reading])
        case close
    }

    private struct Inbox: ~Copyable {
        var commands: [Command] = []
        /// Until `start` hands it to the thread.
        var client: RDKafkaHandle?
        var hasStarted = false
        var isClosed = false
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    let configuration: KafkaConsumerConfiguration
    let delegate: any KafkaConsumerDelegate
    /// `session.timeout.ms`, as librdkafka has it.
    let session: Duration
    let waker: Waker
    let probe: TopicProbe
    private let inbox: Mutex<Inbox>
    private let watermarks = Mutex<[TopicPartition: Int64]>([:])
    private let lastTick = Atomic<Int64>(BootTime.now.nanoseconds)
    private let leaseIsBroken = Atomic<Bool>(false)

    /// Checks every property and makes the client; connects to nothing before `start`.
    package init(
        configuration: KafkaConsumerConfiguration,
        delegate: any KafkaConsumerDelegate
    ) throws(KafkaError) {
        let policy = PropertyPolicy(role: .consumer, version: rd_kafka_version())
        let settings = RDKafkaConfiguration()
        try settings.set(policy.merged(with: configuration.properties))
        try settings.set("bootstrap.servers", configuration.brokers)
        try settings.set("group.id", configuration.group)
        settings.enableEvents(
            RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG
        )
        let session = settings.value(of: "session.timeout.ms").flatMap { Int64($0) } ?? 45_000
        let pollInterval = settings.value(of: "max.poll.interval.ms").flatMap { Int64($0) } ?? 300_000
        guard configuration.revocationDeadline < .milliseconds(pollInterval) else {
            throw KafkaError(
                RD_KAFKA_RESP_ERR__INVALID_ARG,
                "max.poll.interval.ms (\(pollInterval)) must be above the longest drain with its commits (\(configuration.revocationDeadline))"
            )
        }
        self.configuration = configuration
        self.delegate = delegate
        self.session = .milliseconds(session)
        self.waker = try Waker()
        self.probe = try TopicProbe(configuration: configuration)
        self.inbox = Mutex(Inbox(client: try settings.makeHandle(RD_KAFKA_CONSUMER)))
    }

    /// Starts the thread and subscribes.
    package func start() {
        let isFirst = self.inbox.withLock { inbox in
            defer { inbox.hasStarted = true }
            return !inbox.hasStarted
        }
        guard isFirst else { return }
        NamedThread.start("afterlogin.consumer") {
            guard let client = self.inbox.withLock({ $0.client.take() }) else { return self.closed() }
            ConsumerLoop(of: self, client: client).run()
        }
    }

    package func resumeIntake() { self.send(.resumeIntake) }

    /// The ledger has drained: the partitions go back when the commits that were asked before are answered.
    package func finishRevocation() { self.send(.finishRevocation) }

    /// One commit for many partitions; `completion` is called once, on the consumer's thread.
    ///
    /// Commits are sent one after the other. What is not ours any more is left out; the answer is then an error whose `partitions` names it, and the rest was stored.
    /// An error without partitions: any subset may have been stored. After `close`: `_DESTROY`.
    package func commit(
        _ offsets: [OffsetCommit],
        completion: @escaping @Sendable (Result<Void, KafkaError>) -> Void
    ) {
        guard !self.send(.commit(offsets, completion)) else { return }
        NamedThread.start("afterlogin.consumer") { completion(.failure(KafkaError(RD_KAFKA_RESP_ERR__DESTROY))) }
    }

    /// Stops intake for good (SIGTERM): nothing more is delivered; commits are still accepted.
    package func stopIntake() { self.send(.stopIntake) }

    /// Leaves the group and ends the thread, within a bit more than `closeDeadline`; a revocation that is under way ends at once, commits that were asked before are waited for.
    ///
    /// The delegate is told nothing more but the answers of its commits.
    package func close() async {
        await withCheckedContinuation { continuation in
            let isClosed = self.inbox.withLock { inbox in
                if inbox.isClosed { return true }
                if !inbox.hasStarted {
                    inbox.hasStarted = true
                    inbox.isClosed = true
                    inbox.client = nil
                    return true
                }
                inbox.closers.append(continuation)
                inbox.commands.append(.close)
                return false
            }
            if isClosed { continuation.resume() } else { self.waker.wake() }
        }
    }

    /// False when the poll thread has not ticked for so long that the session may be over (`CLOCK_BOOTTIME`), until a commit of the current generation succeeds.
    ///
    /// See `ConsumerLease`; costs one reading of the clock.
    package var leaseIsValid: Bool {
        guard !self.leaseIsBroken.load(ordering: .acquiring) else { return false }
        let age = BootTime.now.nanoseconds - self.lastTick.load(ordering: .acquiring)
        return age <= (self.session * 2 / 3).wholeNanoseconds
    }

    /// For `/status`: per assigned partition, the high watermark last seen by fetches; at most a second old.
    package func highWatermarks() -> [TopicPartition: Int64] { self.watermarks.withLock { $0 } }

    /// Calls back from the thread: a sign that it turns.
    ///
    /// At once where there is no thread, before `start` and after `close`.
    package func ping(_ answer: @escaping @Sendable () -> Void) {
        let hasStarted = self.inbox.withLock { $0.hasStarted }
        if !hasStarted || !self.send(.ping(answer)) { answer() }
    }

    @discardableResult
    private func send(_ command: Command) -> Bool {
        let (isOpen, wasEmpty) = self.inbox.withLock { inbox in
            guard !inbox.isClosed else { return (false, false) }
            inbox.commands.append(command)
            return (true, inbox.commands.count == 1)
        }
        if wasEmpty { self.waker.wake() }
        return isOpen
    }

    // MARK: What the thread uses.

    /// Its answers come as commands.
    func startProbe() { self.probe.start { [self] in self.send(.probed($0, $1)) } }

    func takeCommands() -> [Command] { self.inbox.withLock { inbox in exchange(&inbox.commands, with: []) } }

    /// The broken lease must be seen before the tick that would hide it.
    func publish(lease: ConsumerLease, tick: BootTime) {
        self.leaseIsBroken.store(lease.isBroken, ordering: .releasing)
        self.lastTick.store(tick.nanoseconds, ordering: .releasing)
    }

    func publish(watermarks: [TopicPartition: Int64]) { self.watermarks.withLock { $0 = watermarks } }

    /// The last act of the thread.
    func closed() {
        let (commands, closers) = self.inbox.withLock { inbox in
            inbox.isClosed = true
            return (exchange(&inbox.commands, with: []), exchange(&inbox.closers, with: []))
        }
        for command in commands {
            switch command {
            case .commit(_, let completion): completion(.failure(KafkaError(RD_KAFKA_RESP_ERR__DESTROY)))
            case .ping(let answer): answer()
            case .resumeIntake, .stopIntake, .finishRevocation, .probed, .close: break
            }
        }
        for closer in closers { closer.resume() }
    }
}
