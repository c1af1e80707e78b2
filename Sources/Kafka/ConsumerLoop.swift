import AfterloginCRDKafka

/// The thread of a consumer: two queues, the commands, and a clock.
///
/// The consumer queue (rebalances, answers of commits, errors) is always polled; the data queue only while intake is open. That is the flow control:
/// pausing partitions would cost a second each time.
final class ConsumerLoop {
    /// How often the thread looks up when nothing happens: for `max.poll.interval.ms`, deadlines and the lease.
    private static let tick = Duration.milliseconds(200)
    /// Events taken from the consumer queue before commands and data are looked at again.
    private static let maxEvents = 64

    let consumer: KafkaConsumer
    var machine: KafkaConsumer.StateMachine
    var commits = CommitQueue()
    var completions: [UInt: KafkaConsumer.CommitCompletion] = [:]
    var lease: ConsumerLease
    var trouble: ConsumerTrouble
    var check: FingerprintCheck
    /// An assignment whose start is known, but not whether its topics still are the same.
    var pending: [AssignedPartition]?
    /// Replaced, and not fetched any more: nothing of the old topic counts when they are assigned again.
    var startingOver: Set<TopicPartition> = []
    /// They can't be read from where they should be.
    var standing: Set<TopicPartition> = []
    var now = BootTime.now
    /// nil: intake is stopped for good.
    private var intakeIsOpen: Bool? = true
    var hasFailed = false
    var nextCommittedFetch = BootTime.now
    private var nextWatermarks = BootTime.now
    private var nextProof = BootTime.now
    private var closeDeadline: BootTime?

    // Taken apart in `run`, in this order; nil afterwards.
    var client: RDKafkaHandle?
    private var queue: RDKafkaQueue?
    var queuePointer: OpaquePointer? { unsafe self.queue?.pointer }
    private var dataQueue: RDKafkaQueue?
    var dataQueuePointer: OpaquePointer? { unsafe self.dataQueue?.pointer }
    var batch: RecordBatch

    init(of consumer: KafkaConsumer, client: consuming RDKafkaHandle) {
        self.consumer = consumer
        self.machine = KafkaConsumer.StateMachine(revocationDeadline: consumer.configuration.revocationDeadline)
        self.lease = ConsumerLease(session: consumer.session, now: self.now)
        self.trouble = ConsumerTrouble(
            topics: consumer.configuration.topics,
            awaitsAssignment: true,
            now: self.now
        )
        self.check = FingerprintCheck(interval: consumer.configuration.fingerprintInterval, now: self.now)
        self.batch = RecordBatch(capacity: max(1, consumer.configuration.maxBatch))
        unsafe rd_kafka_poll_set_consumer(client.pointer)
        if let queue = unsafe rd_kafka_queue_get_consumer(client.pointer) {
            unsafe rd_kafka_set_log_queue(client.pointer, queue)
            let queue = unsafe RDKafkaQueue(queue)
            queue.wake(consumer.waker)
            self.queue = consume queue
        }
        let dataQueue = RDKafkaQueue(of: client)
        dataQueue.wake(consumer.waker)
        self.dataQueue = consume dataQueue
        self.client = consume client
    }

    func run() {
        self.consumer.startProbe()
        self.subscribe()
        while !self.isOver {
            self.consumer.waker.wait(self.timeToWait)
            repeat {
                self.clockTicked()
                self.takeCommands()
                // After the commands: a commit that was asked before is waited for.
                self.leaveWhenSettled()
            } while self.pollEvents() || self.pollRecords()
        }
        self.end()
    }

    private var timeToWait: Duration {
        guard let deadline = self.machine.drainDeadline else { return Self.tick }
        return min(Self.tick, BootTime.now.until(deadline))
    }

    // MARK: The clock

    private func clockTicked() {
        self.now = .now
        _ = self.lease.ticked(self.now, lastTicket: self.commits.lastTicket)
        self.consumer.publish(lease: self.lease, tick: self.now)
        if self.lease.isBroken { self.proveLease() }
        self.perform(self.machine.clockTicked(self.now))
        self.checkTopics()
        if case .assigning(let partitions) = self.machine.phase, self.pending == nil,
            self.now >= self.nextCommittedFetch
        {
            self.fetchCommitted(partitions)
        }
        if self.now >= self.nextWatermarks {
            self.nextWatermarks = self.now.advanced(by: .seconds(1))
            self.publishWatermarks()
        }
        if self.machine.rejoinIsDue(self.now, patience: .seconds(10)) { self.subscribe() }
        if !self.machine.isLeaving,
            self.trouble.probeIsDue(self.now, hasPartitions: !self.machine.partitions.isEmpty)
        {
            self.probe()
        }
    }

    private func publishWatermarks() {
        var watermarks: [TopicPartition: Int64] = [:]
        for partition in self.machine.partitions.keys {
            watermarks[partition] = self.client?.highWatermark(of: partition)
        }
        self.consumer.publish(watermarks: watermarks)
    }

    private static let probeTimeout = Duration.milliseconds(500)

    /// Asks each topic's metadata: what tells that all is well again, and that a topic is gone.
    private func probe() {
        var found: KafkaError?
        var leaders: [TopicPartition: Int32] = [:]
        for topic in self.consumer.configuration.topics where !topic.hasPrefix("^") {
            do throws(KafkaError) {
                let known = try self.client?.leaders(ofTopic: topic, timeout: Self.probeTimeout) ?? [:]
                leaders.merge(known) { $1 }
            } catch {
                found = found ?? error
                if error.isUnknownTopic { self.vanished(self.machine.partitions.keys.filter { $0.topic == topic }) }
                if !error.isAboutTopic { break }
            }
        }
        if found == nil { found = self.silence(of: leaders) }
        self.now = .now
        self.report(self.trouble.probed(found, now: self.now))
    }

    /// Metadata come from any broker: what is ours is well where those that lead it, and the group's coordinator, answer.
    private func silence(of leaders: [TopicPartition: Int32]) -> KafkaError? {
        var asked: Set<Int32> = []
        for partition in self.machine.partitions.keys.sorted(by: { $0.description < $1.description }) {
            guard let leader = leaders[partition], asked.insert(leader).inserted else { continue }
            guard self.client?.range(of: partition, timeout: Self.probeTimeout) == nil else { continue }
            return KafkaError(
                RD_KAFKA_RESP_ERR__TIMED_OUT,
                "broker \(leader), which leads \(partition), does not answer: it is down, frozen or cut off"
            )
        }
        guard let any = self.machine.partitions.keys.first,
            self.client?.coordinatorAnswers(about: any, timeout: Self.probeTimeout) == false
        else { return nil }
        return KafkaError(
            RD_KAFKA_RESP_ERR__TIMED_OUT,
            "the coordinator of group \(self.consumer.configuration.group) does not answer: offsets can't be committed"
        )
    }

    func report(_ action: ConsumerTrouble.Action) {
        switch action {
        case .none: break
        case .tell(let problem): if !self.machine.isLeaving { self.consumer.delegate.consumerProblemChanged(problem) }
        }
    }

    /// Repeats a stored commit after a gap, unless a commit is asked anyway; see `ConsumerLease`.
    private func proveLease() {
        guard self.commits.openCount == 0, self.now >= self.nextProof,
            let proof = self.commits.stored.values.first(where: { self.machine.isCommitted($0.topicPartition) })
        else { return }
        self.nextProof = self.now.advanced(by: .milliseconds(500))
        _ = self.commits.asked([proof])
        self.sendCommits()
    }

    // MARK: Commands

    private func takeCommands() {
        for command in self.consumer.takeCommands() {
            switch command {
            case .resumeIntake: if self.intakeIsOpen != nil { self.intakeIsOpen = true }
            case .stopIntake: self.intakeIsOpen = nil
            case .finishRevocation:
                self.perform(self.machine.revocationFinished(openCommits: self.commits.openCount))
            case .commit(let offsets, let completion):
                self.completions[self.commits.asked(offsets)] = completion
                self.sendCommits()
            case .ping(let answer): answer()
            case .probed(let number, let readings): self.probed(number, readings)
            case .close: self.closeAsked()
            }
        }
    }

    private func closeAsked() {
        guard !self.machine.isLeaving else { return }
        self.intakeIsOpen = nil
        self.machine.leaveAsked()
        self.closeDeadline = self.now.advanced(by: self.consumer.configuration.closeDeadline)
    }

    /// Leaving begins when no commit is open any more, or at the deadline.
    private func leaveWhenSettled() {
        guard let deadline = self.closeDeadline, self.commits.openCount == 0 || self.now >= deadline else { return }
        self.closeDeadline = nil
        self.leaveDeadline = max(deadline, self.now.advanced(by: .milliseconds(500)))
        self.leaveGroup()
    }

    private var leaveDeadline: BootTime?

    private func leaveGroup() {
        guard let client = unsafe self.client?.pointer, let queue = unsafe self.queue?.pointer else { return }
        // A drain that was under way, or an assignment that was not taken, would hold the close up.
        if !self.machine.partitions.isEmpty || self.pending != nil { unsafe _ = rd_kafka_assign(client, nil) }
        if let error = unsafe rd_kafka_consumer_close_queue(client, queue) { unsafe rd_kafka_error_destroy(error) }
    }

    private var isOver: Bool {
        guard let deadline = self.leaveDeadline else { return false }
        if self.now >= deadline { return true }
        guard let client = unsafe self.client?.pointer else { return true }
        return unsafe rd_kafka_consumer_closed(client) != 0
    }

    /// Queues go before the client, and the waker after it.
    private func end() {
        for ticket in self.commits.drained() {
            self.completions.removeValue(forKey: ticket)?(.failure(KafkaError(RD_KAFKA_RESP_ERR__DESTROY)))
        }
        self.consumer.publish(watermarks: [:])
        let deadline = BootTime.now.advanced(by: self.consumer.configuration.closeDeadline)
        self.consumer.probe.close()
        self.dataQueue = nil
        self.queue = nil
        if let client = self.client.take() {
            client.destroy(wake: self.consumer.waker, within: self.consumer.configuration.closeDeadline)
        }
        self.consumer.probe.waitUntilGone(deadline)
        self.consumer.closed()
    }

    // MARK: Queues

    /// Takes a bounded number of events; true when there may be more.
    private func pollEvents() -> Bool {
        for _ in 0..<Self.maxEvents {
            guard let event = self.queue?.poll() else { return false }
            self.received(event)
            if self.isOver { return false }
        }
        return true
    }

    /// Takes one batch; true when there may be more.
    private func pollRecords() -> Bool {
        guard self.intakeIsOpen == true, !self.machine.isLeaving, let queue = unsafe self.dataQueue?.pointer else {
            return false
        }
        let count = unsafe self.batch.fill(from: queue)
        guard count > 0 else { return false }
        let (records, news) = self.batch.drain { self.machine.isDelivered($0) }
        self.restarted(news.restarted)
        self.fingerprint(records, news)
        for (partition, offset) in news.firsts {
            self.commits.firstRecord(partition, offset: offset)
            self.report(self.trouble.fetched(partition))
        }
        for partition in news.ends.keys { self.report(self.trouble.fetched(partition)) }
        for (partition, error) in news.failed { self.fetchFailed(partition, error) }
        // All of it or nothing: an end without the records before it would be committed over them.
        guard !self.hasFailed, !records.isEmpty || !news.ends.isEmpty else { return true }
        if !self.consumer.delegate.batchReceived(records, ends: news.ends) {
            self.intakeIsOpen = self.intakeIsOpen.map { _ in false }
        }
        return true
    }

    func fail(_ error: KafkaError) {
        guard !self.hasFailed, !self.machine.isLeaving else { return }
        self.hasFailed = true
        self.intakeIsOpen = nil
        self.consumer.delegate.consumerFailed(error)
    }
}
