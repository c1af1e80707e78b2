import AfterloginHTTPMessages

extension HTTPRequest {
    /// A request to this machine.
    static func local(_ url: String, headers: HTTPFields = []) -> HTTPRequest {
        self.local("GET", url, headers: headers)
    }

    static func local(
        _ method: String,
        _ url: String,
        headers: HTTPFields = [],
        body: [UInt8] = []
    ) -> HTTPRequest {
        var request = HTTPRequest(method, url, headers: headers, body: body)
        request.allowsSpecialAddresses = true
        request.timeout = .seconds(30)
        request.connectTimeout = .seconds(30)
        return request
    }

    func with(_ change: (inout HTTPRequest) -> Void) -> HTTPRequest {
        var request = self
        change(&request)
        return request
    }
}

extension HTTPSender {
    /// How it failed; nil where it did not.
    func failure(of request: HTTPRequest) async -> HTTPFailure? {
        do throws(HTTPFailure) {
            _ = try await self.send(request)
            return nil
        } catch {
            return error
        }
    }
}

extension HTTPResponse {
    var text: String { String(decoding: self.body, as: UTF8.self) }

    func values(of name: String) -> [String] { self.headers.values(name) }
}
