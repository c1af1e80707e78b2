package import AfterloginHTTPMessages

extension HTTPServer {
    /// A request, whole.
    package struct Request: Sendable {
        package var method: String
        /// Without the query, still percent-encoded.
        package var path: String
        package var query: [(name: String, value: String)]
        package var headers: HTTPFields
        package var body: [UInt8]

        package init(
            method: String,
            path: String,
            query: [(name: String, value: String)] = [],
            headers: HTTPFields = [],
            body: [UInt8] = []
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.headers = headers
            self.body = body
        }
    }

    /// What a handler answers; length and date are added.
    package struct Response: Sendable {
        package var status: Int
        package var headers: HTTPFields
        package var body: [UInt8]
        /// Closes the connection without a reply (a fault of the sandbox).
        package var resets = false
        /// So many blanks stand behind the body, and take no memory.
        package var padding = 0
        /// The whole length is announced, half of it is sent, and the connection ends (a fault of the sandbox).
        package var isTruncated = false

        package init(status: Int, headers: HTTPFields = [], body: [UInt8] = []) {
            self.status = status
            self.headers = headers
            self.body = body
        }
    }
}

/// The text behind the percent escapes; an invalid escape stays as it is.
func decodePercents(_ text: String) -> String {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var rest = Substring(text).utf8
    while let byte = rest.popFirst() {
        if byte == UInt8(ascii: "%"), let high = rest.first.flatMap(digit),
            let low = rest.dropFirst().first.flatMap(digit)
        {
            rest = rest.dropFirst(2)
            bytes.append(high << 4 | low)
        } else {
            bytes.append(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}

private func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
