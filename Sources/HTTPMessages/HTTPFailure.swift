/// Why a request got no response.
public struct HTTPFailure: Error, Sendable, Hashable {
    /// What a policy may want to tell apart.
    public enum Kind: String, Sendable {
        /// Nothing was sent: the address, the method or a header is none.
        case invalidRequest
        case nameNotFound
        /// Every address of the host is a special one (RFC 6890), and the request may not go there.
        case addressRefused
        case connectionRefused
        case connectTimeout
        case timeout
        case connectionReset
        /// The server's certificate is not trusted.
        case certificate
        /// The handshake failed otherwise.
        case tls
        case responseTooLarge
        case headersTooLarge
        /// What the server says is no HTTP.
        case badResponse
        case cancelled
        case other
    }

    /// The kind of failure.
    public var kind: Kind
    /// For people; names host and port, never credentials of the address.
    public var message: String
    /// The name that Node gives this error.
    ///
    /// ECONNREFUSED, ENOTFOUND, ETIMEDOUT, ECONNRESET, CERT_HAS_EXPIRED, and so on.
    public var code: String
    /// The peer's numeric address where one was reached, or tried.
    public var address: String?
    /// The peer's port.
    public var port: Int?
    /// Whether any byte of the request was sent: if not, any request may be sent again.
    public var sentBytes: Bool
    /// Whether it was given up while it waited here: for another call to end, or for memory.
    package var wasHeldBack = false

    /// A failure, also for stand-ins.
    public init(
        kind: Kind,
        message: String,
        code: String,
        address: String? = nil,
        port: Int? = nil,
        sentBytes: Bool = false
    ) {
        self.kind = kind
        self.message = message
        self.code = code
        self.address = address
        self.port = port
        self.sentBytes = sentBytes
    }
}
