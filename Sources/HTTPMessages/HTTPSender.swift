/// What sends a request once.
package protocol HTTPSender: Sendable {
    /// Sends, and waits for the whole response.
    func send(_ request: HTTPRequest) async throws(HTTPFailure) -> HTTPResponse
}
