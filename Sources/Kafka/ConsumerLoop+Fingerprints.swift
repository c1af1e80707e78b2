import AfterloginCRDKafka

/// Whether the topics still are the ones that were read, and what happens to a partition whose topic is another one.
extension ConsumerLoop {
    /// Asks the probe for what is due, and lets an assignment go on that has waited long enough.
    func checkTopics() {
        if !self.machine.isLeaving, let round = self.check.roundIsDue(self.now) { self.consumer.probe.ask(round) }
        self.assignWhenChecked()
    }

    /// Keeps the last record of each run as a fingerprint, where one is wanted: that costs its checksum.
    func fingerprint(_ records: [KafkaRecord], _ news: RecordBatch.News) {
        var last: TopicPartition?
        for record in records.reversed() where record.topicPartition != last {
            last = record.topicPartition
            if self.check.wantsRecord(of: record.topicPartition, now: self.now) {
                self.check.taken(TopicFingerprint(of: record), of: record.topicPartition, now: self.now)
            }
            self.commits.delivered(record.topicPartition, upTo: record.offset + 1)
        }
        for (partition, end) in news.ends { self.commits.delivered(partition, upTo: end) }
    }

    /// A round is over.
    func probed(_ number: UInt, _ readings: [TopicPartition: FingerprintCheck.Reading]) {
        if self.check.someAreUnread(number, readings) { self.trouble.suspected(nil, now: self.now) }
        for outcome in self.check.answered(number, readings, now: self.now) {
            switch outcome {
            case .another(let partition, let reason): self.topicReplaced(partition, reason)
            case .positionLost(let partition, let error): self.positionLost(partition, error)
            case .cannotCheck(let partition, let reason):
                self.tell("\(partition): cannot see whether the topic still is the one that was read: \(reason)")
            }
        }
        self.checkTopics()
    }

    private func topicReplaced(_ partition: TopicPartition, _ reason: FingerprintCheck.Reason) {
        guard !self.machine.isLeaving else { return }
        self.tell(
            "\(partition): topic \(partition.topic) was deleted and made again (\(reason.text)); it is read from its beginning"
        )
        if let index = self.pending?.firstIndex(where: { $0.topicPartition == partition }) {
            self.pending?[index] = AssignedPartition(topicPartition: partition, committedOffset: nil)
            self.check.assigned(partition, nil, now: self.now)
        } else {
            self.readAnew(partition)
        }
        self.consumer.delegate.topicReplaced([partition])
    }

    /// Lost, and ours again from the beginning; nothing that was asked for the old topic is committed any more.
    private func readAnew(_ partition: TopicPartition) {
        // In a drain its next owner finds the same; a partition that is gone already is looked at when it is assigned again.
        guard self.machine.isDelivered(partition) else { return self.vanished([partition]) }
        self.commits.replaced(partition)
        self.consumer.delegate.partitionsLost([partition])
        self.batch.positionChanged(partition)
        guard self.client?.seekToBeginning(partition, timeout: .seconds(2)) == nil else {
            // Nothing is fetched that could be sent elsewhere: the group assigns it again.
            _ = self.machine.partitionsVanished([partition], now: self.now)
            self.startingOver.insert(partition)
            return self.subscribe()
        }
        self.start(anew: partition, committedOffset: nil)
    }

    private func start(anew partition: TopicPartition, committedOffset: Int64?) {
        self.check.assigned(partition, nil, now: self.now)
        self.consumer.delegate.partitionsAssigned(
            [AssignedPartition(topicPartition: partition, committedOffset: committedOffset)]
        )
    }

    /// librdkafka went back by itself, as `auto.offset.reset` says, and tells nobody: the topic was created anew, or lost its end.
    ///
    /// For the receiver it is another partition of the same name.
    func restarted(_ partitions: [TopicPartition: Int64]) {
        for (partition, offset) in partitions {
            self.commits.replaced(partition)
            self.consumer.delegate.partitionsLost([partition])
            self.start(anew: partition, committedOffset: offset)
        }
    }

    private func tell(_ text: String) {
        self.consumer.configuration.log?(KafkaLogLine(level: 3, facility: "TOPIC", text: text, isOurs: true))
    }
}

extension FingerprintCheck.Reason {
    fileprivate var text: String {
        switch self {
        case .otherIdentifier: "it has another identifier"
        case .otherRecord: "another record stands where one was taken"
        case .noRecord: "no record stands where one was taken"
        case .shorterLog: "it ends before a record that was taken"
        }
    }
}
