import AfterloginHTTPMessages

/// The address of a request, as libcurl wants it.
enum RequestAddress {
    /// Checks the scheme, and encodes what people leave raw: spaces, `|`, quotes, letters beyond ASCII.
    ///
    /// - Throws: for anything but an absolute http or https address, and for control characters.
    static func encode(_ address: String) throws(HTTPFailure) -> String {
        var address = address
        let authority = address.withUTF8 { unsafe Self.authorityStart($0) }
        guard let authority else {
            throw Self.failure("the address must be of the form http://… or https://…")
        }
        enum Form { case fine, raw, control }
        let form: Form = address.withUTF8 { bytes in
            var form = Form.fine
            for index in bytes.indices {
                let byte = unsafe bytes[index]
                guard byte <= 0x20 || byte >= 0x7f || Self.isRaw(byte) else { continue }
                if byte < 0x20 || byte == 0x7f { return .control }
                form = .raw
            }
            return form
        }
        switch form {
        case .fine: return address
        case .control: throw Self.failure("the address has a control character: percent-encode it, or take it out")
        case .raw: return Self.encode(address, from: authority)
        }
    }

    private static func failure(_ message: String) -> HTTPFailure {
        HTTPFailure(kind: .invalidRequest, message: message, code: "ERR_INVALID_URL")
    }

    /// Where the host (or its user) begins; nil for other schemes.
    private static func authorityStart(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        for scheme: StaticString in ["https://", "http://"] where bytes.count > scheme.utf8CodeUnitCount {
            let matches = (0..<scheme.utf8CodeUnitCount)
                .allSatisfy { index in
                    let expected = unsafe scheme.utf8Start[index]
                    let byte = unsafe bytes[index]
                    return byte == expected || (byte | 0x20 == expected && expected >= UInt8(ascii: "a"))
                }
            if matches { return scheme.utf8CodeUnitCount }
        }
        return nil
    }

    private static func isRaw(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"), UInt8(ascii: "^"),
            UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
            true
        default: false
        }
    }

    /// Encodes path and query; the host is left to libcurl (IDN, or an error).
    private static func encode(_ address: String, from authority: Int) -> String {
        let hexadecimal: StaticString = "0123456789ABCDEF"
        var bytes: [UInt8] = []
        bytes.reserveCapacity(address.utf8.count + 32)
        var address = address
        address.withUTF8 { text in
            var isInPath = false
            for index in text.indices {
                let byte = unsafe text[index]
                if index >= authority,
                    byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
                {
                    isInPath = true
                }
                if isInPath, byte <= 0x20 || byte >= 0x7f || Self.isRaw(byte) {
                    bytes.append(UInt8(ascii: "%"))
                    bytes.append(unsafe hexadecimal.utf8Start[Int(byte >> 4)])
                    bytes.append(unsafe hexadecimal.utf8Start[Int(byte & 15)])
                } else {
                    bytes.append(byte)
                }
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
