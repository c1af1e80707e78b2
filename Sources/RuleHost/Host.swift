/// One rule host, as the thread of the pool knows it.
final class Host {
    enum Phase {
        /// Started, and has the rules; exits: `.ready` (`loaded`), `.dead`.
        case loading
        case ready
        case dead
    }

    /// What it is there for.
    enum Role: Equatable {
        /// One of the configured number; exits: `.retiring`.
        case regular(slot: Int)
        /// Takes the place of a regular one that is to retire, as soon as it has the rules; exits: `.regular`.
        case successor(slot: Int)
        /// Beyond the configured number: for what waits for a destination that has tainted all others; exits: `.regular`, `.retiring`.
        case spare
        /// For groups of suspects, one group at a time.
        case quarantine
        /// Takes nothing new, and ends with its last evaluation.
        case retiring
    }

    enum LastWords: Equatable {
        case turn(evaluation: UInt32, rule: Int?)
        /// All threads of the host's pool are taken.
        case pool
        case memory
        /// The watchdog read what cannot be: somebody has taken its descriptors.
        case nonsense
    }

    /// Unique in the pool, never used again.
    let number: Int
    /// nil once it has ended.
    private(set) var process: HostProcess?
    let identifier: Int32
    let started = ContinuousClock.now
    var role: Role
    var phase = Phase.loading
    /// Why a fresh one is to take its place.
    var retirement: String?
    /// Since when it could have ended.
    var idleSince: ContinuousClock.Instant?
    var decoder: FrameDecoder
    var writer = FrameWriter()
    /// By evaluation number, unique for the life of the host.
    var jobs: [UInt32: HostJob] = [:]
    /// Ended ones: their promises may still be waited for, so what they asked for before is answered.
    var ended: Set<UInt32> = []
    private var lastEvaluation: UInt32 = 0
    var evaluations = 0
    var nodeVersion = ""
    var confinement: [String] = []
    var notEnforced: [String] = []
    /// As it was at the last look.
    var residentBytes = 0
    /// Right after the rules were loaded.
    var loadedBytes = 0
    /// Why it must end, where it was us who found out.
    var verdict: String?
    /// What the watchdog said before it killed the process, or what we would have said in its place.
    var lastWords: LastWords?
    /// Rules at work, of an evaluation that runs alone.
    private(set) var rules: [Int] = []
    /// Descriptors of pipes that the host has closed.
    var closed: Set<Int32> = []
    var printed = LineBuffer()
    var complained = LineBuffer()
    /// The first lines of what it wrote to standard error, to say why it did not start.
    var complaints: [String] = []
    var watched = LineBuffer()
    /// Warnings about what no evaluation in flight has done: nobody else bounds them.
    var orphanedWarnings = Allowance(limit: 20, every: .seconds(10))
    /// The last frame of any kind; nil while nothing is expected of it.
    var lastHeard = ContinuousClock.now
    var pingIsOpen = false

    init(number: Int, role: Role, process: consuming HostProcess, maxFrameBytes: Int) {
        self.number = number
        self.role = role
        self.identifier = process.identifier
        self.process = consume process
        self.decoder = FrameDecoder(maxFrameBytes: maxFrameBytes)
    }

    /// nil once it has ended.
    func descriptor(of stream: HostLoop.Stream) -> Int32? {
        switch self.process {
        case .some(let process):
            switch stream {
            case .output: process.output
            case .errors: process.errors
            case .watchdog: process.watchdog
            case .frames: process.frames
            }
        case nil: nil
        }
    }

    /// Looks at its size.
    func measure() {
        switch self.process {
        case .some(let process): self.residentBytes = process.residentBytes
        case nil: self.residentBytes = 0
        }
    }

    /// Kills it if need be, and says how it ended.
    func end() -> String {
        self.phase = .dead
        guard let process = self.process.take() else { return "ended before" }
        return process.end()
    }

    func begin(_ job: HostJob, alone: Bool, secret: EvaluationSecret) {
        // Zero stands for no evaluation, and a number that is still in use is skipped.
        repeat {
            self.lastEvaluation &+= 1
        } while self.lastEvaluation == 0 || self.jobs[self.lastEvaluation] != nil
            || self.ended.contains(self.lastEvaluation)
        if self.jobs.isEmpty {
            self.lastHeard = .now
            self.pingIsOpen = false
        }
        self.jobs[self.lastEvaluation] = job
        self.evaluations += 1
        job.began(on: self, as: self.lastEvaluation, alone: alone, secret: secret)
        job.evaluation.append(to: &self.writer, alone: alone, number: self.lastEvaluation, secret: secret)
    }

    /// The one in flight that runs alone, on a host on which nothing else ever ran: whatever ends the host is its doing.
    ///
    /// After others it is not: they may have left behind memory, or code that goes on.
    var alone: (evaluation: UInt32, rule: Int?)? {
        guard self.evaluations == 1, let (number, job) = self.jobs.first, job.isAlone else { return nil }
        return (number, self.rules.count == 1 ? self.rules[0] : nil)
    }

    /// A line of the confining program, of the watchdog, or of an evaluation that runs alone.
    func watchdogSaid(_ line: String) {
        let words = line.split(separator: " ")
        switch words.first {
        // The first word of all, before any rule: later ones are a rule's.
        case "confinement" where self.confinement.isEmpty && self.notEnforced.isEmpty:
            let parts = line.dropFirst("confinement ".count).split(separator: ";", maxSplits: 1)
            self.confinement = Self.list(parts.first)
            self.notEnforced = Self.list(parts.last?.split(separator: ":").last).filter { $0 != "-" }
        case "memory": self.lastWords = .memory
        case "pool": self.lastWords = .pool
        case "nonsense": self.lastWords = .nonsense
        case "turn":
            guard words.count == 3, let evaluation = UInt32(words[1]) else { return }
            self.lastWords = .turn(evaluation: evaluation, rule: Int(words[2]).flatMap { $0 < 0 ? nil : $0 })
        case "rules": self.rules = words.dropFirst().compactMap { Int($0) }
        case .some, nil: break
        }
    }

    private static func list(_ text: Substring?) -> [String] {
        (text ?? "").split(separator: ",").map { String($0.trimmingPrefix(" ")) }.filter { !$0.isEmpty && $0 != " " }
    }
}
