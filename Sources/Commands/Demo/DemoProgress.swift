import AfterloginDelivery
import AfterloginEgress
import AfterloginObservability
import AfterloginSystem

/// The line that moves while the demo works.
struct DemoProgress {
    private let total: Int
    private var started: ContinuousClock.Instant?
    /// From the first login to the last.
    private(set) var work: Duration?
    private var samples: [(at: ContinuousClock.Instant, finished: Int)] = []

    init(total: Int) { self.total = total }

    mutating func show(_ worker: Worker, _ egress: WorkerEgress, _ metrics: Metrics) {
        let status = worker.status()
        let finished = status.tally.finished
        let now = ContinuousClock.now
        if self.started == nil, status.admitted > 0 || finished > 0 { self.started = now }
        if let started = self.started { self.work = now - started }
        guard Terminal.isTerminal else { return }
        guard self.started != nil else { return Terminal.redraw("joining the consumer group …") }
        self.samples.append((now, finished))
        self.samples.removeAll { now - $0.at > .seconds(2) }
        let first = self.samples.first ?? (now, finished)
        let seconds = max(0.1, (now - first.at) / .seconds(1))
        let rate = Int(Double(finished - first.finished) / seconds)
        let tokens = egress.tokenStatus().reduce(0) { $0 + $1.fetches }
        let figures =
            " \(finished)/\(self.total)  \(rate)/s  in flight \(status.running)  retries \(status.tally.retries + metrics.sum(.callRetries))  tokens \(tokens)"
        // The figures say more than the bar, where there is no room for both.
        let width = max(0, min(24, Terminal.width - 1 - figures.count))
        let filled = finished * width / self.total
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
        Terminal.redraw(bar + figures)
    }

    func end() { if Terminal.isTerminal { Terminal.endLine() } }
}

/// The worker's log during the demo: warnings that a person should see once, not thousands of lines.
final class DemoNotes: Sendable {
    private let shown = Mutex<Set<String>>([])

    func received(_ line: [UInt8]) {
        let text = String(decoding: line, as: UTF8.self)
        guard text.contains("rule host died") || text.contains(" error: "), !text.contains("profile sync failed") else {
            return
        }
        // Without its time.
        let message = String(text.dropFirst(13).filter { !$0.isNewline })
        guard self.shown.withLock({ $0.count < 5 && $0.insert(message).inserted }) else { return }
        if Terminal.isTerminal { Terminal.redraw("") }
        Output.error(Terminal.colored(message, 33))
    }
}

extension Dispatcher.Tally {
    /// Logins that have their result.
    var finished: Int { self.updates + self.denials + self.failures.values.reduce(0, +) }
}
