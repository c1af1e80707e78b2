import AfterloginTestSupport
import Testing

@testable import AfterloginKafka

/// Seeded histories of a log that is written, trimmed, compacted, unreadable and made again, against what really happened.
@Suite("The check of a topic against what really happened", .timeLimit(.minutes(1)))
struct FingerprintModelTests {
    /// A log of one name; each time it is made again its records are others.
    private struct Log {
        var incarnation: UInt32 = 1
        var start: Int64 = 0
        var end: Int64 = 0
        var gaps: Set<Int64> = []
        var isCompacted = false

        func record(_ offset: Int64) -> TopicFingerprint {
            TopicFingerprint(
                offset: offset,
                timestamp: Int64(self.incarnation),
                checksum: UInt32(truncatingIfNeeded: offset)
            )
        }

        func finding(at offset: Int64) -> FingerprintCheck.Finding {
            if offset < self.start { return .removed }
            if offset >= self.end { return .ended }
            return self.gaps.contains(offset) ? .missing(isCompacted: self.isCompacted) : .record(self.record(offset))
        }
    }

    private struct History {
        let partition = TopicPartition(topic: "t", partition: 0)
        var random: SeededGenerator
        var log = Log()
        var check = FingerprintCheck(interval: .seconds(10), now: BootTime(nanoseconds: 0))
        var now = BootTime(nanoseconds: 0)
        /// Where the reader is, and of which log it believes to read.
        var position: Int64 = 0
        var believed: UInt32 = 1
        /// Retention of the new log took what would have told: nobody can know.
        var isHopeless = false
        var detections = 0
        var readableRoundsSinceReplacement = 0

        init(seed: UInt64) {
            self.random = SeededGenerator(seed: seed)
            self.log.isCompacted = seed % 4 == 0
            self.check.assigned(self.partition, nil, now: self.now)
        }

        mutating func step() throws {
            self.now = self.now.advanced(by: .milliseconds(Int64.random(in: 0...4_000, using: &self.random)))
            switch Int.random(in: 0..<100, using: &self.random) {
            case 0..<40: self.log.end += Int64.random(in: 1...20, using: &self.random)
            case 40..<65: self.read()
            case 65..<69: self.trim()
            case 69..<72: if self.log.isCompacted, self.log.end > 0 { self.compact() }
            case 72..<74: self.replace()
            case 74..<77: self.restart()
            case 77..<80: self.check.suspected(now: self.now)
            default: try self.round()
            }
            // What commits carry is of the log that the position was counted in.
            let carried = self.check.metadata(of: self.partition).fingerprint
            if !self.isHopeless, let carried {
                try #require(carried.timestamp == Int64(self.believed))
                try #require(carried.offset < max(self.position, 1))
            }
        }

        private mutating func read() {
            // A log that is shorter than the position gives nothing; one that begins later is an error that stops the worker.
            self.position = max(self.position, self.log.start)
            guard self.position < self.log.end else { return }
            let last = Int64.random(in: self.position..<self.log.end, using: &self.random)
            self.position = last + 1
            guard !self.log.gaps.contains(last), self.check.wantsRecord(of: self.partition, now: self.now) else {
                return
            }
            let isFirst = self.check.metadata(of: self.partition).fingerprint == nil
            // Nothing was known of the old log any more, so nothing can tell it from the new one.
            if isFirst, self.believed != self.log.incarnation { self.isHopeless = true }
            self.check.taken(self.log.record(last), of: self.partition, now: self.now)
        }

        private mutating func trim() {
            guard self.log.start < self.log.end else { return }
            self.log.start = .random(in: self.log.start...self.log.end, using: &self.random)
            self.loseHope()
        }

        private mutating func compact() {
            self.log.gaps.insert(.random(in: 0..<self.log.end, using: &self.random))
            self.loseHope()
        }

        private mutating func loseHope() {
            guard self.believed != self.log.incarnation,
                let carried = self.check.metadata(of: self.partition).fingerprint?.offset
            else { return }
            if carried < self.log.start || self.log.gaps.contains(carried) { self.isHopeless = true }
        }

        private mutating func replace() {
            self.log = Log(incarnation: self.log.incarnation + 1, isCompacted: self.log.isCompacted)
            // Often longer at once than where the reader is.
            self.log.end = .random(in: 0...2 * self.position, using: &self.random)
            self.readableRoundsSinceReplacement = 0
        }

        /// Another process goes on from what was committed.
        private mutating func restart() {
            let (fingerprint, topicID) = self.check.metadata(of: self.partition)
            self.check = FingerprintCheck(interval: .seconds(10), now: self.now)
            self.readableRoundsSinceReplacement = 0
            self.check.assigned(
                self.partition,
                CommitMetadata(fingerprint: fingerprint, topicID: topicID),
                now: self.now
            )
        }

        private mutating func round() throws {
            guard let round = self.check.roundIsDue(self.now), let asked = round.fingerprints[self.partition] else {
                return
            }
            let isReadable = Int.random(in: 0..<4, using: &self.random) > 0
            // Meanwhile the reader goes on, and the topic may even be made again: before the record is read, or after.
            if Bool.random(using: &self.random) { self.read() }
            if Int.random(in: 0..<20, using: &self.random) == 0 { self.replace() }
            let finding = self.log.finding(at: asked.offset)
            if Bool.random(using: &self.random) { self.read() }
            let isReplaced = self.believed != self.log.incarnation
            if Int.random(in: 0..<20, using: &self.random) == 0 { self.replace() }
            if Bool.random(using: &self.random) { self.read() }
            let outcomes = self.check.answered(
                round.number,
                isReadable ? [self.partition: .init(finding: finding)] : [:],
                now: self.now
            )
            // The old record was gone in the old log, and what followed it is of the new one.
            let carried = self.check.metadata(of: self.partition).fingerprint?.timestamp ?? Int64(self.believed)
            if carried != Int64(self.believed), finding == .removed || finding == .missing(isCompacted: true) {
                self.isHopeless = true
            }
            let isDetected = outcomes.contains { if case .another = $0 { true } else { false } }
            if isDetected {
                try #require(isReplaced, "the same topic was taken for another")
                self.detections += 1
                self.believed = self.log.incarnation
                self.position = self.log.start
                self.isHopeless = false
                self.check.assigned(self.partition, nil, now: self.now)
            } else if isReplaced, isReadable, !self.isHopeless {
                self.readableRoundsSinceReplacement += 1
                try #require(self.readableRoundsSinceReplacement < 2, "another topic was not seen")
            }
        }
    }

    @Test func everyReplacementIsSeenAndNothingElseIs() throws {
        var detections = 0
        for seed in 0..<400 as Range<UInt64> {
            var history = History(seed: seed)
            do {
                for _ in 0..<500 { try history.step() }
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
            detections += history.detections
        }
        #expect(detections > 1_000)
    }
}
