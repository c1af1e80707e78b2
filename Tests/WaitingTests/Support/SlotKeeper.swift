import AfterloginWaiting

/// Which evaluations hold a slot of `concurrency`: those that work.
///
/// One without a frame either way for 1 s gives its slot back. It runs on beyond `concurrency` when an answer comes;
/// nothing new begins until fewer than `concurrency` work. O(1) for each frame.
struct SlotKeeper: Sendable {
    private struct Evaluation: Sendable {
        var lastFrame: ContinuousClock.Instant
        var isWorking: Bool
        /// Tells a login's evaluation from its next, in `checks`.
        var number: UInt64
    }

    private let concurrency: Int
    private let idle: Duration
    private var evaluations: [UInt64: Evaluation] = [:]
    /// Evaluations to look at, the earliest first: one entry for each that works.
    private var checks: [(id: UInt64, number: UInt64, at: ContinuousClock.Instant)] = []
    private var nextCheck = 0
    private var numbers: UInt64 = 0
    /// How many hold a slot; more than `concurrency` where answers came to those that had given theirs back.
    private(set) var working = 0

    init(concurrency: Int, _ settings: WaitingSettings) {
        self.concurrency = concurrency
        self.idle = settings.slotIdle
    }

    /// Whether a new evaluation may begin.
    var mayBegin: Bool { self.working < self.concurrency }
    /// How many may begin now.
    var free: Int { max(0, self.concurrency - self.working) }

    /// An evaluation began.
    mutating func began(_ id: UInt64, now: ContinuousClock.Instant) {
        self.ended(id)
        self.numbers += 1
        self.evaluations[id] = Evaluation(lastFrame: now, isWorking: true, number: self.numbers)
        self.working += 1
        self.checks.append((id, self.numbers, now + self.idle))
    }

    /// A frame went to or came from its host: it works, whether or not there is room.
    mutating func frameMoved(_ id: UInt64, now: ContinuousClock.Instant) {
        guard var evaluation = self.evaluations[id] else { return }
        evaluation.lastFrame = now
        if !evaluation.isWorking {
            evaluation.isWorking = true
            self.working += 1
            self.checks.append((id, evaluation.number, now + self.idle))
        }
        self.evaluations[id] = evaluation
    }

    /// An evaluation ended, however.
    mutating func ended(_ id: UInt64) {
        guard let evaluation = self.evaluations.removeValue(forKey: id) else { return }
        if evaluation.isWorking { self.working -= 1 }
    }

    /// The evaluations that have given their slots back by now.
    mutating func clockTicked(now: ContinuousClock.Instant) -> [UInt64] {
        var idle: [UInt64] = []
        while self.nextCheck < self.checks.count, self.checks[self.nextCheck].at <= now {
            let check = self.checks[self.nextCheck]
            self.nextCheck += 1
            guard let evaluation = self.evaluations[check.id], evaluation.number == check.number else { continue }
            let end = evaluation.lastFrame + self.idle
            if end <= now {
                self.evaluations[check.id]?.isWorking = false
                self.working -= 1
                idle.append(check.id)
            } else {
                self.checkAgain(check.id, check.number, at: end)
            }
        }
        if self.nextCheck > 1_024, self.nextCheck * 2 > self.checks.count {
            self.checks.removeFirst(self.nextCheck)
            self.nextCheck = 0
        }
        return idle
    }

    /// Once a second for each that works, so that a frame costs no more than a new time.
    private mutating func checkAgain(_ id: UInt64, _ number: UInt64, at end: ContinuousClock.Instant) {
        var place = self.checks.count
        while place > self.nextCheck, self.checks[place - 1].at > end { place -= 1 }
        self.checks.insert((id, number, end), at: place)
    }

    /// When an evaluation may give its slot back.
    var nextWake: ContinuousClock.Instant? {
        self.nextCheck < self.checks.count ? self.checks[self.nextCheck].at : nil
    }
}
