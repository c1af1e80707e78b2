/// One header field, the name as it was given.
public struct HTTPField: Sendable, Hashable {
    /// A token (RFC 9110); its case does not count.
    public var name: String
    /// Text without line breaks.
    public var value: String

    /// A field of that name and value.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

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
    public var headers: [HTTPField]
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
    public init(_ method: String, _ url: String, headers: [HTTPField] = [], body: [UInt8] = []) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}

/// A response of any status.
public struct HTTPResponse: Sendable {
    /// 200 to 999.
    public var status: Int
    /// The server's words behind the status (HTTP/1), or empty.
    public var reason: String
    /// In the order in which they came; those of a decoded body no longer tell its encoding and length.
    public var headers: [HTTPField]
    /// Decoded where the request asked for that.
    public var body: [UInt8]
    /// Counts the body until it has been written to whoever asked; nil where nobody counts.
    package var hold: BodyHold?

    /// A response, for tests and stand-ins.
    public init(status: Int, reason: String = "", headers: [HTTPField] = [], body: [UInt8] = []) {
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
    }
}

/// What sends a request once.
public protocol HTTPSender: Sendable {
    /// Sends, and waits for the whole response.
    func send(_ request: HTTPRequest) async throws(HTTPFailure) -> HTTPResponse
}
