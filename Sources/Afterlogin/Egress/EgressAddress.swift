import Cryptography
import HTTPClient

/// Where a request goes: the parts of its address, read once, strictly, and written anew for libcurl.
///
/// What is checked is what is sent: an address that two parsers could read differently (a backslash, an encoded host) is refused.
struct EgressAddress: Sendable, Hashable {
    var isSecure: Bool
    /// In lower case, without a trailing dot; an IPv6 address without its brackets.
    var host: String
    var port: Int
    /// Path and query, from the first `/` or `?` on.
    var target: String
    /// `user:password` as it stood, percent-encoding undone.
    var credentials: String?

    init(_ text: String) throws(HTTPFailure) {
        guard let colon = text.firstRange(of: "://") else { throw Self.failure("no http or https address") }
        switch text[..<colon.lowerBound].lowercased() {
        case "https": self.isSecure = true
        case "http": self.isSecure = false
        default: throw Self.failure("only http and https are spoken here")
        }
        let rest = text[colon.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        var authority = rest[..<end]
        // To some parsers a backslash is a slash, and what stands before it the host.
        guard authority.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }) else {
            throw Self.failure("the host has characters that no host name has")
        }
        if let at = authority.lastIndex(of: "@") {
            self.credentials = Self.decoded(authority[..<at])
            authority = authority[authority.index(after: at)...]
        }
        let (host, port) = try Self.split(authority)
        self.host = host
        self.port = port ?? (self.isSecure ? 443 : 80)
        let target = rest[end...].prefix { $0 != "#" }
        self.target = target.hasPrefix("/") ? String(target) : "/\(target)"
    }

    var hostAndPort: String { "\(self.host.contains(":") ? "[\(self.host)]" : self.host):\(self.port)" }

    /// Without credentials, which travel in a header.
    var url: String { "\(self.isSecure ? "https" : "http")://\(self.hostAndPort)\(self.target)" }

    /// `Authorization` for the credentials of the address.
    var authorization: HTTPField? {
        guard let credentials = self.credentials else { return nil }
        return HTTPField("Authorization", "Basic \(Base64.encode(Array(credentials.utf8)))")
    }

    static func split(_ authority: Substring) throws(HTTPFailure) -> (host: String, port: Int?) {
        var host = authority
        var port: Int?
        let colon =
            authority.hasPrefix("[")
            ? authority.firstRange(of: "]:")?.upperBound : authority.firstIndex(of: ":").map(authority.index(after:))
        if let colon {
            let digits = authority[colon...]
            host = authority[..<authority.index(before: colon)]
            // "host:" means the default.
            if !digits.isEmpty {
                guard digits.utf8.count <= 5, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                    let number = Int(digits),
                    (1...65_535).contains(number)
                else { throw Self.failure("the port is no number from 1 to 65535") }
                port = number
            }
        }
        if host.hasPrefix("[") {
            guard host.hasSuffix("]"), host.count > 2 else { throw Self.failure("the host is no address") }
            let inner = host.dropFirst().dropLast().lowercased()
            guard inner.utf8.allSatisfy({ $0 == 0x3A || $0 == 0x2E || Self.isHexadecimal($0) }) else {
                throw Self.failure("the host is no address")
            }
            return (inner, port)
        }
        var name = host.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        guard !name.isEmpty, name.utf8.count <= 253, name.utf8.allSatisfy(Self.isHostByte) else {
            throw Self.failure("the host has characters that no host name has")
        }
        return (name, port)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F
    }

    private static func failure(_ message: String) -> HTTPFailure {
        HTTPFailure(kind: .invalidRequest, message: message, code: "ERR_INVALID_URL")
    }

    static func decoded(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String {
        var bytes: [UInt8] = []
        let source = Array(text.utf8)
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "%"), index + 2 < source.count,
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
