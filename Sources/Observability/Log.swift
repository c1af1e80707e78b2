import AfterloginJSON
package import AfterloginSystem
import Glibc

/// Lines on standard error, redacted: one JSON object a line, or text for people on a terminal.
package final class Log: Sendable {
    package enum Level: Int, Sendable, Comparable, CaseIterable {
        case debug, info, notice, warning, error

        package static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }

        package var name: String { "\(self)" }

        package init?(name: String) {
            guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
            self = level
        }
    }

    package enum Format: String, Sendable { case text, json }

    package let redactor: Redactor
    package let level: Level
    private let format: Format
    private let write: @Sendable ([UInt8], Level) -> Void
    /// How many lines whoever reads them was too slow for.
    private let takeDropped: @Sendable () -> Int
    /// Lines that would come too fast are counted instead: a rule that logs in a loop must not fill the disk.
    private let budget = Mutex(Budget())

    /// Writes to standard error, and never waits for whoever reads it.
    ///
    /// Without a format text when that is a terminal, JSON otherwise.
    package convenience init(level: Level = .info, format: Format? = nil, redactor: Redactor = Redactor()) {
        self.init(
            level,
            redactor,
            format ?? (isatty(2) == 1 ? .text : .json),
            write: { line, level in StandardError.log.append(line, isImportant: level >= .warning) },
            takeDropped: { StandardError.log.takeDropped() }
        )
    }

    package convenience init(
        level: Level,
        redactor: Redactor,
        format: Format,
        write: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.init(level, redactor, format, write: { line, _ in write(line) }, takeDropped: { 0 })
    }

    private init(
        _ level: Level,
        _ redactor: Redactor,
        _ format: Format,
        write: @escaping @Sendable ([UInt8], Level) -> Void,
        takeDropped: @escaping @Sendable () -> Int
    ) {
        self.level = level
        self.redactor = redactor
        self.format = format
        self.write = write
        self.takeDropped = takeDropped
    }

    package func log(_ level: Level, _ message: @autoclosure () -> String, _ fields: [(String, String)] = []) {
        guard level >= self.level else { return }
        let second = Int64(time(nil))
        switch self.budget.withLock({ $0.spend(second: second, isImportant: level >= .warning) }) {
        case .refuse: return
        case .allow(let dropped):
            if dropped > 0 { self.emit(.warning, "\(dropped) log lines were dropped: they came too fast", []) }
            let unread = self.takeDropped()
            if unread > 0 {
                self.emit(.warning, "\(unread) log lines were dropped: whoever reads standard error was too slow", [])
            }
            self.emit(level, message(), fields)
        }
    }

    private func emit(_ level: Level, _ message: String, _ fields: [(String, String)]) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let time = Timestamp.text(milliseconds: Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000)
        let message = self.redactor.redact(message)
        switch self.format {
        case .json:
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("time", time)
            writer.member("level", level.name)
            writer.member("message", message)
            for (name, value) in fields { writer.member(name, self.redactor.redact(value)) }
            writer.endObject()
            writer.endLine()
            self.write(TerminalText.escaped(json: writer.bytes), level)
        case .text:
            let fields = fields.map { " \($0.0)=\(self.redactor.redact($0.1))" }.joined()
            let line = "\(time.dropFirst(11).prefix(12)) \(level.name): \(message)\(fields)"
            self.write(Array("\(TerminalText.plain(line))\n".utf8), level)
        }
    }

    private struct Budget {
        enum Verdict {
            case allow(dropped: Int)
            case refuse
        }

        /// Warnings and errors have as much again.
        static let linesPerSecond = 500
        var second: Int64 = 0
        var lines = 0
        var dropped = 0

        mutating func spend(second: Int64, isImportant: Bool) -> Verdict {
            var dropped = 0
            if second != self.second {
                (self.second, self.lines) = (second, 0)
                swap(&dropped, &self.dropped)
            }
            self.lines += 1
            guard self.lines <= Self.linesPerSecond * (isImportant ? 2 : 1) else {
                self.dropped += 1
                return .refuse
            }
            return .allow(dropped: dropped)
        }
    }
}

/// Descriptor 2.
package enum StandardError {
    /// What the log says.
    package static let log = LineWriter(2, name: "afterlogin.log")

    /// What a command says itself: behind the log's lines, and written when this returns.
    ///
    /// Where nobody reads these it is dropped: a command ends all the same.
    package static func write(_ bytes: [UInt8]) {
        if self.flush() { _ = Descriptors.writeAll(bytes, to: 2) }
    }

    /// Waits a second at most for the log's lines to be written; false where they are not.
    @discardableResult
    package static func flush() -> Bool { self.log.flush(within: .seconds(1)) }
}
