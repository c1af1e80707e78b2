/// What is wrong with the connection, the topics or the group, and when it is over.
///
/// librdkafka says what went wrong but never that it is well again, so a trouble is looked at again by asking for metadata. Pure.
struct ConsumerTrouble {
    enum Action: Equatable {
        case none
        /// It changed; nil: all is well again.
        case tell(KafkaError?)
    }

    let topics: [String]
    /// Of connection or topic; over when a probe succeeds.
    private var cluster: KafkaError?
    /// Of the group; over when partitions are assigned, or a commit is stored.
    private var group: KafkaError?
    /// Of fetching, told once; over when something of the partition is fetched.
    private var fetches: [TopicPartition: KafkaError] = [:]
    private var told: KafkaError?
    /// Looked at again and again until then: the cluster may notice later than librdkafka that a broker is gone.
    private var suspectUntil: BootTime?
    private var nextProbe: BootTime

    /// Nothing is ours until the group has shared out its partitions: what was told is not over before.
    private var awaitsAssignment: Bool

    init(topics: [String], awaitsAssignment: Bool = false, now: BootTime) {
        self.topics = topics
        self.awaitsAssignment = awaitsAssignment
        self.nextProbe = now.advanced(by: .seconds(3))
    }

    /// A member without partitions looks once in a while, too: its topics may not exist.
    func probeIsDue(_ now: BootTime, hasPartitions: Bool) -> Bool {
        now >= self.nextProbe && (self.suspectUntil != nil || self.cluster != nil || !hasPartitions)
    }

    /// librdkafka reported something that a probe can look at, or something did not answer.
    mutating func suspected(_ error: KafkaError?, now: BootTime) {
        if self.suspectUntil == nil { self.nextProbe = min(self.nextProbe, now) }
        self.suspectUntil = now.advanced(by: .seconds(10))
        if let error { self.lastError = error.moreTelling(than: self.lastError) }
    }

    /// What librdkafka said last; it names the broker and the reason, which a failed probe does not.
    private var lastError: KafkaError?

    mutating func probed(_ found: KafkaError?, now: BootTime) -> Action {
        if let end = self.suspectUntil, now >= end { self.suspectUntil = nil }
        self.nextProbe = now.advanced(by: found == nil && self.suspectUntil == nil ? .seconds(5) : .seconds(1))
        guard let found else {
            self.cluster = nil
            self.lastError = nil
            return self.change()
        }
        self.cluster = found.isAboutTopic ? found : self.lastError ?? self.cluster ?? found
        return self.change()
    }

    mutating func fetchFailed(_ partition: TopicPartition, _ error: KafkaError) -> Action {
        self.fetches[partition] = error.about(topic: partition.topic)
        return self.change()
    }

    mutating func fetched(_ partition: TopicPartition) -> Action {
        guard !self.fetches.isEmpty, self.fetches.removeValue(forKey: partition) != nil else { return .none }
        return self.change()
    }

    mutating func groupFailed(_ error: KafkaError) -> Action {
        self.group = error
        return self.change()
    }

    /// Partitions were assigned, and their fetches begin anew.
    mutating func groupWorked() -> Action {
        self.fetches = [:]
        self.awaitsAssignment = false
        return self.groupAnswered()
    }

    /// The partitions were taken away: the group is to share them out again.
    mutating func groupRebalances() { self.awaitsAssignment = true }

    mutating func groupAnswered() -> Action {
        self.group = nil
        return self.change()
    }

    private mutating func change() -> Action {
        let problem =
            self.cluster ?? self.group ?? self.fetches.values.first ?? (self.awaitsAssignment ? self.told : nil)
        // The same trouble in other words (a port number, a time) is not news.
        guard problem?.code != self.told?.code else { return .none }
        self.told = problem
        return .tell(problem)
    }
}
