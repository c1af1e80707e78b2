import AfterloginCryptography
package import AfterloginHTTPMessages

/// Where a request goes: the parts of its address, read once, strictly, and written anew for libcurl.
///
/// What is checked is what is sent: an address that two parsers could read differently (a backslash, an encoded host) is refused.
package struct EgressAddress: Sendable, Hashable {
    package let isSecure: Bool
    /// In lower case, without a trailing dot; an IPv6 address without its brackets.
    package let host: String
    package let port: Int
    /// Path and query, from the first `/` or `?` on.
    package let target: String
    /// `user:password` as it stood, percent-encoding undone.
    package let credentials: String?
    /// `host:port`, with brackets around an IPv6 address.
    package let hostAndPort: String

    package init(_ text: String) throws(HTTPFailure) {
        let bytes = Array(text.utf8)
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon <= 5, bytes[colon...].starts(with: "://".utf8)
        else { throw Self.failure("the address must begin with http:// or https://") }
        switch Self.lowercased(bytes[..<colon]) {
        case "https": self.isSecure = true
        case "http": self.isSecure = false
        default: throw Self.failure("the address must begin with http:// or https://: rules speak nothing else")
        }
        let rest = bytes[(colon + 3)...]
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }
        var authority = rest[..<(end ?? rest.endIndex)]
        // To some parsers a backslash is a slash, and what stands before it the host.
        guard authority.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }) else {
            throw Self.failure(Self.noHost)
        }
        if let at = authority.lastIndex(of: UInt8(ascii: "@")) {
            self.credentials = Self.decoded(authority[..<at])
            authority = authority[(at + 1)...]
        } else {
            self.credentials = nil
        }
        let (host, port) = try Self.split(authority)
        self.host = host
        self.port = port ?? (self.isSecure ? 443 : 80)
        self.hostAndPort = "\(authority.first == UInt8(ascii: "[") ? "[\(host)]" : host):\(self.port)"
        let target = rest[(end ?? rest.endIndex)...].prefix { $0 != UInt8(ascii: "#") }
        let path = String(decoding: target, as: UTF8.self)
        self.target = target.first == UInt8(ascii: "/") ? path : "/" + path
    }

    /// Without credentials, which travel in a header.
    package var url: String { "\(self.isSecure ? "https" : "http")://\(self.hostAndPort)\(self.target)" }

    /// `Authorization` for the credentials of the address.
    package var authorization: HTTPField? {
        guard let credentials = self.credentials else { return nil }
        return HTTPField("Authorization", "Basic \(Base64.encode(Array(credentials.utf8)))")
    }

    /// Reads `host`, `host:port` or `[address]:port`.
    package static func split(_ authority: ArraySlice<UInt8>) throws(HTTPFailure) -> (host: String, port: Int?) {
        var host = authority
        var port: Int?
        let isBracketed = authority.first == UInt8(ascii: "[")
        guard !authority.contains(UInt8(ascii: "@")) else { throw Self.failure("leave out what stands before the @") }
        guard !authority.contains(UInt8(ascii: "/")) else {
            throw Self.failure("write the host alone, without http:// or https:// and without a path")
        }
        guard isBracketed || authority.count(where: { $0 == UInt8(ascii: ":") }) < 2 else {
            throw Self.failure(Self.bracketed)
        }
        let end = isBracketed ? authority.firstIndex(of: UInt8(ascii: "]")).map { $0 + 1 } : authority.startIndex
        guard let end else {
            throw Self.failure(Self.bracketed)
        }
        if let colon = authority[end...].firstIndex(of: UInt8(ascii: ":")) {
            let digits = authority[(colon + 1)...]
            host = authority[..<colon]
            // "host:" means the default.
            if !digits.isEmpty {
                guard digits.count <= 5, digits.allSatisfy({ (0x30...0x39).contains($0) }),
                    let number = Int(String(decoding: digits, as: UTF8.self)),
                    (1...65_535).contains(number)
                else { throw Self.failure("the port must be a number from 1 to 65535") }
                port = number
            }
        }
        if isBracketed {
            guard host.endIndex == end, host.count > 2 else {
                throw Self.failure(Self.bracketed)
            }
            let inner = self.lowercased(host.dropFirst().dropLast())
            guard inner.utf8.allSatisfy({ $0 == 0x3A || $0 == 0x2E || Self.isHexadecimal($0) }) else {
                throw Self.failure(Self.bracketed)
            }
            return (inner, port)
        }
        if host.last == UInt8(ascii: ".") { host.removeLast() }
        let name = self.lowercased(host)
        guard !name.isEmpty, name.utf8.count <= 253, name.utf8.allSatisfy(Self.isHostByte) else {
            throw Self.failure(Self.noHost)
        }
        return (name, port)
    }

    /// ASCII letters in lower case; whatever else is in it stays, and is looked at afterwards.
    private static func lowercased(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F
    }

    private static let bracketed = "an IPv6 address is written in brackets, as [2001:db8::1] or [2001:db8::1]:8443"

    private static let noHost = "the host must be of letters, digits, hyphens and dots (another alphabet's as xn--…)"

    private static func failure(_ message: String) -> HTTPFailure {
        HTTPFailure(kind: .invalidRequest, message: message, code: "ERR_INVALID_URL")
    }

    static func decoded(_ source: ArraySlice<UInt8>, plusIsSpace: Bool = false) -> String {
        var bytes: [UInt8] = []
        var index = source.startIndex
        while index < source.endIndex {
            if source[index] == UInt8(ascii: "%"), index + 2 < source.endIndex,
                let value = UInt8(String(decoding: source[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                index += 3
            } else {
                bytes.append(plusIsSpace && source[index] == UInt8(ascii: "+") ? 0x20 : source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
