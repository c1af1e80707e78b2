import AfterloginCryptography
import AfterloginHTTPMessages
import AfterloginHTTPServer
import AfterloginJSON

/// The fields of a token request, from JSON or a form.
struct TokenFields {
    private var values: [String: String] = [:]

    subscript(_ name: String) -> String? { self.values[name] }

    init(_ request: HTTPServer.Request) throws(TokenRefusal) {
        let type = (request.headers["content-type"] ?? "").prefix { $0 != ";" }.lowercased()
        switch type {
        case "application/json":
            guard let object = try? JSONValue(parsing: request.body).object else {
                throw TokenRefusal(400, "invalid_request", "The body is no JSON object")
            }
            for (name, value) in object.members { self.values[name] = value.string }
        case "application/x-www-form-urlencoded":
            for pair in String(decoding: request.body, as: UTF8.self).split(separator: "&") {
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { continue }
                self.values[Self.decode(parts[0])] = Self.decode(parts[1])
            }
        default:
            throw TokenRefusal(400, "invalid_request", "The content type is neither JSON nor a form")
        }
    }

    private static func decode(_ text: Substring) -> String {
        PercentEncoding.decode(String(text.map { $0 == "+" ? " " : $0 }))
    }
}

/// `Authorization: Basic`, the parts percent-encoded as RFC 6749, section 2.3.1, wants them.
enum BasicCredentials {
    static func parse(_ header: String) -> (client: String, secret: String)? {
        guard header.prefix(6).lowercased() == "basic ",
            let bytes = Base64.decode(String(header.dropFirst(6))),
            let text = String(validating: bytes, as: UTF8.self),
            let colon = text.firstIndex(of: ":")
        else { return nil }
        let parts = [text[..<colon], text[text.index(after: colon)...]].map { part in
            PercentEncoding.decode(String(part.map { $0 == "+" ? " " : $0 }))
        }
        return (parts[0], parts[1])
    }
}
