import AfterloginCCurl
import AfterloginHTTPMessages
import Glibc

/// The header lines of one request as a `curl_slist`, in one block of memory that is used again for the next.
///
/// (`curl_slist_append` would take two allocations a line and walk the list for each.)
@safe struct HeaderList: ~Copyable {
    private var memory: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var first: UnsafeMutablePointer<curl_slist>?

    init() {
        self.capacity = 2_048
        unsafe self.memory = .allocate(byteCount: self.capacity, alignment: MemoryLayout<curl_slist>.alignment)
        unsafe self.first = nil
    }

    deinit { unsafe self.memory.deallocate() }

    /// Replaces the lines.
    ///
    /// - Throws: where a name is not a token, or a value would break its line (RFC 9110).
    mutating func replace(with request: borrowing HTTPRequest, sendsBody: Bool) throws(HTTPFailure) {
        var bytes = 0
        for field in request.headers { bytes += field.name.utf8.count + field.value.utf8.count + 3 }
        bytes += Self.suppressed.reduce(0) { $0 + $1.utf8CodeUnitCount + 1 }
        let nodes = request.headers.count + Self.suppressed.count
        unsafe self.reserve(nodes * MemoryLayout<curl_slist>.stride + bytes)

        let list = unsafe self.memory.assumingMemoryBound(to: curl_slist.self)
        var text = unsafe (self.memory + nodes * MemoryLayout<curl_slist>.stride).assumingMemoryBound(to: CChar.self)
        var count = 0
        var hasAccept = false
        var hasContentType = !sendsBody
        for field in request.headers {
            switch try HeaderName(field.name, decompresses: request.decompresses) {
            case .ofConnection: continue
            case .accept: hasAccept = true
            case .contentType: hasContentType = true
            case .other: break
            }
            unsafe list[count].data = text
            unsafe text = Self.append(field.name, to: text)
            guard let isBlank = Self.checkValue(field.value) else {
                throw HTTPFailure(
                    kind: .invalidRequest,
                    message:
                        "the header '\(field.name.prefix(100))' has a value with a line break or other control character: take it out, or encode it",
                    code: "ERR_INVALID_CHAR"
                )
            }
            if isBlank {
                unsafe text.pointee = CChar(UInt8(ascii: ";"))
                unsafe text += 1
            } else {
                unsafe text.pointee = CChar(UInt8(ascii: ":"))
                unsafe text[1] = CChar(UInt8(ascii: " "))
                unsafe text = Self.append(field.value, to: text + 2)
            }
            unsafe text.pointee = 0
            unsafe text += 1
            count += 1
        }
        // `Expect` is added to large bodies only; every line costs, for libcurl walks them again and again.
        let isWanted = [!hasAccept, !hasContentType, sendsBody]
        for (index, line) in Self.suppressed.enumerated() where isWanted[index] {
            unsafe list[count].data = text
            unsafe memcpy(text, line.utf8Start, line.utf8CodeUnitCount)
            unsafe text += line.utf8CodeUnitCount
            unsafe text.pointee = 0
            unsafe text += 1
            count += 1
        }
        for index in 0..<count { unsafe list[index].next = index + 1 < count ? list + index + 1 : nil }
        unsafe self.first = count == 0 ? nil : list
    }

    /// What libcurl would add of its own accord, and we do not want: a name with nothing behind it takes it out.
    private static let suppressed: [StaticString] = ["Accept:", "Content-Type:", "Expect:"]

    private mutating func reserve(_ bytes: Int) {
        guard bytes > self.capacity else { return }
        unsafe self.memory.deallocate()
        self.capacity = bytes * 2
        unsafe self.memory = .allocate(byteCount: self.capacity, alignment: MemoryLayout<curl_slist>.alignment)
    }

    private static func append(_ string: String, to text: UnsafeMutablePointer<CChar>) -> UnsafeMutablePointer<CChar> {
        var string = string
        return string.withUTF8 { bytes in
            if let start = bytes.baseAddress { unsafe memcpy(text, start, bytes.count) }
            return unsafe text + bytes.count
        }
    }

    /// Whether there is nothing but blanks in it; nil where it cannot stand in a line.
    private static func checkValue(_ value: String) -> Bool? {
        var value = value
        return value.withUTF8 { bytes in
            var isBlank = true
            for index in bytes.indices {
                let byte = unsafe bytes[index]
                if byte < 0x20 && byte != 0x09 || byte == 0x7f { return nil }
                if byte != 0x20 && byte != 0x09 { isBlank = false }
            }
            return isBlank
        }
    }
}

/// What a header's name says about who writes it.
private enum HeaderName {
    /// It frames the message or rules the connection: the client's own business.
    case ofConnection
    case accept
    case contentType
    case other

    init(_ name: String, decompresses: Bool) throws(HTTPFailure) {
        guard HTTPToken.contains(name) else {
            throw HTTPFailure(
                kind: .invalidRequest,
                message:
                    "a header has an invalid name: '\(name.unicodeScalars.prefix(100).map { $0.escaped(asASCII: true) }.joined())'",
                code: "ERR_INVALID_HTTP_TOKEN"
            )
        }
        self =
            switch name.utf8.count {
            case 2 where Self.matches(name, "te"): .ofConnection
            // The address says whom the request is for: what was allowed is what is asked.
            case 4 where Self.matches(name, "host"): .ofConnection
            case 6 where Self.matches(name, "accept"): .accept
            case 6 where Self.matches(name, "expect"): .ofConnection
            case 7 where Self.matches(name, "upgrade") || Self.matches(name, "trailer"): .ofConnection
            case 10 where Self.matches(name, "connection") || Self.matches(name, "keep-alive"): .ofConnection
            case 12 where Self.matches(name, "content-type"): .contentType
            case 14 where Self.matches(name, "content-length"): .ofConnection
            case 14 where Self.matches(name, "http2-settings"): .ofConnection
            case 15 where decompresses && Self.matches(name, "accept-encoding"): .ofConnection
            case 16 where Self.matches(name, "proxy-connection"): .ofConnection
            case 17 where Self.matches(name, "transfer-encoding"): .ofConnection
            case 19 where Self.matches(name, "proxy-authorization"): .ofConnection
            default: .other
            }
    }

    private static func matches(_ name: String, _ lowercased: StaticString) -> Bool {
        var name = name
        return name.withUTF8 { bytes in
            for index in bytes.indices where unsafe bytes[index] | 0x20 != lowercased.utf8Start[index] {
                return false
            }
            return true
        }
    }
}

/// RFC 9110's `token`: method and header names.
enum HTTPToken {
    /// One bit for each ASCII character that may stand in a token.
    private static let characters: (low: UInt64, high: UInt64) = {
        var bits: (low: UInt64, high: UInt64) = (0, 0)
        let text = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        for byte in text.utf8 {
            if byte < 64 { bits.low |= 1 << UInt64(byte) } else { bits.high |= 1 << UInt64(byte - 64) }
        }
        return bits
    }()

    static func contains(_ text: String) -> Bool {
        var text = text
        let characters = self.characters
        return text.withUTF8 { bytes in
            for index in bytes.indices {
                let byte = unsafe bytes[index]
                let bits = byte < 64 ? characters.low : byte < 128 ? characters.high : 0
                if bits >> UInt64(byte & 63) & 1 == 0 { return false }
            }
            return !bytes.isEmpty
        }
    }
}
