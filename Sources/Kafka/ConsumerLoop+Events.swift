import AfterloginCRDKafka

extension ConsumerLoop {
    func received(_ event: borrowing RDKafkaEvent) {
        switch event.type {
        case RD_KAFKA_EVENT_REBALANCE: self.rebalanced(event)
        case RD_KAFKA_EVENT_OFFSET_COMMIT: self.commitAnswered(event)
        case RD_KAFKA_EVENT_ERROR: if let error = event.error { self.failed(error) }
        case RD_KAFKA_EVENT_LOG: if let line = event.logLine { self.consumer.configuration.log?(line) }
        default: break
        }
    }

    private func failed(_ error: KafkaError) {
        if let fatal = self.client?.fatalError { return self.fail(fatal) }
        if error.isOneOf(RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED) || error.isAboutGroup {
            self.report(self.trouble.groupFailed(error))
        } else {
            self.trouble.suspected(error, now: self.now)
            self.check.suspected(now: self.now)
        }
    }

    // MARK: Rebalance

    private func rebalanced(_ event: borrowing RDKafkaEvent) {
        let partitions = event.partitions.map(\.partition)
        self.forgetPending()
        switch event.code {
        case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
            switch self.machine.assignmentReceived(partitions) {
            case .decline: self.unassign(partitions)
            case .fetchCommitted: if partitions.isEmpty { self.assign([]) }
            }
        case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
            let isLost = self.isAssignmentLost
            if !isLost { self.loseDeletedTopics(of: partitions) }
            switch self.machine.revocationReceived(partitions, isLost: isLost, now: self.now) {
            case .drain(let ours): self.consumer.delegate.partitionsRevoked(ours)
            case .unassign(let all, let lost):
                if !lost.isEmpty { self.consumer.delegate.partitionsLost(lost) }
                self.unassign(all)
            }
        default: self.unassign(partitions)
        }
    }

    /// To be read before `assign` and `unassign`, which reset it.
    private var isAssignmentLost: Bool {
        guard let client = unsafe self.client?.pointer else { return true }
        return unsafe rd_kafka_assignment_lost(client) != 0
    }

    /// A topic that was deleted is revoked without being lost; the drain's commit would then put its offset into a new topic of that name.
    private func loseDeletedTopics(of partitions: [TopicPartition]) {
        for topic in Set(partitions.map(\.topic)) where !self.machine.isLeaving {
            guard let error = self.client?.trouble(withTopic: topic, timeout: .milliseconds(500)), error.isUnknownTopic
            else {
                continue
            }
            self.vanished(partitions.filter { $0.topic == topic })
        }
    }

    func perform(_ action: KafkaConsumer.StateMachine.DrainAction) {
        switch action {
        case .wait: break
        case .unassign(let partitions, let abandoned):
            if !abandoned.isEmpty { self.consumer.delegate.partitionsLost(abandoned) }
            self.unassign(partitions)
        }
    }

    func vanished(_ partitions: [TopicPartition]) {
        let lost = self.machine.partitionsVanished(partitions, now: self.now)
        if !lost.isEmpty, !self.machine.isLeaving { self.consumer.delegate.partitionsLost(lost) }
    }

    // MARK: Commits

    func sendCommits() {
        while true {
            self.loseShrunkPartitions()
            switch self.commits.next(isOurs: { self.machine.isCommitted($0) }) {
            case .wait: return
            case .refuse(let ticket, let refused): self.answer(ticket, .failure(.notOurs(refused)))
            case .send(let ticket, let offsets): self.send(offsets, ticket)
            }
        }
    }

    /// Where the partition's end lies before what is to be committed, it is not the partition that we read.
    ///
    /// The end that a fetch names can be older than the records that come with it, so a suspicion is looked into.
    private func loseShrunkPartitions() {
        let shrunk = self.commits.nextOffsets.filter { commit in
            guard self.machine.isCommitted(commit.topicPartition),
                let seen = self.client?.highWatermark(of: commit.topicPartition), seen < commit.offset,
                let end = self.client?.range(of: commit.topicPartition, timeout: .milliseconds(500))?.upperBound
            else { return false }
            return end < commit.offset
        }
        self.vanished(shrunk.map(\.topicPartition))
    }

    private func send(_ offsets: [OffsetCommit], _ ticket: UInt) {
        guard let client = unsafe self.client?.pointer, let queue = unsafe self.queuePointer else { return }
        let list = RDKafkaPartitionList(capacity: offsets.count)
        for commit in offsets {
            do throws(KafkaError) {
                let known = self.check.metadata(of: commit.topicPartition)
                let metadata = CommitMetadata(
                    map: commit.map,
                    fingerprint: known.fingerprint,
                    topicID: known.topicID
                )
                list.add(commit.topicPartition, offset: commit.offset, metadata: try metadata.encoded())
            } catch {
                return self.settle(ticket, error: error, failed: Set(offsets.map(\.topicPartition)))
            }
        }
        let error = unsafe rd_kafka_commit_queue(
            client,
            list.pointer,
            queue,
            nil,
            UnsafeMutableRawPointer(bitPattern: ticket)
        )
        if error != RD_KAFKA_RESP_ERR_NO_ERROR {
            self.settle(ticket, error: KafkaError(error), failed: Set(offsets.map(\.topicPartition)))
        }
    }

    private func commitAnswered(_ event: borrowing RDKafkaEvent) {
        let partitions = event.partitions
        var failed = Set(partitions.filter { $0.error != RD_KAFKA_RESP_ERR_NO_ERROR }.map(\.partition))
        var error = event.error
        if error != nil {
            failed = Set(partitions.map(\.partition))
        } else if let first = partitions.first(where: { $0.error != RD_KAFKA_RESP_ERR_NO_ERROR }) {
            error = KafkaError(first.error, partitions: Array(failed))
        }
        for partition in partitions where KafkaError(partition.error).isUnknownTopic {
            self.vanished([partition.partition])
        }
        self.settle(event.opaque, error: error, failed: failed)
        if let error,
            error.isOneOf(
                RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
                RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
                RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
            )
        {
            self.perform(self.machine.assignmentLost())
        } else {
            self.perform(self.machine.commitAnswered(openCommits: self.commits.openCount))
        }
        self.sendCommits()
    }

    private func settle(_ ticket: UInt, error: KafkaError?, failed: Set<TopicPartition>) {
        guard let answer = self.commits.answered(ticket: ticket, failed: failed) else { return }
        if failed.isEmpty, error == nil {
            self.lease.commitStored(ticket: ticket)
            self.report(self.trouble.groupAnswered())
            self.consumer.publish(lease: self.lease, tick: self.now)
        }
        if var error {
            if !error.partitions.isEmpty { error.partitions += answer.refused }
            self.answer(ticket, .failure(error))
        } else if !answer.refused.isEmpty {
            self.answer(ticket, .failure(.notOurs(answer.refused)))
        } else {
            self.answer(ticket, .success(()))
        }
    }

    private func answer(_ ticket: UInt, _ result: Result<Void, KafkaError>) {
        self.completions.removeValue(forKey: ticket)?(result)
    }

    // MARK: Fetches

    func fetchFailed(_ partition: TopicPartition, _ error: KafkaError) {
        if error.isUnknownTopic {
            return self.vanished(
                partition.partition >= 0
                    ? [partition] : self.machine.partitions.keys.filter { $0.topic == partition.topic }
            )
        }
        guard error.isOneOf(RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) else {
            self.check.suspected(now: self.now)
            if error.number < 0 { return self.failed(error) }
            return self.report(self.trouble.fetchFailed(partition, error))
        }
        guard self.machine.isDelivered(partition) else { return }
        // Another topic of that name, perhaps: that one is read from its beginning.
        if !self.check.positionLost(partition, error, now: self.now) { self.positionLost(partition, error) }
    }

    /// Only the operator knows what is right: this partition stands, and nothing of it is skipped in silence.
    ///
    /// The others go on.
    func positionLost(_ partition: TopicPartition, _ error: KafkaError) {
        let position = self.commits.position(of: partition)
        guard self.machine.positionLost(partition) else { return }
        self.check.ended([partition])
        self.commits.ended([partition])
        let range = self.client?.range(of: partition, timeout: .milliseconds(500))
        self.consumer.delegate.partitionsLost([partition])
        let reason = KafkaError(
            RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
            Self.lostPosition(partition, position, range, error)
        )
        self.standing.insert(partition)
        self.consumer.delegate.partitionStands(partition, reason)
    }

    private static func lostPosition(
        _ partition: TopicPartition,
        _ position: Int64?,
        _ range: Range<Int64>?,
        _ error: KafkaError
    ) -> String {
        let place = position.map { "offset \($0)" } ?? "its offset"
        let there = range.map { "earliest \($0.lowerBound), latest \($0.upperBound)" } ?? error.message
        let cause =
            if let position, let range, position > range.upperBound {
                "the partition has lost its end, or the topic was made anew"
            } else {
                "retention removed logins before they were read, or the topic was made anew"
            }
        return """
            \(partition) stands: it was to be read from \(place), which does not exist (\(there)): \(cause). Nothing of it is read or committed; \
            other partitions go on. To go on from the earliest or the latest, set kafka.properties.auto.offset.reset to earliest or latest and \
            start the workers again; or stop them all and set the group's offset with kafka-consumer-groups.sh --reset-offsets
            """
    }

    /// They are assigned anew, or nobody's here.
    func standNoLonger(_ partitions: [TopicPartition]) {
        for partition in partitions where self.standing.remove(partition) != nil {
            self.consumer.delegate.partitionStands(partition, nil)
        }
    }
}

extension KafkaError {
    /// The cluster does not know the topic, or not that partition of it.
    var isUnknownTopic: Bool {
        self.isOneOf(
            RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
            RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        )
    }

    /// The coordinator does not let this member in; a probe of the cluster would find nothing wrong.
    fileprivate var isAboutGroup: Bool {
        self.isOneOf(
            RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL,
            RD_KAFKA_RESP_ERR_INVALID_GROUP_ID,
            RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT,
            RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED
        )
    }

    /// Some broker answered, so the connection is well.
    var isAboutTopic: Bool { self.number > 0 }

    static func notOurs(_ partitions: [TopicPartition]) -> KafkaError {
        KafkaError(
            RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST,
            "not assigned any more: \(partitions.map(\.description).joined(separator: ", "))",
            partitions: partitions
        )
    }
}
