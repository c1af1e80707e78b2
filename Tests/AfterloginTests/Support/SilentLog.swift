import Afterlogin

extension Log {
    /// Writes nowhere.
    static var silent: Log { Log(level: .error, redactor: Redactor(), format: .json) { _ in } }
}
