/// A request; the body is whole in memory.
public struct HTTPRequest: Sendable {
    /// `GET`, `POST`, or another token; `CONNECT` is refused.
    public var method: String
    /// Absolute, http or https.
    ///
    /// User name and password in it become Basic authorization; spaces and other characters that may not stand in an
    /// address are percent-encoded.
    public var url: String
    /// Sent as they are, but for those that frame the message or rule the connection, which the client writes itself.
    public var headers: HTTPFields
    /// Sent where it is not empty, and announced as empty for POST, PUT and PATCH.
    public var body: [UInt8]
    /// Of the whole attempt, connect included.
    public var timeout: Duration = .seconds(10)
    /// Name resolution, TCP and TLS.
    public var connectTimeout: Duration = .seconds(5)
    /// Of the decoded body, in bytes.
    public var maxResponseBytes: Int = 10 << 20
    /// Private, loopback, link-local and other special addresses are refused unless this is set (RFC 6890).
    package var allowsSpecialAddresses = false
    /// Whether an encoded body (gzip, deflate, br) is offered and decoded here.
    ///
    /// Off for rules, whose libraries decode themselves. (libcurl does not notice an encoded body that ends too early
    /// where its length or its last chunk says that it is whole.)
    package var decompresses = true

    /// A request with the usual limits.
    public init(_ method: String, _ url: String, headers: HTTPFields = [], body: [UInt8] = []) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}
