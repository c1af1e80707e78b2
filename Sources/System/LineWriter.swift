import Dispatch
import Glibc

/// Writes lines to a descriptor on a thread of its own: who says something never waits for who reads it.
///
/// What is not written yet is bounded. A line beyond that is dropped and counted; `takeDropped` says how many, once there is room again.
package final class LineWriter: Sendable {
    private struct State {
        var lines: [UInt8] = []
        /// Bytes that the thread is writing.
        var underWay = 0
        var dropped = 0
        var hasThread = false
    }

    private let descriptor: Int32
    private let limit: Int
    private let name: String
    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)

    /// Of lines that are not important at most `limit` bytes are kept, of those that are twice as many.
    ///
    /// `name` is that of the thread, which begins with the first line.
    package init(_ descriptor: Int32, limit: Int = 1 << 20, name: String) {
        self.descriptor = descriptor
        self.limit = limit
        self.name = name
    }

    /// Takes a line, with its end; false where it was dropped.
    @discardableResult
    package func append(_ line: [UInt8], isImportant: Bool = false) -> Bool {
        let (isTaken, isFirst, startsThread) = self.state.withLock { state in
            let kept = state.underWay + state.lines.count
            guard kept == 0 || kept + line.count <= self.limit * (isImportant ? 2 : 1) else {
                state.dropped += 1
                return (false, false, false)
            }
            let isFirst = state.lines.isEmpty
            state.lines += line
            defer { state.hasThread = true }
            return (true, isFirst, !state.hasThread)
        }
        if startsThread { NamedThread.start(self.name) { [self] in self.writeAll() } }
        if isFirst { self.wake.signal() }
        return isTaken
    }

    /// How many lines were dropped since the last call; 0 while there is little room.
    package func takeDropped() -> Int {
        self.state.withLock { state in
            guard state.dropped > 0, state.underWay + state.lines.count <= self.limit / 2 else { return 0 }
            return exchange(&state.dropped, with: 0)
        }
    }

    /// Waits until all lines are written; false where they were not within `time`.
    @discardableResult
    package func flush(within time: Duration) -> Bool {
        let end = ContinuousClock.now + time
        while self.state.withLock({ $0.underWay + $0.lines.count > 0 }) {
            guard ContinuousClock.now < end else { return false }
            usleep(1_000)
        }
        return true
    }

    /// Ends with the process.
    private func writeAll() {
        while true {
            let lines = self.state.withLock { state in
                state.underWay = state.lines.count
                return exchange(&state.lines, with: [])
            }
            if lines.isEmpty {
                self.wake.wait()
            } else {
                _ = Descriptors.writeAll(lines, to: self.descriptor)
                self.state.withLock { $0.underWay = 0 }
            }
        }
    }
}
