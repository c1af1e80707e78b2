import AfterloginCRDKafka

/// The thread of a producer: delivery reports in batches, what is sent again, and a clock.
struct ProducerLoop {
    private let producer: KafkaProducer
    private let waker: Waker

    init(of producer: KafkaProducer, waker: Waker) {
        self.producer = producer
        self.waker = waker
    }

    func run() {
        self.serve()
        self.producer.end()
    }

    private func serve() {
        var queue: RDKafkaQueue?
        var loneQueue: RDKafkaQueue?
        var nextProbe = BootTime.now
        var next: BootTime? = .now
        while !self.producer.isClosing {
            let now = BootTime.now
            let longest: Duration = self.producer.needsProbe ? .milliseconds(200) : .seconds(1)
            self.waker.wait(next.map { min(longest, now.until($0)) } ?? longest)
            if self.producer.renewalIsDue(.now) {
                queue = nil
                loneQueue = nil
                self.producer.renew()
            }
            if queue == nil {
                queue = self.producer.takeQueue()
                queue?.wake(self.waker)
            }
            if loneQueue == nil {
                loneQueue = self.producer.takeLoneQueue()
                loneQueue?.wake(self.waker)
            }
            self.takeReports(queue)
            self.takeReports(loneQueue)
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
            self.takeReports(loneQueue)
            self.waker.wait(.milliseconds(20))
        }
    }

    private func takeReports(_ queue: borrowing RDKafkaQueue?) {
        switch queue {
        case .some(let queue): self.takeReports(queue)
        case nil: break
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
