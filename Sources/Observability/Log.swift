import Glibc
import JSON
import System

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
    private let write: @Sendable ([UInt8]) -> Void
    /// Lines that would come too fast are counted instead: a rule that logs in a loop must not fill the disk.
    private let budget = Mutex(Budget())

    /// Writes to standard error; without a format text when that is a terminal, JSON otherwise.
    package convenience init(level: Level = .info, format: Format? = nil, redactor: Redactor = Redactor()) {
        self.init(level: level, redactor: redactor, format: format ?? (isatty(2) == 1 ? .text : .json)) { line in
            StandardError.write(line)
        }
    }

    package init(
        level: Level,
        redactor: Redactor,
        format: Format,
        write: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.level = level
        self.redactor = redactor
        self.format = format
        self.write = write
    }

    package func log(_ level: Level, _ message: @autoclosure () -> String, _ fields: [(String, String)] = []) {
        guard level >= self.level else { return }
        let second = Int64(time(nil))
        switch self.budget.withLock({ $0.spend(second: second, isImportant: level >= .warning) }) {
        case .refuse: return
        case .allow(let dropped):
            if dropped > 0 { self.emit(.warning, "\(dropped) log lines were dropped: they came too fast", []) }
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
            self.write(TerminalText.escaped(json: writer.bytes))
        case .text:
            let fields = fields.map { " \($0.0)=\(self.redactor.redact($0.1))" }.joined()
            let line = "\(time.dropFirst(11).prefix(12)) \(level.name): \(message)\(fields)"
            self.write(Array("\(TerminalText.plain(line))\n".utf8))
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

/// Descriptor 2, written whole lines at a time.
package enum StandardError {
    package static func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.span.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
