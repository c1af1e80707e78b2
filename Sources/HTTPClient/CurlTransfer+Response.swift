import AfterloginCCurl
import AfterloginHTTPMessages
import Glibc

extension CurlTransfer {
    /// What became of the request.
    func result(_ code: CURLcode) -> Result<HTTPResponse, HTTPFailure> {
        guard code == CURLE_OK else { return .failure(self.failure(code)) }
        guard self.headersAreWhole else { return .failure(self.failure(CURLE_PARTIAL_FILE)) }
        let status = unsafe afterlogin_curl_get_number(self.easy, CURLINFO_RESPONSE_CODE)
        var lines = self.headerBytes[...]
        let reason = Self.reason(of: Self.takeLine(&lines))
        var headers: HTTPFields = []
        headers.reserveCapacity(max(self.headerLines - 2, 0))
        var isEncoded = false
        while !lines.isEmpty {
            let line = Self.takeLine(&lines)
            if let first = line.first, first == 0x20 || first == 0x09, !headers.isEmpty {
                // Folded (RFC 9112, 5.2).
                headers[headers.count - 1].value += " " + Self.text(Self.trim(line))
            } else if let colon = line.firstIndex(of: UInt8(ascii: ":")) {
                let name = Self.text(line[..<colon])
                let value = Self.text(Self.trim(line[(colon + 1)...]))
                let field = HTTPField(name, value)
                headers.append(field)
                if field.isNamed("content-encoding") { isEncoded = true }
            }
        }
        if isEncoded, self.options.decompresses == true {
            headers["content-encoding"] = nil
            headers["content-length"] = nil
        }
        return .success(HTTPResponse(status: status, reason: reason, headers: headers, body: self.body))
    }

    /// Takes what stands before the next line feed.
    private static func takeLine(_ lines: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let end = lines.firstIndex(of: UInt8(ascii: "\n")) ?? lines.endIndex
        let line = lines[..<end]
        lines = lines[min(end + 1, lines.endIndex)...]
        // `removeLast` would copy them.
        return line.last == UInt8(ascii: "\r") ? line.dropLast() : line
    }

    /// `HTTP/1.1 200 All right` says "All right".
    private static func reason(of line: ArraySlice<UInt8>) -> String {
        let words = line.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: true)
        return words.count == 3 ? self.text(self.trim(words[2])) : ""
    }

    private static func trim(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var line = line
        while let first = line.first, first == 0x20 || first == 0x09 { line = line.dropFirst() }
        while let last = line.last, last == 0x20 || last == 0x09 { line = line.dropLast() }
        return line
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}
