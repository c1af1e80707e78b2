import CRDKafka
import Synchronization

/// The thread of a producer: delivery reports in batches, what is sent again, and a clock.
final class ProducerLoop: Sendable {
    private let producer: KafkaProducer
    private let waker: Waker
    /// Taken by the thread.
    private let queue: Mutex<RDKafkaQueue?>

    init(of producer: KafkaProducer, queue: consuming RDKafkaQueue, waker: Waker) {
        self.producer = producer
        self.waker = waker
        self.queue = Mutex(consume queue)
    }

    func run() {
        guard let queue = self.queue.withLock({ $0.take() }) else { return }
        self.serve(queue)
        self.producer.end()
    }

    private func serve(_ queue: consuming RDKafkaQueue) {
        var loneQueue: RDKafkaQueue?
        var nextProbe = BootTime.now
        var next: BootTime?
        while !self.producer.isClosing {
            let now = BootTime.now
            let longest: Duration = self.producer.needsProbe ? .milliseconds(200) : .seconds(1)
            self.waker.wait(next.map { min(longest, now.until($0)) } ?? longest)
            self.takeReports(queue)
            if loneQueue == nil {
                loneQueue = self.producer.takeLoneQueue()
                loneQueue?.wake(self.waker)
            }
            switch loneQueue {
            case .some(let loneQueue): self.takeReports(loneQueue)
            case nil: break
            }
            next = self.producer.turn(.now)
            if self.producer.needsProbe, BootTime.now >= nextProbe {
                self.producer.probe()
                nextProbe = BootTime.now.advanced(by: .seconds(2))
            }
        }
        self.producer.purgeForClose()
        let deadline = BootTime.now.advanced(by: .seconds(1))
        while self.producer.pendingCount > 0, BootTime.now < deadline {
            self.takeReports(queue)
            switch loneQueue {
            case .some(let loneQueue): self.takeReports(loneQueue)
            case nil: break
            }
            self.waker.wait(.milliseconds(20))
        }
    }

    private func takeReports(_ queue: borrowing RDKafkaQueue) {
        while let event = queue.poll() {
            switch event.type {
            case RD_KAFKA_EVENT_DR: self.producer.reported(event)
            case RD_KAFKA_EVENT_ERROR: if let error = event.error { self.producer.failed(error) }
            case RD_KAFKA_EVENT_LOG: if let line = event.logLine { self.producer.log(line) }
            default: break
            }
        }
    }
}
