package import AfterloginObservability
import AfterloginSystem

extension Log {
    /// Writes nowhere.
    package static var silent: Log { Log(level: .error, redactor: Redactor(), format: .json) { _ in } }
}

/// What a log wrote.
package final class LogLines: Sendable {
    private let bytes = Mutex<[UInt8]>([])

    package init() {}

    package var text: String { String(decoding: self.bytes.withLock { $0 }, as: UTF8.self) }
    package func append(_ line: [UInt8]) { self.bytes.withLock { $0 += line } }
}
