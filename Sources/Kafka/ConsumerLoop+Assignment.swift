import AfterloginCRDKafka

extension ConsumerLoop {
    func subscribe() {
        guard let client = unsafe self.client?.pointer else { return }
        let topics = RDKafkaPartitionList(
            self.consumer.configuration.topics.map { TopicPartition(topic: $0, partition: -1) }
        )
        let error = unsafe rd_kafka_subscribe(client, topics.pointer)
        if error != RD_KAFKA_RESP_ERR_NO_ERROR {
            self.fail(KafkaError(error, "cannot subscribe: \(KafkaError(error))"))
        }
    }

    /// Their fetches go to the data queue from the first record on: forwarding is kept when the partition is assigned.
    func forward(_ partitions: [TopicPartition]) {
        guard let client = unsafe self.client?.pointer, let dataQueue = unsafe self.dataQueuePointer else { return }
        for partition in partitions {
            guard let queue = unsafe rd_kafka_queue_get_partition(client, partition.topic, partition.partition) else {
                continue
            }
            unsafe rd_kafka_queue_forward(queue, dataQueue)
            unsafe rd_kafka_queue_destroy(queue)
        }
        self.batch.topicsChanged()
    }

    func committedFetchFailed() { self.nextCommittedFetch = BootTime.now.advanced(by: .milliseconds(500)) }

    /// What the broker holds for the group.
    func fetchCommitted(_ partitions: [TopicPartition]) {
        guard let client = unsafe self.client?.pointer else { return }
        let list = RDKafkaPartitionList(partitions)
        let error = unsafe rd_kafka_committed(client, list.pointer, 2_000)
        let elements = list.elements()
        let failed = elements.first { $0.error != RD_KAFKA_RESP_ERR_NO_ERROR }
        guard error == RD_KAFKA_RESP_ERR_NO_ERROR, failed == nil else {
            let code = error == RD_KAFKA_RESP_ERR_NO_ERROR ? failed?.error ?? error : error
            self.committedFetchFailed()
            return self.report(
                self.trouble.groupFailed(
                    KafkaError(code, "cannot read the committed offsets: \(KafkaError(code).message)")
                )
            )
        }
        self.pending = elements.map { self.start($0) }
        self.assignWhenChecked()
    }

    /// Where a partition starts, unless the check says that its topic is another one.
    private func start(_ element: RDKafkaPartitionList.Element) -> AssignedPartition {
        var start = AssignedPartition(topicPartition: element.partition, committedOffset: nil)
        var metadata: CommitMetadata?
        switch CommitMetadata.read(element.offset >= 0 ? element.metadata : []) {
        case .empty: break
        case .own(let own): metadata = own
        case .foreign: start.foreignMetadata = true
        }
        let startsOver = self.startingOver.remove(element.partition) != nil && metadata?.fingerprint == nil
        if element.offset >= 0, !startsOver {
            start.committedOffset = element.offset
            start.committedMap = metadata?.map ?? []
        }
        self.check.assigned(element.partition, startsOver ? nil : metadata, now: self.now)
        return start
    }

    /// Fetching begins when every committed fingerprint was compared, or at the end of the time for that.
    func assignWhenChecked() {
        guard let pending = self.pending, !self.machine.isLeaving,
            !self.check.isAwaited(pending.map(\.topicPartition), now: self.now)
        else { return }
        self.pending = nil
        self.assign(pending)
    }

    /// Another rebalance came first.
    func forgetPending() {
        guard let pending = self.pending.take() else { return }
        self.check.ended(pending.map(\.topicPartition))
    }

    /// The committed offsets are known, so fetching can begin.
    func assign(_ partitions: [AssignedPartition]) {
        guard self.machine.committedFetched(partitions.map(\.topicPartition)), let client = unsafe self.client?.pointer
        else {
            return
        }
        self.report(self.trouble.groupWorked())
        self.standNoLonger(partitions.map(\.topicPartition))
        let list = RDKafkaPartitionList(capacity: partitions.count)
        for partition in partitions {
            // Never librdkafka's own default, the end: that loses what arrives in a new partition before it is discovered.
            list.add(partition.topicPartition, offset: partition.committedOffset ?? Int64(RD_KAFKA_OFFSET_BEGINNING))
            self.commits.started(partition)
        }
        self.consumer.delegate.partitionsAssigned(partitions)
        self.forward(partitions.map(\.topicPartition))
        if self.isCooperative {
            unsafe self.check(rd_kafka_incremental_assign(client, list.pointer))
        } else {
            self.check(unsafe rd_kafka_assign(client, list.pointer))
        }
    }

    func unassign(_ partitions: [TopicPartition]) {
        guard let client = unsafe self.client?.pointer else { return }
        self.commits.ended(partitions)
        self.check.ended(partitions)
        self.standNoLonger(partitions)
        self.trouble.groupRebalances()
        self.batch.topicsChanged()
        if self.isCooperative {
            unsafe self.check(rd_kafka_incremental_unassign(client, RDKafkaPartitionList(partitions).pointer))
        } else {
            self.check(unsafe rd_kafka_assign(client, nil))
        }
    }

    private var isCooperative: Bool {
        guard let client = unsafe self.client?.pointer else { return false }
        return unsafe String(cString: rd_kafka_rebalance_protocol(client)) == "COOPERATIVE"
    }

    private func check(_ error: rd_kafka_resp_err_t) {
        if error != RD_KAFKA_RESP_ERR_NO_ERROR { self.report(self.trouble.groupFailed(KafkaError(error))) }
    }

    private func check(_ error: OpaquePointer?) {
        if let error = unsafe error { self.report(self.trouble.groupFailed(unsafe KafkaError(consuming: error))) }
    }
}
