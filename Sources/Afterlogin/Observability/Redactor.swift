/// Takes secrets out of text that leaves the worker.
package final class Redactor: Sendable {
    package init(secrets: [String] = []) {}
    /// A token or secret learnt at run time.
    package func add(_ secret: String) { fatalError("seam") }
    /// Known secrets, bearer tokens, JWTs, `client_secret`, `Authorization`, passwords in addresses, each replaced by `[redacted]`; and bounded to `limit` bytes.
    package func redact(_ text: String, limit: Int = 2_000) -> String { fatalError("seam") }
}
