import AfterloginCRDKafka
import AfterloginSystem

import struct Synchronization.Atomic

/// Reads the records that `FingerprintCheck` asks for, on a thread of its own (`afterlogin.probe`) and with a client that is in no group.
///
/// The client is made with the first round. What it logs and reports is dropped: the consumer has the same troubles, and says so.
final class TopicProbe: Sendable {
    typealias Answer = @Sendable (UInt, [TopicPartition: FingerprintCheck.Reading]) -> Void

    private struct Inbox {
        var round: FingerprintCheck.Round?
        var isClosed = false
    }

    /// Longest time that a round waits for records.
    static let patience = Duration.seconds(2)

    private let configuration: KafkaConsumerConfiguration
    private let waker: Waker
    /// Written once, at the end.
    private let gone: Waker
    private let inbox = Mutex(Inbox())
    private let isGone = Atomic<Bool>(false)

    init(configuration: KafkaConsumerConfiguration) throws(KafkaError) {
        self.configuration = configuration
        self.waker = try Waker()
        self.gone = try Waker()
    }

    /// Answers are given on this thread.
    func start(_ answer: @escaping Answer) { NamedThread.start("afterlogin.probe") { self.run(answer) } }

    /// One round at a time; each is answered.
    func ask(_ round: FingerprintCheck.Round) {
        self.inbox.withLock { $0.round = round }
        self.waker.wake()
    }

    /// Ends the thread; a round that is under way is cut short.
    func close() {
        self.inbox.withLock { $0.isClosed = true }
        self.waker.wake()
    }

    /// Blocks until the thread is over, but not for ever; to be called after `close`.
    func waitUntilGone(_ deadline: BootTime) {
        while !self.isOver, BootTime.now < deadline {
            self.gone.wait(BootTime.now.until(deadline))
        }
    }

    /// The thread has ended, and its client with it.
    var isOver: Bool { self.isGone.load(ordering: .acquiring) }

    private var isClosed: Bool { self.inbox.withLock { $0.isClosed } }

    private func run(_ answer: Answer) {
        var reader: RecordReader?
        while !self.isClosed {
            // Awake now and then: what librdkafka says must not pile up.
            self.waker.wait(.seconds(10))
            reader?.discardEvents()
            guard let round = self.inbox.withLock({ $0.round.take() }) else { continue }
            do throws(KafkaError) {
                if reader == nil { reader = try RecordReader(self.configuration) }
                let readings = reader?.read(round.fingerprints, within: Self.patience) { self.isClosed } ?? [:]
                answer(round.number, readings)
            } catch {
                answer(
                    round.number,
                    round.fingerprints.mapValues { _ in .init(finding: .unreadable(error.description)) }
                )
            }
        }
        switch reader.take() {
        case nil: break
        case .some(let reader): reader.close(wake: self.waker)
        }
        self.isGone.store(true, ordering: .releasing)
        self.gone.wake()
    }
}
