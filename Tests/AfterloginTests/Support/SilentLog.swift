import Afterlogin
import System

extension Log {
    /// Writes nowhere.
    static var silent: Log { Log(level: .error, redactor: Redactor(), format: .json) { _ in } }
}

/// What a log wrote.
final class LogLines: Sendable {
    private let bytes = Mutex<[UInt8]>([])

    var text: String { String(decoding: self.bytes.withLock { $0 }, as: UTF8.self) }
    func append(_ line: [UInt8]) { self.bytes.withLock { $0 += line } }
}
