/// A response of any status.
public struct HTTPResponse: Sendable {
    /// 200 to 999.
    public var status: Int
    /// The server's words behind the status (HTTP/1), or empty.
    public var reason: String
    /// In the order in which they came; those of a decoded body no longer tell its encoding and length.
    public var headers: HTTPFields
    /// Decoded where the request asked for that.
    public var body: [UInt8]
    /// Counts the body until it has been written to whoever asked; nil where nobody counts.
    package var hold: (any BodyHold)?

    /// A response, for tests and stand-ins.
    public init(status: Int, reason: String = "", headers: HTTPFields = [], body: [UInt8] = []) {
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
    }
}

/// Memory that the body of a response takes, until it is let go; at the latest when nobody holds this.
package protocol BodyHold: AnyObject, Sendable {
    /// The body has been written to whoever asked, or dropped.
    func release()
}
