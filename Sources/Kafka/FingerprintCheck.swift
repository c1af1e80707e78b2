/// Decides whether each partition still is the log that was read: a topic that is deleted and made again within a moment shows no error and no shrunken end.
///
/// A check reads the record at the fingerprint's offset again. It reads the fingerprint that was current at the *previous* check: a later record takes its
/// place only when the check passed, and only one that was taken before the check began. Otherwise a topic that was made again unseen would vouch for itself. Pure.
struct FingerprintCheck {
    /// What a second client found at the offset of a fingerprint.
    enum Finding: Hashable, Sendable {
        /// A record, the same or another.
        case record(TopicFingerprint)
        /// The log begins at or below the offset and ends at or below it.
        case ended
        /// The log begins above the offset: retention, or an administrator, removed the record.
        case removed
        /// The log goes past the offset without a record there; nil: nobody knows whether it is compacted.
        case missing(isCompacted: Bool?)
        /// No answer, or one that says nothing.
        case unreadable(String)
    }

    struct Reading: Hashable, Sendable {
        var finding: Finding
        /// Asked for *before* the record was read; nil where the library cannot.
        var topicID: TopicID?
    }

    /// What is to be read now, all at once.
    struct Round: Hashable, Sendable {
        var number: UInt
        var fingerprints: [TopicPartition: TopicFingerprint]
    }

    enum Reason: Hashable, Sendable {
        case otherIdentifier
        case otherRecord
        case noRecord
        case shorterLog
    }

    enum Outcome: Hashable, Sendable {
        /// Another topic of the same name.
        case another(TopicPartition, Reason)
        /// The same topic, as far as anybody can tell, but the position does not exist any more.
        case positionLost(TopicPartition, KafkaError)
        /// No verdict for a minute; said once.
        case cannotCheck(TopicPartition, String)
    }

    fileprivate struct Partition {
        /// What the next check reads, and what commits carry.
        var current: TopicFingerprint?
        /// The last one that was taken.
        var latest: TopicFingerprint?
        var topicID: TopicID?
        var nextTaking: BootTime?
        /// A new leader may not know for a moment how far its log goes, so a short log is looked at twice.
        var shortLogs = 0
        /// What the broker said when it had no record at the position.
        var lostPosition: KafkaError?
        /// Until then its first record waits for a verdict.
        var awaitedUntil: BootTime?
        var unreadableSince: BootTime?
        var isUnreadableSaid = false
    }

    /// A record is taken for a fingerprint at most so often, and rounds follow each other at least so far apart.
    static let pace = Duration.seconds(1)
    /// How long an assignment waits for a verdict: two rounds, and a connection that is slow to open.
    static let patience = Duration.seconds(5)
    private static let longestSilence = Duration.seconds(60)

    let interval: Duration
    private var partitions: [TopicPartition: Partition] = [:]
    private var lastNumber: UInt = 0
    private var underWay: Round?
    /// The last records that were taken when the round began.
    private var successors: [TopicPartition: TopicFingerprint] = [:]
    private var lastRound: BootTime?
    private var nextRound: BootTime
    private var failures = 0

    init(interval: Duration, now: BootTime) {
        self.interval = interval
        self.nextRound = now.advanced(by: interval)
    }

    /// What is committed with an offset.
    func metadata(of partition: TopicPartition) -> (fingerprint: TopicFingerprint?, topicID: TopicID?) {
        (self.partitions[partition]?.current, self.partitions[partition]?.topicID)
    }

    // MARK: Partitions

    /// The partition is ours; where something was committed with its offset, a verdict is waited for.
    mutating func assigned(_ partition: TopicPartition, _ metadata: CommitMetadata?, now: BootTime) {
        var new = Partition()
        new.current = metadata?.fingerprint
        new.latest = metadata?.fingerprint
        new.topicID = metadata?.topicID
        if new.current != nil {
            new.awaitedUntil = now.advanced(by: Self.patience)
            self.nextRound = min(self.nextRound, now)
        }
        self.partitions[partition] = new
    }

    mutating func ended(_ partitions: some Sequence<TopicPartition>) {
        for partition in partitions { self.partitions[partition] = nil }
    }

    /// Whether one of these still waits for a verdict before its first record is admitted.
    ///
    /// After the time for it they go on without: what was read is read again should the verdict come later.
    func isAwaited(_ partitions: some Sequence<TopicPartition>, now: BootTime) -> Bool {
        partitions.contains { self.partitions[$0]?.awaitedUntil.map { now < $0 } ?? false }
    }

    // MARK: Records

    /// Whether the fingerprint of a record is wanted, which costs its checksum.
    func wantsRecord(of partition: TopicPartition, now: BootTime) -> Bool {
        guard let known = self.partitions[partition] else { return false }
        return known.current == nil || known.nextTaking.map { now >= $0 } ?? true
    }

    /// A record was taken.
    ///
    /// The first one is current at once: it stands for what the position was counted in.
    mutating func taken(_ fingerprint: TopicFingerprint, of partition: TopicPartition, now: BootTime) {
        guard var known = self.partitions[partition] else { return }
        known.latest = fingerprint
        known.current = known.current ?? fingerprint
        known.nextTaking = now.advanced(by: Self.pace)
        self.partitions[partition] = known
    }

    // MARK: When

    /// Something went wrong with a broker or a partition.
    mutating func suspected(now: BootTime) {
        let earliest = self.lastRound?.advanced(by: Self.pace) ?? now
        self.nextRound = min(self.nextRound, max(now, earliest))
    }

    /// There is nothing at the position of the partition; true where a verdict will say why.
    mutating func positionLost(_ partition: TopicPartition, _ error: KafkaError, now: BootTime) -> Bool {
        guard self.partitions[partition]?.current != nil else { return false }
        self.partitions[partition]?.lostPosition = error
        self.suspected(now: now)
        return true
    }

    /// The next round, when it is due.
    mutating func roundIsDue(_ now: BootTime) -> Round? {
        guard self.underWay == nil, now >= self.nextRound else { return nil }
        self.nextRound = now.advanced(by: self.interval)
        let fingerprints = self.partitions.compactMapValues(\.current)
        guard !fingerprints.isEmpty else { return nil }
        self.lastNumber += 1
        self.lastRound = now
        self.successors = self.partitions.compactMapValues(\.latest)
        let round = Round(number: self.lastNumber, fingerprints: fingerprints)
        self.underWay = round
        return round
    }

    // MARK: Verdicts

    /// Whether some partition of the round could not be read: the broker that leads it may be frozen, which librdkafka sees after a minute only.
    func someAreUnread(_ number: UInt, _ readings: [TopicPartition: Reading]) -> Bool {
        guard let round = self.underWay, round.number == number else { return false }
        return round.fingerprints.keys.contains { readings[$0] == nil }
    }

    /// A round is over; whatever it does not name was not readable.
    mutating func answered(
        _ number: UInt,
        _ readings: [TopicPartition: Reading],
        now: BootTime
    ) -> [Outcome] {
        guard let round = self.underWay, round.number == number else { return [] }
        self.underWay = nil
        var outcomes: [Outcome] = []
        var isOpen = false
        for (partition, fingerprint) in round.fingerprints {
            // Ended, or assigned anew, since the round began.
            guard var known = self.partitions[partition], known.current == fingerprint else { continue }
            let reading = readings[partition] ?? Reading(finding: .unreadable("no answer"))
            let successor = self.successors[partition] ?? fingerprint
            let verdict = known.verdict(reading, successor: successor, now: now)
            switch verdict {
            case .same, .removed:
                if let error = known.lostPosition { outcomes.append(.positionLost(partition, error)) }
                known.settle()
            case .another(let reason):
                outcomes.append(.another(partition, reason))
                known = Partition()
            case .none(let reason):
                isOpen = true
                if known.silenceIsLong(now, limit: Self.longestSilence) {
                    outcomes.append(.cannotCheck(partition, reason))
                }
            }
            self.partitions[partition] = known
        }
        self.successors = [:]
        self.failures = isOpen ? min(self.failures + 1, 10) : 0
        if isOpen {
            let delay = min(Self.pace * (1 << (self.failures - 1)), self.interval)
            self.nextRound = min(self.nextRound, now.advanced(by: delay))
        }
        return outcomes
    }

    fileprivate enum Verdict {
        case same
        case removed
        case another(Reason)
        case none(String)
    }
}

extension FingerprintCheck.Partition {
    fileprivate mutating func verdict(
        _ reading: FingerprintCheck.Reading,
        successor: TopicFingerprint,
        now: BootTime
    ) -> FingerprintCheck.Verdict {
        let isKnown = self.topicID != nil && self.topicID == reading.topicID
        if let known = self.topicID, let read = reading.topicID, known != read { return .another(.otherIdentifier) }
        switch reading.finding {
        case .record(let found):
            guard found == self.current else { return .another(.otherRecord) }
            self.current = successor
            // It was asked for before the record was read, so it is the identifier of the record's topic.
            self.topicID = reading.topicID ?? self.topicID
            return .same
        case .ended:
            self.shortLogs += 1
            return self.shortLogs > 1 ? .another(.shorterLog) : .none("the log ends below its fingerprint")
        case .missing(isCompacted: false): return .another(.noRecord)
        case .missing(isCompacted: nil) where !isKnown: return .none("nobody says whether the topic is compacted")
        case .removed, .missing:
            // Where nothing was taken since, it still tells: in the same log it stays away, in another one something else is there, or the end.
            self.current = successor
            return .removed
        case .unreadable(let reason): return .none(reason)
        }
    }

    fileprivate mutating func settle() {
        self.shortLogs = 0
        self.lostPosition = nil
        self.awaitedUntil = nil
        self.unreadableSince = nil
        self.isUnreadableSaid = false
    }

    /// True once.
    fileprivate mutating func silenceIsLong(_ now: BootTime, limit: Duration) -> Bool {
        let since = self.unreadableSince ?? now
        self.unreadableSince = since
        guard now >= since.advanced(by: limit), !self.isUnreadableSaid else { return false }
        self.isUnreadableSaid = true
        return true
    }
}
